"""What finished runs used against what was asked for: lines of the grid file that would ask for what is needed (pure)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from orchestrator.cluster.resources import Pack, Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.results.reasons import tell
from orchestrator.store.records import Attempt, Record, Records
from orchestrator.store.states import ALIVE, Cause, State

LEAST_RUNS = 5
"""Fewer completed runs say nothing of the next."""

MARGIN = 1.25
"""What is advised lies so far above the largest that was measured."""

WORTH = 0.8
"""Less is advised only where it is at most this part of what is asked for."""

MOST_SHARED = 4
"""Runs that are ever advised to share a GPU."""

_MEMORY_STEPS = ((4, 0.5), (32, 1.0), (128, 4.0), (math.inf, 16.0))
_TIME_STEPS = ((10, 1.0), (120, 5.0), (480, 15.0), (math.inf, 60.0))
"""(up to, in steps of): advised values are round."""

_OUT_OF_MEMORY = (Cause.HOST_OOM, Cause.WORKER_OOM)

Pair = tuple[Manifest, Record]
Place = Callable[[Resources, str], str]
"""(what runs ask for, key) → file:line where the grid file says so."""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the grid file that would better be another."""

    key: str
    """mem_gb, time_min or pack."""
    asked: str
    better: str
    reason: str
    place: str = ""
    """file:line of what is asked for now; the file alone where it is not written."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of runs that ask for the same."""

    asked: str
    runs: int
    """Completed runs that were measured."""
    suggestions: tuple[Suggestion, ...]
    notes: tuple[str, ...]
    """Why nothing is advised where something could be expected."""


class _Class:
    """The runs that ask for the same, and what they used."""

    def __init__(self, resources: Resources, pairs: Sequence[Pair], records: Records, now: float) -> None:
        self.resources, self.records, self.now = resources, records, now
        self.all = [record for _, record in pairs]
        self.completed = [record for record in self.all if record.state is State.COMPLETED and record.attempts]

    @property
    def peaks_gb(self) -> list[float]:
        """Largest host memory of each completed run that was measured."""
        return _measured(max(attempt.peak_mem_gb for attempt in record.attempts) for record in self.completed)

    @property
    def gpu_peaks_gb(self) -> list[float]:
        return _measured(max(attempt.peak_gpu_gb for attempt in record.attempts) for record in self.completed)

    @property
    def minutes(self) -> list[float]:
        """What each completed run took, all attempts that led to the result together."""
        return [sum(map(_useful_min, record.attempts)) for record in self.completed]

    @property
    def running_min(self) -> float:
        """How long the oldest attempt that computes has done so."""
        begun = (
            record.current.started_at for record in self.all if record.state in ALIVE and record.current and record.current.ended_at is None
        )
        return max((self.now - at for at in begun if at is not None), default=0.0) / 60

    def died_gb(self) -> list[float]:
        """Return what each run had that died for memory and has not completed since."""
        open_runs = (record for record in self.all if record.state is not State.COMPLETED)
        ends = chain.from_iterable(record.attempts for record in open_runs)
        return [self._given(attempt).mem_gb for attempt in ends if attempt.cause in _OUT_OF_MEMORY]

    def out_of_time(self) -> int:
        """Return how many runs reached the time limit and have not completed since."""
        open_runs = (record for record in self.all if record.state is not State.COMPLETED)
        return sum(any(attempt.cause is Cause.TIMEOUT for attempt in record.attempts) for record in open_runs)

    def _given(self, attempt: Attempt) -> Resources:
        submission = self.records.submissions.get(attempt.token)
        return msgspec.convert(submission.resources, Resources) if submission and submission.resources else self.resources


def advise(
    pairs: Iterable[Pair], records: Records, *, pack: Pack, now: float, gpu_gb: float | None = None, place: Place | None = None
) -> list[Advice]:
    """Return what to change, one entry for all runs that ask for the same, in the order of the manifest.

    `gpu_gb`: the memory of one GPU; without it nothing is advised about sharing one. `place`: where the grid file says what is asked.
    """
    classes: dict[Resources, list[Pair]] = {}
    for pair in pairs:
        classes.setdefault(pair[0].resources, []).append(pair)
    groups = [_Class(resources, members, records, now) for resources, members in classes.items()]
    return [_advise(group, pack, gpu_gb, place or (lambda _resources, _key: "")) for group in groups]


def _advise(group: _Class, pack: Pack, gpu_gb: float | None, place: Place) -> Advice:
    runs = len(group.completed)
    said: list[Suggestion | str] = []
    if runs < LEAST_RUNS:
        said.append(f"{runs} completed run{'s' * (runs != 1)}: nothing is advised from fewer than {LEAST_RUNS}")
    else:
        said += [*_memory(group), *_time(group), *_sharing(group, pack, gpu_gb)]
    suggestions = [one for one in said if isinstance(one, Suggestion)]
    return Advice(
        asked=tell(group.resources),
        runs=runs,
        suggestions=tuple(msgspec.structs.replace(one, place=place(group.resources, one.key)) for one in suggestions),
        notes=tuple(one for one in said if isinstance(one, str)),
    )


def _memory(group: _Class) -> Iterator[Suggestion | str]:
    peaks, died, asked = group.peaks_gb, group.died_gb(), group.resources.mem_gb
    if len(peaks) < LEAST_RUNS:
        yield f"host memory was measured of {len(peaks)} runs only"
        return
    better = _enough_memory(group)
    if died and better > asked:
        told = f"{len(died)} attempt{'s' * (len(died) > 1)} died for memory, at up to {max(died):g} GB"
        yield Suggestion(key="mem_gb", asked=f"{asked:g}", better=f"{better:g}", reason=told)
    elif not died and (better <= WORTH * asked or better > asked):
        told = f"peak of {len(peaks):,} runs: {max(peaks):.1f} GB, + {MARGIN - 1:.0%}".replace("%", " %")
        yield Suggestion(key="mem_gb", asked=f"{asked:g}", better=f"{better:g}", reason=told)


def _enough_memory(group: _Class) -> float:
    return _round_up(MARGIN * max([*group.peaks_gb, *group.died_gb()]), _MEMORY_STEPS)


def _time(group: _Class) -> Iterator[Suggestion | str]:
    asked, longest, late = group.resources.time_min, max([*group.minutes, group.running_min]), group.out_of_time()
    if late:
        yield f"{late} run{'s' * (late > 1)} reached the time limit and did not complete: no shorter one is advised"
        return
    better = max(1.0, _round_up(MARGIN * longest, _TIME_STEPS))
    if better <= WORTH * asked:
        told = f"longest of {len(group.minutes):,} runs: {_told_min(longest)}, + {MARGIN - 1:.0%}".replace("%", " %")
        yield Suggestion(key="time_min", asked=f"{asked:g}", better=f"{better:g}", reason=told)


def _sharing(group: _Class, pack: Pack, gpu_gb: float | None) -> Iterator[Suggestion | str]:
    """Advise that runs share a GPU, where its memory holds them, and what one asks for now holds what they need together."""
    asked, peaks = group.resources, group.gpu_peaks_gb
    if asked.gpus != 1 or asked.nodes != 1 or pack.per_gpu > 1:
        return
    if len(peaks) < LEAST_RUNS:
        yield f"GPU memory was measured of {len(peaks)} runs only"
        return
    if gpu_gb is None:
        yield f"a run takes up to {max(peaks):.1f} GB of its GPU; --gpu-gb SIZE says whether several fit on one"
        return
    fit = int(min(MOST_SHARED, gpu_gb / (MARGIN * max(peaks))))
    if fit < 2 or len(group.peaks_gb) < LEAST_RUNS:
        return
    each_gb = _enough_memory(group)
    shared = min(fit, int(asked.mem_gb / each_gb))
    if shared < 2:
        yield f"{fit} runs would fit on one GPU, but not into {asked.mem_gb:g} GB of host memory: each needs {each_gb:g} GB"
        return
    better = f"{{per_gpu: {shared}, per_task: {max(shared, pack.per_task)}}}"
    told = f"{shared} runs fit on one GPU: a run takes up to {max(peaks):.1f} of {gpu_gb:g} GB, and {each_gb:g} GB of host memory"
    yield Suggestion(key="pack", asked=f"{{per_gpu: {pack.per_gpu}, per_task: {pack.per_task}}}", better=better, reason=told)


def _measured(values: Iterable[float]) -> list[float]:
    return [value for value in values if value > 0]


def _useful_min(attempt: Attempt) -> float:
    return attempt.runtime_s / 60 if attempt.state is State.COMPLETED or attempt.saved_at is not None else 0.0


def _round_up(value: float, steps: Sequence[tuple[float, float]]) -> float:
    step = next(step for up_to, step in steps if value <= up_to)
    return step * math.ceil(value / step - 1e-9)


def _told_min(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes >= 2 else f"{60 * minutes:.0f} s"
