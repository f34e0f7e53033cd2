"""The overview of a grid as it is this moment: one look, and what the files of the shown runs add to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import TaskState
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.launch.launch import count_live
from orchestrator.launch.opened import OpenGrid
from orchestrator.launch.plan import free_slots, last_resources
from orchestrator.messages.outbox import read_outbox, undelivered
from orchestrator.metrics.latest import Latest, read_latest
from orchestrator.results.advice import Advice, advise
from orchestrator.results.failures import Failure, first_line, with_excerpts
from orchestrator.results.overview import Overview, Pair, make_overview, most_telling
from orchestrator.results.reasons import needs_partition_limit
from orchestrator.results.select import Selection, select
from orchestrator.results.waiting import Delay, Surroundings
from orchestrator.store.errors import InputError
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Record, Records
from orchestrator.store.states import BAD_ENDS, State
from orchestrator.watchdog.decisions import Decisions, decisions_of, has_bad_ends
from orchestrator.watchdog.janitor import missing_janitors
from orchestrator.watchdog.look import JANITORS, Look, Site, known_limits, look
from orchestrator.watchdog.refusals import REFUSED_MOST_S, refused_lately
from orchestrator.worker.outcome import read_end

EXCERPTS = 20
"""Of so many groups of failures, the largest, one run's end is read."""

_ROUNDS = 3
"""What could be done for so many rounds of a watch, and was not, nobody does."""


def take_picture(grid: OpenGrid, site: Site, selection: Selection, *, seen: Look | None = None, lines: int | None = None) -> Overview:
    """Return what status shows; writes nothing. `seen` is a look that was taken already; `lines`: how many runs get a line, None all."""
    seen = seen or look(grid, site)
    pairs = select(grid.manifests, seen.records, selection)
    shown = pairs if lines is None else most_telling(pairs, lines)
    latest = _read_reports(grid.paths, (record for _, record in shown), also_ended=lines is not None)
    overview = make_overview(
        grid.paths.name,
        pairs,
        seen.records,
        seen.snapshot,
        latest=latest,
        objective=grid.spec.objective,
        around=_surroundings(grid, site, seen, pairs),
        shown=shown,
    )
    excerpts = dict(_read_excerpts(grid.paths, overview.failures[:EXCERPTS], seen.records))
    watched = _has_janitor(grid) and len(missing_janitors(grid, seen.snapshot)) < len(JANITORS)
    notes = (*overview.notes, *_unmade(grid), *undelivered(read_outbox(grid.paths), seen.snapshot.taken_at))
    return msgspec.structs.replace(overview, failures=with_excerpts(overview.failures, excerpts), janitor=watched, notes=notes)


def _unmade(grid: OpenGrid) -> Iterator[str]:
    """Say what a grid without runs waits for; which are missing of one that has some, only `watch` works out."""
    needed = sorted({need.grid for leaf in grid.spec.leaves for need in leaf.needs.values()})
    if needed and not grid.manifests:
        yield f"Its runs start from results of {', '.join(needed)}; they are made when these are there, by: mrsweep watch {grid.paths.name}"


def take_advice(grid: OpenGrid, site: Site, selection: Selection, *, gpu_gb: float | None = None) -> list[Advice]:
    """Return what finished runs say about what the grid file asks for; writes nothing. `gpu_gb`: the memory of one GPU."""
    seen = look(grid, site)
    pairs = select(grid.manifests, seen.records, selection)
    spec = written_spec(grid.spec)

    def place(resources: Resources, key: str) -> str:
        return str(spec.place(key) if key == "pack" else spec.place_of_resources(resources, key))

    return advise(pairs, seen.records, pack=grid.spec.pack, now=seen.snapshot.taken_at, gpu_gb=gpu_gb, place=place)


def written_spec(frozen: Spec) -> Spec:
    """Return the grid file that a person would edit, where it lies in its usual place; else the copy that was launched."""
    file = Path("grids", f"{frozen.name}.yaml")
    try:
        written = read_spec(file, variant=frozen.variant)
    except InputError:
        return frozen
    return written if written.name == frozen.name else frozen


def read_running(grid: OpenGrid, records: Records) -> dict[str, Latest]:
    """Return run id → newest report, for the runs that compute now."""
    return _read_reports(grid.paths, records.runs.values(), also_ended=False)


def _read_reports(paths: GridPaths, records: Iterable[Record], *, also_ended: bool) -> dict[str, Latest]:
    """Return run id → newest report of the runs that compute, and where `also_ended` of those that ended badly."""
    states = {State.RUNNING, State.STALLED} | (BAD_ENDS if also_ended else set())
    found = {}
    for record in records:
        attempt = record.current
        if record.state not in states or attempt is None:
            continue
        latest = read_latest(paths.run(record.id).attempt(attempt.number, attempt.restart))
        if latest is not None:
            found[record.id] = latest
    return found


def _read_excerpts(paths: GridPaths, failures: Sequence[Failure], records: Records) -> Iterator[tuple[str, str]]:
    """Yield (group, excerpt) of one run of each group: the first that wrote how it ended."""
    for failure in failures:
        started = ((run_id, attempt) for run_id in failure.runs if (attempt := records.get(run_id).current) is not None)
        run_id, attempt = next(started, ("", None))
        if attempt is None:
            continue
        end = read_end(paths.run(run_id).attempt(attempt.number, attempt.restart))
        if end is not None and end.excerpt:
            yield failure.id, end.excerpt


def _surroundings(grid: OpenGrid, site: Site, seen: Look, pairs: Sequence[Pair]) -> Surroundings:
    """Return what tells why runs wait. The cluster's limits are asked for only where they decide something."""
    records, snapshot = seen.records, seen.snapshot
    slots = min(grid.spec.max_parallel, site.workers or grid.spec.max_parallel)
    limits = known_limits(site) if _too_long(seen) else None  # else a status would ask five questions more
    decisions = decisions_of(grid, site, records, snapshot, limits) if has_bad_ends(records) else Decisions()
    delays = {run_id: Delay(reason=decision.reason, due=decision.due) for run_id, decision in decisions.later.items()}
    given_up = {run_id: Delay(reason=answer.reason) for run_id, answer in decisions.given_up.items()}
    return Surroundings(
        slots=slots,
        bound="max_parallel" if slots == grid.spec.max_parallel else f"workers of profile {site.profile.name}",
        free=free_slots(records, count_live(snapshot), slots),
        launched=frozenset(grid.launched()),
        again=frozenset(decisions.again) | decisions.later.keys(),
        delays={**_refused(pairs, records, snapshot.taken_at), **delays, **given_up},
        patience_s=_ROUNDS * _round_s(grid, site),
        partition_limit_min=limits.partition_limit_min if limits else None,
    )


def _round_s(grid: OpenGrid, site: Site) -> float:
    """Return how long lies between two rounds of whoever watches the grid."""
    return 60 * site.profile.janitor_min if _has_janitor(grid) else site.profile.poll_s


def _has_janitor(grid: OpenGrid) -> bool:
    return grid.settings is not None and grid.settings.janitor


def _too_long(seen: Look) -> bool:
    rows = (row for rows in seen.snapshot.tasks.values() for row in rows.values())
    return any(row.state is TaskState.WAITING and needs_partition_limit(row.reason) for row in rows)


def _refused(pairs: Sequence[Pair], records: Records, now: float) -> Mapping[str, Delay]:
    """Return the runs that were planned and refused lately: run → when they are submitted again at the latest."""
    kinds = {
        msgspec.convert(one.resources, Resources): Delay(
            reason=f"the scheduler refused it ({first_line(one.refused)[:120].rstrip('.')})", due=one.at + REFUSED_MOST_S
        )
        for one in refused_lately(records.submissions.values(), now)
        if one.runs
    }
    if not kinds:
        return {}
    planned = ((manifest.id, last_resources(manifest, records)) for manifest, record in pairs if record.state is State.PLANNED)
    return {run_id: kinds[resources] for run_id, resources in planned if resources in kinds}
