"""Results of other grids, where their history is damaged."""

from __future__ import annotations

from pathlib import Path

import msgspec

from orchestrator.launch.adopt import find_adoptable
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Attempt, Record, Records
from orchestrator.store.states import State


def keep_history(paths: GridPaths, *records: Record) -> None:
    """Write a folded ledger that holds these records."""
    paths.ledger.mkdir(parents=True)
    paths.manifest.touch()
    (paths.ledger / "00000001.jsonl").touch()
    folded = {"epoch": 1, "size": 0, "records": Records(runs={record.id: record for record in records})}
    (paths.ledger / "snapshot-00000001.json").write_bytes(msgspec.json.encode(folded))


def test_a_completed_run_without_an_attempt_is_not_adopted(tmp_path: Path) -> None:
    proven = Record(id="a" * 16, state=State.COMPLETED, attempts=(Attempt(number=1),))
    unproven = Record(id="b" * 16, state=State.COMPLETED)
    keep_history(GridPaths(tmp_path / "other"), proven, unproven)
    found = find_adoptable(GridPaths(tmp_path / "mine"), [proven.id, unproven.id], now=1.0)
    assert [(adoption.run, adoption.attempt) for adoption in found] == [(proven.id, "attempt-1")]
