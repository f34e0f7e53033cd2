"""Looking again and again: what has changed is seen, what has not is not read again; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.launch.opened import OpenGrid
from orchestrator.live import reading
from orchestrator.live.filters import Filter, parse_filter
from orchestrator.live.order import Order
from orchestrator.live.reading import GridReader, GridsReader, ledger_stamp
from orchestrator.live.view import Wish, make_view
from orchestrator.results.select import Selection
from orchestrator.store.errors import SelectionError, StoreError
from orchestrator.store.states import Cause, State
from tests.live.conftest import WORDS
from tests.watchdog.conftest import clock, study
from tests.watchdog.study import Study

__all__ = ["clock", "study"]


@pytest.fixture
def reader(study: Study, monkeypatch: pytest.MonkeyPatch) -> GridReader:
    """A reader that finds the study's stand-in where it would find a scheduler."""
    monkeypatch.setattr(reading, "site_of", lambda *_, **__: study.site)
    return GridReader(study.paths)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """How often a function of the reader was called."""
    counts: dict[str, int] = {}

    def counted(name: str) -> None:
        function = getattr(reading, name)

        def wrapped(*args: object, **kwargs: object) -> object:
            counts[name] = counts.get(name, 0) + 1
            return function(*args, **kwargs)

        monkeypatch.setattr(reading, name, wrapped)

    for name in ("read_records", "OpenGrid", "read_recorded"):
        counted(name)
    return lambda name: counts.get(name, 0)


def test_what_has_not_changed_is_read_once(study: Study, reader: GridReader, reads: Callable[[str], int]) -> None:
    study.launch(1, 2)
    for _ in range(3):
        assert reader.look().overview.counts == {"queued": 2}
    assert (reads("read_records"), reads("OpenGrid")) == (1, 1)


def test_what_is_written_meanwhile_is_seen(study: Study, reader: GridReader) -> None:
    study.launch(1, 2)
    assert reader.look().overview.counts == {"queued": 2}
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    assert reader.look().overview.counts == {"queued": 1, "failed": 1}
    study.launch(1, 2, 3)
    assert reader.look().overview.counts == {"queued": 2, "failed": 1}


def test_ends_that_nobody_recorded_are_found_once_and_stay(study: Study, reader: GridReader, monkeypatch: pytest.MonkeyPatch) -> None:
    study.launch(1, 2)
    study.end(1, 2, state=State.FAILED, cause=Cause.ERROR)
    before = ledger_stamp(study.paths)
    assert reader.look().overview.counts == {"failed": 2}
    asked: list[object] = []
    monkeypatch.setattr("orchestrator.worker.journals.read_lines", lambda *args: asked.append(args) or iter(()))
    assert reader.look().overview.counts == {"failed": 2}
    assert asked == []
    assert ledger_stamp(study.paths) == before


def test_a_run_that_a_watch_takes_up_again_has_not_ended(study: Study, reader: GridReader) -> None:
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.NODE_FAILURE)
    sight = reader.look()
    assert sight.overview.counts == {"failed": 1} and [wait.runs for wait in sight.overview.waits] == [1]
    assert not make_view(reader, sight, Wish(), WORDS).all_ended


def test_a_run_that_nothing_takes_up_again_has_ended(study: Study, reader: GridReader) -> None:
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    assert make_view(reader, reader.look(), Wish(), WORDS).all_ended


def test_the_ledger_is_read_again_after_a_while(
    study: Study, reader: GridReader, reads: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    study.launch(1)
    reader.look()
    monkeypatch.setattr(reading, "BELIEVED_S", -1.0)
    reader.look()
    assert reads("read_records") == 2


def test_a_grid_that_is_gone_is_an_error_with_its_place(study: Study, reader: GridReader) -> None:
    study.launch(1)
    reader.look()
    study.paths.manifest.unlink()
    with pytest.raises(StoreError, match="is not there any more"):
        reader.look()


def test_filters_are_those_of_the_command_line(study: Study, reader: GridReader) -> None:
    study.launch(1, 2, 3)
    study.end(2, state=State.FAILED, cause=Cause.ERROR)
    sight = reader.look()

    def seeds(typed: str) -> list[object]:
        view = make_view(reader, sight, Wish(parse_filter(typed)), WORDS)
        return [line.varying["seed"] for line in view.lines]

    assert seeds("") == [2, 1, 3]  # what stands still comes first
    assert seeds("seed>1") == [2, 3]
    assert seeds("queued seed>1") == [3]
    failure = sight.overview.failures[0].id
    assert seeds(f"signature={failure}") == [2]
    for wrong in ("sead>1", "seed>", "signature=000000"):
        with pytest.raises(SelectionError, match=r"^filter: ") as raised:
            seeds(wrong)
        assert "--" not in str(raised.value)
    assert make_view(reader, sight, Wish(Filter(text="seed=3")), WORDS).places.keys() == {sight.overview.lines[2].id}


@pytest.mark.parametrize(("order", "seeds"), [(Order.STATE, [2, 1]), (Order.FILE, [1, 2])])
def test_a_limit_keeps_the_first_of_the_order_that_is_shown(study: Study, reader: GridReader, order: Order, seeds: list[int]) -> None:
    study.launch(1, 2, 3)
    study.end(2, state=State.FAILED, cause=Cause.ERROR)
    view = make_view(reader, reader.look(), Wish(Filter(Selection(limit=2)), order), WORDS)
    assert [line.varying["seed"] for line in view.lines] == seeds


def test_an_expression_is_evaluated_once_for_all_looks(study: Study, reader: GridReader, monkeypatch: pytest.MonkeyPatch) -> None:
    study.launch(1, 2)
    asked: list[object] = []
    select = reading.select
    monkeypatch.setattr(reading, "select", lambda *args: asked.append(args) or select(*args))
    for _ in range(3):
        make_view(reader, reader.look(), Wish(parse_filter("seed=1")), WORDS)
    assert len(asked) == 1


def test_a_grid_that_was_opened_anew_is_searched_anew(study: Study, reader: GridReader) -> None:
    study.launch(1, 2)
    sight, wanted = reader.look(), parse_filter("seed>0")
    found = reader.matching(sight, wanted)
    assert found is not None and len(found) == 2
    manifests, again = dict(sight.grid.manifests), OpenGrid(study.paths)
    vars(sight.grid)["manifests"] = vars(again)["manifests"] = manifests  # the place in memory says nothing
    reader.matching(sight, parse_filter("seed>1"))
    assert reader.matching(sight, wanted) == found
    manifests.popitem()
    assert len(reader.matching(sight._replace(grid=again), wanted) or ()) == 1


def test_grids_are_listed_and_read_again_when_they_change(study: Study, reads: Callable[[str], int]) -> None:
    study.launch(1)
    grids = GridsReader(study.paths.dir.parent)
    assert [grid.counts for grid in grids.look()] == [{"queued": 1}]
    grids.look()
    assert reads("read_recorded") == 1
    study.launch(1, 2)
    assert [grid.counts for grid in grids.look()] == [{"queued": 2}]


def test_there_may_be_no_grids(tmp_path: Path) -> None:
    assert GridsReader(tmp_path / "nothing").look() == []
