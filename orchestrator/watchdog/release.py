"""Let the runs follow that wait for their canaries."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from orchestrator.launch.canary import NOT_THROUGH, Verdict, judge_canaries
from orchestrator.launch.opened import OpenGrid
from orchestrator.metrics.latest import read_latest
from orchestrator.store.events import Changed
from orchestrator.store.files import write_atomic
from orchestrator.store.ledger import Pen
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State


def verdict_of(grid: OpenGrid, records: Records) -> Verdict | None:
    """Return how the canaries of a grid stand; None where nothing waits for any."""
    settings = grid.settings
    if settings is None or not settings.canaries:
        return None
    canaries = [records.get(run_id) for run_id in settings.canaries]
    steps = {record.id: _step(grid, record) for record in canaries}
    return judge_canaries(canaries, steps, settings.canary_step)


def canaries_are_through(grid: OpenGrid, records: Records) -> bool:
    """Say whether runs wait that may follow now."""
    return verdict_of(grid, records) is Verdict.PASSED


def release_behind(pen: Pen, grid: OpenGrid, taken_up: Collection[str]) -> list[str]:
    """Let the others follow when the canaries are through; returns the sentence that says so, or that they failed.

    `taken_up`: runs that ended badly and get another attempt.
    """
    settings, verdict = grid.settings, verdict_of(grid, pen.records)
    behind = [record for record in pen.records.runs.values() if record.state is State.HELD]
    if settings is not None and verdict is Verdict.FAILED:
        return _note_failure(pen, [run_id for run_id in settings.canaries if run_id not in taken_up], behind)
    if settings is None or pen.records.paused is not None or verdict is not Verdict.PASSED:
        return []
    reason = "the canaries are through"
    pen.write(*(Changed(at=pen.clock(), run=record.id, state=State.PLANNED, reason=reason) for record in behind))
    write_atomic(pen.paths.settings, msgspec.json.encode(msgspec.structs.replace(settings, canaries=(), canary_step=None)))
    return [f"{reason}: {len(behind)} runs follow"]


def _note_failure(pen: Pen, canaries: Sequence[str], behind: Sequence[Record]) -> list[str]:
    """Say once, and in the reason of each run that stays held, which canary failed."""
    failed = next((record for run_id in canaries if (record := pen.records.get(run_id)).state in NOT_THROUGH), None)
    if failed is None:
        return []
    reason = f"canary {failed.id[:8]} is {failed.state.value}" + (f" ({failed.cause.value})" if failed.cause else "")
    untold = [record for record in behind if record.reason != reason]
    pen.write(*(Changed(at=pen.clock(), run=record.id, state=State.HELD, reason=reason) for record in untold))
    again = f"let them go with: mrsweep launch {pen.paths.name} --resume"
    return [f"{reason}: {len(untold)} runs stay held; {again}"] if untold else []


def _step(grid: OpenGrid, record: Record) -> int | None:
    attempt = record.current
    if record.state is not State.RUNNING or attempt is None:
        return None
    latest = read_latest(grid.paths.run(record.id).attempt(attempt.number, attempt.restart))
    return latest.step if latest else None
