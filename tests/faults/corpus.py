"""The labelled failures of tests/recorded/failures: read, diagnosed, and counted.

A case is a text file: a few lines of YAML, a line of three dashes, and the log. `cause` is what a person says of it and
`origin` where it comes from: raised (here, by programs.py), slurm (from the test cluster), thread (the words of a public
one, `source` names it) or composed (of rows that the cluster wrote and figures that make the case). `exit` is for the
worker's judgement; a case with `row` is one for the watchdog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from orchestrator.cluster.scheduler import TaskRow, TaskState
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.diagnose import Case, diagnose
from orchestrator.worker.processes import Exit
from orchestrator.worker.verdict import Evidence, judge

FAILURES = Path(__file__).parents[1] / "recorded" / "failures"
ORIGINS = ("raised", "slurm", "thread", "composed")


class Labelled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case."""

    name: str = ""
    log: str = ""
    cause: str
    origin: str
    source: str
    exit: str = "code 1"
    """ "code 1" or "signal 9" """
    row: str | None = None
    """ "sacct FAILED 9:0", "sacct CANCELLED 0:0 by 1000", or "none": no source names the task."""
    oom: bool = False
    """A step says that it was killed for memory."""
    packed: bool = False
    oom_kills: int | None = None
    measured_gb: float = 0.0
    mem_gb: float = 32.0
    worker_log: str = ""
    lasted_s: float | None = None
    """From the start to the last heartbeat; the limit is an hour."""


class Score(NamedTuple):
    """How the diagnoses compare with the labels."""

    right: int
    wrong: tuple[str, ...]
    """One line a case that was not recognised."""
    successes: tuple[str, ...]
    """Failures that were called a success: there must be none."""
    confused: dict[tuple[str, str], int]
    """(label, diagnosis) → how many."""

    @property
    def cases(self) -> int:
        return self.right + len(self.wrong)

    def summary(self) -> str:
        """Return the figures in words, then one line a confusion."""
        lines = [f"{self.right} of {self.cases} failures recognised, {len(self.successes)} called a success"]
        return "\n".join([*lines, *(f"  {label} taken for {said}: {count}" for (label, said), count in sorted(self.confused.items()))])


def read_cases(folder: Path = FAILURES) -> list[Labelled]:
    """Read all cases of a folder, in the order of their names."""
    return [read_case(path.read_text(), path.stem) for path in sorted(folder.glob("*.txt"))]


def read_case(text: str, name: str) -> Labelled:
    """Read one case; raises msgspec.ValidationError for fields that no case has."""
    header, _, log = text.partition("\n---\n")
    fields: dict[str, Any] = yaml.safe_load(header)
    return msgspec.convert({**fields, "name": name, "log": log}, Labelled)


def score(cases: Iterable[Labelled]) -> Score:
    """Diagnose all cases and compare with their labels."""
    judged = [(case, *diagnosed(case)) for case in cases]
    wrong = [(case, cause) for case, _, cause in judged if cause != case.cause]
    return Score(
        right=len(judged) - len(wrong),
        wrong=tuple(f"{case.name}: {case.cause}, diagnosed as {cause}" for case, cause in wrong),
        successes=tuple(case.name for case, state, _ in judged if state is State.COMPLETED),
        confused=dict(Counter((case.cause, cause) for case, cause in wrong)),
    )


def diagnosed(case: Labelled) -> tuple[State, str]:
    """Return state and cause, as the worker says them, or for a case with a row the watchdog."""
    if case.row is not None:
        ending = diagnose(watched(case))
        return ending.state, ending.diagnosis.cause.value
    verdict = judge(
        Evidence(
            exit=_exit(case.exit),
            end=None,
            log=case.log,
            oom_kills=case.oom_kills,
            shared=case.packed,
            peak_gb=case.measured_gb,
            mem_gb=case.mem_gb,
        )
    )
    return verdict.state, verdict.diagnosis.cause.value if verdict.diagnosis else ""


def watched(case: Labelled) -> Case:
    """Return what the watchdog knows of a case."""
    return Case(
        row=_row(case.row or "none", oom=case.oom),
        packed=case.packed,
        log=case.log,
        worker_log=case.worker_log,
        measured_gb=case.measured_gb,
        mem_gb=case.mem_gb,
        began=0.0,
        heartbeat_at=case.lasted_s,
        limit_s=3600.0,
    )


def _exit(text: str) -> Exit:
    how, number = text.split()
    return Exit(code=int(number)) if how == "code" else Exit(signal=int(number))


def _row(text: str, *, oom: bool) -> TaskRow | None:
    if text == "none":
        return None
    source, word, numbers, *reason = text.split(maxsplit=3)
    code, _, number = numbers.partition(":")
    return TaskRow(
        token="t",
        job_id="1",
        index=0,
        state=TaskState.ENDED,
        word=word,
        reason="".join(reason),
        exit_code=int(code),
        signal=int(number),
        oom=oom or word == "OUT_OF_MEMORY" or number == "125",
        ended_at=3600.0,
        source=source,
    )


def untold(cases: Sequence[Labelled]) -> set[str]:
    """Return the causes of an end that no case shows."""
    told = {case.cause for case in cases}
    return {cause.value for cause in Cause} - told
