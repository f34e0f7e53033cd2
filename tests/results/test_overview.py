"""What status shows of runs that wait."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.results.overview import make_overview
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State

RUN = f"{1:016x}"
REASONS = [
    # (Slurm's word, how the grid's head tells it, the run's note)
    ("None", {"no reason yet": 1}, ""),
    ("", {"no reason yet": 1}, ""),
    ("Priority", {"Priority": 1}, "waits: Priority"),
]


@pytest.mark.parametrize(("word", "told", "note"), REASONS)
def test_a_task_that_slurm_has_not_considered_yet_has_no_reason_yet(word: str, told: dict[str, int], note: str) -> None:
    row = TaskRow(token="t", job_id="1", index=0, state=TaskState.WAITING, word="PENDING", reason=word, source="squeue")
    record = Record(id=RUN, state=State.QUEUED, token="t", attempt=1)
    pairs = [(Manifest(id=RUN, version=1, config={}), record)]
    snapshot = Snapshot(taken_at=0.0, queue_ok=True, accounting_ok=True, tasks={"t": {0: row}})
    picture = make_overview("g", pairs, Records(runs={RUN: record}), snapshot, latest={}, objective=None, slots=1)
    assert picture.pending == told
    assert picture.lines[0].note == note
