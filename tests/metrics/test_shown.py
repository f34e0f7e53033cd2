"""What tables show of runs, kept beside the curves: the same as the curves say, without reading them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.grid.objective import Objective
from orchestrator.metrics import looking, reading, shown
from orchestrator.metrics.derived import write_derived
from orchestrator.metrics.history import RunHistory
from orchestrator.tables.values import ended_infinite, select_step, values_of
from tests.metrics.shelf import OTHER, RUN, Shelf, completed, record, told

HIGHEST, LOWEST = Objective(name="q"), Objective(name="q", mode="min")
LINES = some.lists(
    some.fixed_dictionaries(
        {"step": some.integers(0, 4)},
        optional={"q": some.one_of(some.floats(width=16), some.text(max_size=2)), "r": some.floats(width=16), "s": some.none()},
    ),
    max_size=5,
)


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody read curves."""

    def refuse(*_: object) -> None:
        raise AssertionError("curves were read")

    monkeypatch.setattr(reading, "read_cache", refuse)
    monkeypatch.setattr(looking, "read_attempts", refuse)


def as_table(run: RunHistory, selection: Objective | None) -> str:
    """Return what a table of runs says of a run."""
    step = select_step(run, selection)
    values = values_of(run, ("q", "r", "s", "t"), step.step if step else None, step.place if step else 0)
    return repr((step, values, selection is not None and ended_infinite(run, selection)))


@given(lines=LINES, final=some.dictionaries(some.sampled_from("qrst"), some.floats(width=16), max_size=2))
@pytest.mark.parametrize("selection", [HIGHEST, LOWEST, Objective(name="absent"), None])
def test_a_table_says_the_same_with_and_without_curves(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, object]], final: dict[str, float], selection: Objective | None
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.report(*lines)
    one = record(metrics=final)
    expected = as_table(shelf.read(one, keep=False)[RUN], selection)
    assert [as_table(shelf.read_shown(one, selection=selection)[RUN], selection) for _ in range(2)] == [expected, expected]


def test_what_is_shown_is_known_without_the_curves(shelf: Shelf, request: pytest.FixtureRequest) -> None:
    shelf.report({"step": 1, "q": 0.5, "r": 1}, {"step": 2, "q": 0.25, "r": 2, "note": "x"})
    shelf.read_shown()
    request.getfixturevalue("no_curves")
    run = shelf.read_shown()[RUN]
    assert (list(run.curves), run.texts, select_step(run, HIGHEST), values_of(run, ("r",), 1.0)) == (
        ["q", "r"],
        {"note": "x"},
        (1.0, 0),
        [1.0],
    )
    with pytest.raises(AssertionError, match="curves were read"):
        run.curves["q"]


def test_curves_are_there_when_they_are_asked_for_even_where_their_own_file_is_gone(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 0.5})
    shelf.read_shown()
    expected = {"q": [(1, 0.5)]}
    assert told(shelf.read_shown()[RUN]) == expected
    run = shelf.read_shown()[RUN]
    shelf.paths.reported.unlink()
    assert told(run) == expected
    with pytest.raises(KeyError):
        run.curves["other"]


@pytest.mark.parametrize(("values", "ended"), [((0.5, float("nan")), True), ((float("nan"), 0.5), False)])
def test_the_end_of_the_selection_metric_is_kept(shelf: Shelf, values: tuple[float, float], ended: bool) -> None:
    shelf.report(*({"step": step, "q": value} for step, value in enumerate(values)))
    assert [ended_infinite(shelf.read_shown()[RUN], HIGHEST) for _ in range(2)] == [ended, ended]


def test_another_selection_than_the_last_is_computed_anew(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 0.5}, {"step": 2, "q": 0.25})
    for selection, step in ((HIGHEST, 1.0), (LOWEST, 2.0), (None, None), (HIGHEST, 1.0)):
        found = select_step(shelf.read_shown(selection=selection)[RUN], selection)
        assert (found and found.step) == step


def test_boards_and_tables_leave_each_other_what_they_keep(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 0.5})
    shelf.read_shown()
    before = shelf.paths.shown.read_bytes()
    shelf.read()
    assert shelf.paths.shown.read_bytes() == before


def test_what_is_shown_is_kept_anew_when_others_read_the_news_first(shelf: Shelf, request: pytest.FixtureRequest) -> None:
    shelf.report({"step": 1, "q": 0.5})
    shelf.read_shown()
    shelf.report({"step": 1, "q": 0.25})
    shelf.read()  # as the folder for TensorBoard does
    shelf.read_shown()
    request.getfixturevalue("no_curves")
    assert values_of(shelf.read_shown()[RUN], ("q",), 1.0) == [0.25]


def test_nothing_is_kept_where_nothing_was_reported(shelf: Shelf) -> None:
    shelf.read_shown()
    assert list(shelf.paths.dir.iterdir()) == []


def test_a_file_with_any_byte_changed_or_missing_is_not_believed(shelf: Shelf) -> None:
    for place, run in enumerate((RUN, OTHER)):
        shelf.report({"step": 1, "q": place, "note": "x"}, {"step": 2, "r": 2}, run=run)
    records = [completed(run=run) for run in (RUN, OTHER)]
    expected = repr([(told(each), each.texts) for each in shelf.read_shown(*records).values()])
    whole = shelf.paths.shown.read_bytes()
    damaged = [whole[:cut] for cut in range(0, len(whole), 5)]
    damaged += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(len(whole))]
    for content in [*damaged, whole + b"\0", b""]:
        shelf.paths.shown.write_bytes(content)
        assert shown.read_shown(shelf.paths, HIGHEST) is None
    assert repr([(told(each), each.texts) for each in shelf.read_shown(*records).values()]) == expected
    assert shelf.paths.shown.read_bytes() == whole  # the same runs give the same bytes
    assert shelf.paths.shown.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head[1].pop(),
        lambda head: head[2].append("key"),
        lambda head: head[4].clear(),
        lambda head: head[4][0].pop(),
        lambda head: head[5][0].__setitem__(0, -1),
        lambda head: head[5][0].__setitem__(0, 7),
        lambda head: head[5][0].__setitem__(4, []),
        lambda head: head[5].pop(),
        lambda head: head[0].update(name="other"),
    ],
)
def test_a_file_made_by_an_enemy_is_not_believed(shelf: Shelf, change) -> None:
    shelf.report({"step": 1, "q": 0.5})
    shelf.read_shown(completed())
    head = msgspec.msgpack.decode(shelf.paths.shown.read_bytes()[30:])
    write_derived(shelf.paths.shown, shown._MAGIC, msgspec.msgpack.encode(head))
    assert shown.read_shown(shelf.paths, HIGHEST) is not None
    change(head)
    write_derived(shelf.paths.shown, shown._MAGIC, msgspec.msgpack.encode(head))
    assert shown.read_shown(shelf.paths, HIGHEST) is None
