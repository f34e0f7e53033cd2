"""Several processes that read: they change nothing but the time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator.metrics import readers
from orchestrator.metrics.attempts import attempts_of
from orchestrator.metrics.looking import Asked, News
from orchestrator.store.records import Record
from tests.metrics.shelf import Shelf, record, told

RUNS = tuple(f"{number:016x}" for number in range(1, 12))


@pytest.fixture
def many(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Runs that three processes share; the metrics of each are its own, and every third has attempts of several shapes."""
    monkeypatch.setattr(readers, "RUNS_EACH", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    for place, run in enumerate(RUNS):
        shelf.report({"step": 1, "q": place, "note": run}, {"step": 2, "q": "nan", f"only/{place % 4}": 2}, run=run)
        if place % 3 == 0:
            shelf.report({"step": 2, "r": -place}, run=run, number=2)
    return [record(*((1, 2) if place % 3 == 0 else (1,)), run=run) for place, run in enumerate(RUNS)]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of the readers that were started."""
    found: list[int] = []
    inner = readers._begin

    def begin(*arguments: object) -> object:
        reader = inner(*arguments)  # type: ignore[arg-type]
        found.append(reader.pid)
        return reader

    monkeypatch.setattr(readers, "_begin", begin)
    return found


def everything(shelf: Shelf, records: list[Record]) -> str:
    history = shelf.read(*records, keep=False)
    return repr([(run, told(each), each.texts, each.unread) for run, each in history.items()])


def test_several_processes_read_what_one_reads(shelf: Shelf, many: list[Record], begun: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    together = everything(shelf, many)
    assert len(begun) == 2
    monkeypatch.setattr(readers, "RUNS_EACH", 5_000)
    assert everything(shelf, many) == together
    assert len(begun) == 2


def test_the_share_of_a_reader_that_cannot_start_or_dies_is_read_all_the_same(
    shelf: Shelf, many: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = everything(shelf, many)
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nhead -c 100 /dev/zero\nkill -9 $$\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    assert everything(shelf, many) == expected
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    assert everything(shelf, many) == expected


def test_no_reader_outlives_an_error(shelf: Shelf, many: list[Record], begun: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> News:
        raise KeyboardInterrupt

    monkeypatch.setattr(readers, "read_news", fail)
    with pytest.raises(KeyboardInterrupt):
        everything(shelf, many)
    assert len(begun) == 2
    for pid in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_grid_in_which_nothing_is_to_be_read_starts_nobody(shelf: Shelf, begun: list[int]) -> None:
    found = readers.read_all_news([], now=0.0)
    assert (list(found.columns.runs), found.gone, begun) == ([], [], [])


def test_runs_that_are_gone_are_told_by_all_processes(shelf: Shelf, many: list[Record]) -> None:
    asked = [Asked(each.id, "known", "", attempts_of(shelf.paths, each)) for each in many]
    for each in many:
        shelf.attempt(run=each.id).metrics.unlink()
        (shelf.attempt(2, run=each.id).metrics).unlink(missing_ok=True)
    assert readers.read_all_news(asked, now=2e9).gone == list(RUNS)
