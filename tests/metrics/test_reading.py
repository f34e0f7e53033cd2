"""What runs reported, over attempts and restarts, from files of any sort and in any state."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.metrics import reports
from orchestrator.metrics.reports import LONGEST_LINE, decode_report
from orchestrator.store.layout import GridPaths
from orchestrator.store.states import State
from tests.metrics.shelf import OTHER, RUN, Shelf, completed, record, told

INF, NAN = math.inf, math.nan


def test_a_run_has_its_curves_texts_and_what_its_entry_returned(shelf: Shelf) -> None:
    shelf.report({"step": 1, "val/ssim": 0.5, "phase": "warm"}, {"step": 2, "val/ssim": 0.75, "phase": "main"}, {"step": 2.5, "loss": 3})
    found = shelf.one(metrics={"test/ssim": 0.7})
    assert told(found) == {"val/ssim": [(1, 0.5), (2, 0.75)], "loss": [(2.5, 3)]}
    assert (found.texts, found.final, found.unread) == ({"phase": "main"}, {"test/ssim": 0.7}, 0)
    assert list(found.names) == ["val/ssim", "loss", "phase", "test/ssim"]


def test_a_run_that_never_began_or_left_nothing_is_empty(shelf: Shelf) -> None:
    shelf.attempt(run=OTHER)
    history = shelf.read(record(run=OTHER), record().__class__(id=RUN))
    assert [dict(each.curves) for each in history.values()] == [{}, {}]
    assert not shelf.paths.reported.exists() or shelf.read(record(run=OTHER))[OTHER].unread == 0


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        # steps 3 and 4 of the first attempt are superseded by those of the second
        ([{2: 5, 3: 9, 4: 9}, {3: 1}], [(2, 5), (3, 1)]),
        # the second ended before it came as far as the first: what lies beyond is of a branch that was given up
        ([{1: 1, 2: 2, 9: 9}, {2: 7}], [(1, 1), (2, 7)]),
        # it went back before the first report of all
        ([{5: 5, 6: 6}, {1: 1}], [(1, 1)]),
        ([{1: 1}, {2: 2}, {3: 3}], [(1, 1), (2, 2), (3, 3)]),
        ([{1: 1, 2: 2, 3: 3}, {}, {3: 4}], [(1, 1), (2, 2), (3, 4)]),
    ],
)
def test_attempts_merge_by_step_and_the_later_one_wins(
    shelf: Shelf, attempts: list[dict[int, float]], expected: list[tuple[float, float]]
) -> None:
    for number, steps in enumerate(attempts, start=1):
        shelf.report(*({"step": step, "q": value} for step, value in steps.items()), number=number)
    assert told(shelf.one(*range(1, len(attempts) + 1))) == {"q": expected}


def test_restarts_by_slurm_come_between_attempts(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1}, {"step": 2, "q": 1}, number=2)
    shelf.report({"step": 2, "q": 21}, {"step": 3, "q": 21}, number=2, restart=10)
    shelf.report({"step": 3, "q": 3}, number=10)
    assert told(shelf.one(10, (2, 10), 2)) == {"q": [(1, 1), (2, 21), (3, 3)]}


def test_an_attempt_that_began_anew_supersedes_also_metrics_that_it_calls_otherwise(shelf: Shelf) -> None:
    shelf.report({"step": 0, "loss": 1, "val/SSIM": 0.9}, {"step": 1, "loss": 1, "val/SSIM": 1.0})
    shelf.report({"step": 0, "loss": 2, "val/ssim": 0.5}, number=2)
    assert told(shelf.one(1, 2)) == {"loss": [(0, 2)], "val/ssim": [(0, 0.5)]}


def test_what_every_attempt_reports_of_its_beginning_makes_none_of_them_begin_anew(shelf: Shelf) -> None:
    """Lightning writes hp_metric at step 0 whenever it starts, also where it goes on."""
    shelf.report({"step": 0, "hp_metric": -1}, {"step": 1, "loss": 1}, {"step": 2, "loss": 2})
    shelf.report({"step": 0, "hp_metric": -1}, {"step": 2, "loss": 5}, number=2)
    assert told(shelf.one(1, 2)) == {"hp_metric": [(0, -1)], "loss": [(1, 1), (2, 5)]}


def test_metrics_that_only_the_continued_attempt_reported_stay(shelf: Shelf) -> None:
    shelf.report({"step": 0, "loss": 1, "pretrain": 4}, {"step": 1, "loss": 1})
    shelf.report({"step": 1, "loss": 2, "val": 3}, number=2)
    assert told(shelf.one(1, 2)) == {"loss": [(0, 1), (1, 2)], "pretrain": [(0, 4)], "val": [(1, 3)]}


def test_what_came_after_the_attempt_that_completed_does_not_count(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1}, {"step": 2, "q": 2})
    shelf.report({"step": 1, "q": 9}, number=2)
    assert told(shelf.read(completed(1, 2, by=1))[RUN]) == {"q": [(1, 1), (2, 2)]}


def test_texts_follow_the_same_rule(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": "a"}, {"step": 2, "q": "b"}, {"step": 3, "q": 3})
    shelf.report({"step": 2, "q": 2}, {"step": 4, "q": "late"}, number=2)
    found = shelf.one(1, 2)
    assert (told(found), found.texts) == ({"q": [(2, 2)]}, {"q": "late"})
    shelf.report({"step": 2, "q": 2}, number=2)
    found = shelf.one(1, 2)
    assert (told(found), found.texts) == ({"q": [(2, 2)]}, {"q": "a"})


@pytest.mark.parametrize(
    ("line", "curves", "texts", "unread"),
    [
        ('{"step": 1, "q": NaN, "r": -Infinity, "s": Infinity}', {"q": [(1, NAN)], "r": [(1, -INF)], "s": [(1, INF)]}, {}, 0),
        ('{"step": 1, "q": "nan", "r": "-inf", "s": " NaN "}', {"q": [(1, NAN)], "r": [(1, -INF)], "s": [(1, NAN)]}, {}, 0),
        ('{"step": 1, "q": "NaN and Infinity", "r": NaN}', {"r": [(1, NAN)]}, {"q": "NaN and Infinity"}, 0),
        ('{"step": 1, "q": 123456789012345678901234567890, "r": "x"}', {"q": [(1, 1.2345678901234568e29)]}, {"r": "x"}, 0),
        (f'{{"step": 1, "q": {"9" * 400}, "r": -{"9" * 400}, "s": 1e999}}', {"q": [(1, INF)], "r": [(1, -INF)], "s": [(1, INF)]}, {}, 0),
        (f'{{"step": 1, "q": {"9" * 5000}}}', {}, {}, 1),  # more digits than Python reads
        ('{"step": 1, "q": true, "r": null, "s": [1], "t": {"a": {"b": 2}}}', {"q": [(1, 1)], "t/a/b": [(1, 2)]}, {}, 0),
        ('{"q": 1}', {"q": [(0, 1)]}, {}, 0),
        ('{"q": 1, "step": "three"}', {"q": [(0, 1)]}, {}, 0),
        ('{"q": 1, "step": NaN}', {"q": [(0, 1)]}, {}, 0),
        ('{"q": 1, "step": 1e300}', {"q": [(0, 1)]}, {}, 0),
        ('{"q": 1, "step": -2}', {"q": [(-2, 1)]}, {}, 0),
        ('{"step": 1}', {}, {}, 0),
        ("[1, 2]", {}, {}, 1),
        ("words", {}, {}, 1),
        ('{"step": 1, "q": 0.', {}, {}, 1),
        ('{"step": 1, "q": 1}{"step": 2, "q": 2}', {}, {}, 1),
        ('{"step": 1, "q": 1},{"step": 2, "q": 2}', {}, {}, 1),
        ("[" * 100_000, {}, {}, 1),
        ('{"q":' * 900 + "1" + "}" * 900, None, {}, 0),
        ('{"step": 1, "": 1, "a\\ud800": 2}', {"": [(1, 1)], "a?": [(1, 2)]}, {}, 0),
        ("", {}, {}, 0),
        ("\r", {}, {}, 0),
        ("\0\0\0", {}, {}, 0),
    ],
)
def test_no_line_stops_the_reading(
    shelf: Shelf, line: str, curves: dict[str, list[tuple[float, float]]] | None, texts: dict[str, str], unread: int
) -> None:
    good = '{"step": 7, "good": 1}\n'
    shelf.write(shelf.attempt().metrics, f"{good}{line}\n{good}")
    for found in (shelf.one(), shelf.one()):  # from the files and from the cache
        assert curves is None or repr(told(found)) == repr(as_floats({"good": [(7, 1)], **curves}))
        assert (found.texts, found.unread) == (texts, unread)


def as_floats(curves: dict[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    return {name: [(float(step), float(value)) for step, value in curve] for name, curve in curves.items()}


def test_a_line_that_is_not_utf8_is_passed_over(shelf: Shelf) -> None:
    shelf.write(shelf.attempt().metrics, b'{"step": 1, "q": 1}\n{"step": 2, "q": "\xff"}\n{"step": 3, "q": 3}\n')
    assert (told(shelf.one()), shelf.one().unread) == ({"q": [(1, 1), (3, 3)]}, 1)


@pytest.mark.parametrize("length", [LONGEST_LINE - 100, LONGEST_LINE + 100, 2 * LONGEST_LINE - 60, 10 * LONGEST_LINE])
@pytest.mark.parametrize("ended", [True, False])
def test_a_line_of_ten_megabytes_is_passed_over_and_what_follows_is_read(shelf: Shelf, length: int, ended: bool) -> None:
    long = json.dumps({"step": 2, "q": "x" * length})
    shelf.write(shelf.attempt().metrics, f'{{"step": 1, "q": 1}}\n{long}\n{{"step": 3, "q": 3}}{chr(10) * ended}')
    found = shelf.one()
    assert told(found) == {"q": [(1, 1), (3, 3)]}
    assert (found.unread, list(found.texts)) == ((0, ["q"]) if length < LONGEST_LINE else (1, []))


def test_a_line_of_too_many_numbers_is_passed_over(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1}, {f"a metric of many {place}": place for place in range(45_000)}, {"step": 3, "q": 3})
    assert (told(shelf.one()), shelf.one().unread) == ({"q": [(1, 1), (3, 3)]}, 1)


def test_a_line_without_end_is_never_held_as_a_whole(shelf: Shelf) -> None:
    path = shelf.write(shelf.attempt().metrics, b"x" * 10 * LONGEST_LINE)
    assert max(len(block) for block, _ in reports._blocks(path)) <= 2 * LONGEST_LINE


def test_a_file_cut_off_at_any_byte_gives_its_whole_lines(shelf: Shelf) -> None:
    lines = [b'{"step": 1, "q": 1.5}', b'{"step": 2, "q": "text"}', b'{"step": 3, "q": NaN}']
    content = b"\n".join(lines) + b"\n"
    for cut in range(len(content) + 1):
        shelf.write(shelf.attempt().metrics, content[:cut])
        found = shelf.one()
        whole = sum(cut >= len(b"\n".join(lines[: count + 1])) for count in range(3))
        steps = [step for curve in found.curves.values() for step in curve.steps.tolist()] + [2.0] * len(found.texts)
        assert (sorted(steps), found.unread) == ([1.0, 2.0, 3.0][:whole], 0), cut


def test_a_long_file_is_read_in_blocks(shelf: Shelf) -> None:
    steps = 60_000
    shelf.report(*({"step": step, "some/metric/with/a/long/name": step / 2, "text" if step == 9 else "n": step} for step in range(steps)))
    found = shelf.one()
    assert found.curves["some/metric/with/a/long/name"].values.tolist() == [step / 2 for step in range(steps)]
    assert (len(found.curves["n"].steps), found.unread) == (steps - 1, 0)
    assert os.path.getsize(shelf.attempt().metrics) > 2 * LONGEST_LINE


def test_a_report_far_down_a_long_file_counts_before_one_at_its_top(shelf: Shelf) -> None:
    between = [{"step": step, "fill": "x" * 1000} for step in range(3, 1300)]
    shelf.report({"step": 1, "q": "text"}, {"step": 2, "q": 2}, *between, {"step": 1, "q": 5}, {"step": 2, "q": "late"})
    found = shelf.one()
    assert (told(found), found.texts["q"]) == ({"q": [(1, 5)]}, "late")
    assert os.path.getsize(shelf.attempt().metrics) > LONGEST_LINE


def test_of_two_reports_of_a_step_the_later_counts_in_any_order(shelf: Shelf) -> None:
    shelf.report({"step": 2, "q": 1}, {"step": 1, "q": 2}, {"step": 2, "q": 3}, {"step": 1, "r": 4})
    assert told(shelf.one()) == {"q": [(1, 2), (2, 3)], "r": [(1, 4)]}
    shelf.report({"step": 2, "q": 1}, {"step": 1, "q": 2}, {"step": 2, "q": 3})
    assert told(shelf.one()) == {"q": [(1, 2), (2, 3)]}


@pytest.mark.parametrize(
    ("lines", "stepless"),
    [
        ([{"step": 0, "q": 1}, {"step": 1, "q": 2}], 0),
        ([{"epoch": epoch, "q": 0.5} for epoch in range(10)], 10),
        ([{"step": "a", "q": 1}, {"step": 1, "q": "text"}, {"q": 5}], 2),
        ([{"step": "a"}, {"note": None}, {}], 0),  # nothing that would stand at a step
    ],
)
def test_reports_that_name_no_step_are_counted(shelf: Shelf, lines: list[dict[str, Any]], stepless: int) -> None:
    shelf.report(*lines)
    assert [each.stepless for each in (shelf.one(), shelf.one(), shelf.read_shown()[RUN], shelf.read_shown()[RUN])] == [stepless] * 4


@pytest.mark.parametrize("step", [1e300, -1e300, 2**70])
def test_a_step_that_no_loop_counts_to_is_none(shelf: Shelf, step: float) -> None:
    shelf.report({"step": -5, "q": 1}, {"step": step, "q": 2})
    assert told(shelf.one()) == {"q": [(-5, 1), (0, 2)]}


@pytest.mark.parametrize("depth", [10, *range(100, 1100, 50), 100_000])
def test_mappings_in_each_other_of_any_depth_are_read_or_passed_over(shelf: Shelf, depth: int) -> None:
    shelf.write(shelf.attempt().metrics, '{"step": 1, "q": 1}\n' + '{"a":' * depth + "1" + "}" * depth + "\n")
    found = shelf.one()
    assert told(found)["q"] == [(1, 1)]
    assert (len(found.curves), found.unread) == (2, 0) if depth == 10 else found.unread in (0, 1)


def test_a_pipe_a_folder_and_what_may_not_be_read_count_as_nothing(shelf: Shelf) -> None:
    os.mkfifo(shelf.attempt(1).metrics)
    shelf.attempt(2).metrics.mkdir()
    shelf.report({"step": 1, "q": 1}, number=3)
    assert told(shelf.one(1, 2, 3, 4)) == {"q": [(1, 1)]}
    descriptor = os.open(shelf.attempt(1).metrics, os.O_RDWR)
    os.write(descriptor, b'{"step": 1, "from a pipe": 1}\n')
    assert told(shelf.one(1, 2, 3, 4)) == {"q": [(1, 1)]}
    os.close(descriptor)


@pytest.mark.parametrize(
    ("content", "final", "unread"),
    [
        (
            '{"test": {"ssim": 0.9, "n": 3}, "note": "ok", "list": [1], "none": null, "bad": NaN}',
            {"test/ssim": 0.9, "test/n": 3, "note": "ok", "bad": "nan"},
            0,
        ),
        ("{", {}, 1),
        ("[1]", {}, 1),
        ("", {}, 1),
        ('{"a": "' + "x" * LONGEST_LINE + '"}', {}, 1),
        (f'{{"a": {10**30}, "b": {"9" * 400}}}', {"a": 1e30, "b": "inf"}, 0),
    ],
)
def test_a_final_json_is_read_whatever_it_holds(shelf: Shelf, content: str, final: dict[str, Any], unread: int) -> None:
    shelf.write(shelf.attempt().final, content)
    assert (shelf.one().final, shelf.one().unread) == (final, unread)
    assert shelf.one(metrics={"note": "returned"}).final == {**final, "note": "returned"}


def test_files_of_the_same_name_further_down_are_the_trainers_own(shelf: Shelf) -> None:
    shelf.write(shelf.attempt().dir / "deep" / "metrics.jsonl", '{"step": 1, "q": 1}\n')
    shelf.write(shelf.attempt().dir / "deep" / "metrics.json", '{"q": 1}')
    assert (told(shelf.one()), shelf.one().final) == ({}, {})


def test_the_newest_final_json_counts(shelf: Shelf) -> None:
    shelf.write(shelf.attempt(1).final, '{"a": 1, "b": 1}')
    shelf.write(shelf.attempt(2).final, '{"a": 2}')
    shelf.attempt(3)
    assert shelf.one(1, 2, 3).final == {"a": 2}


@pytest.mark.parametrize(
    ("name", "expected"), [("attempt-1", [(1, 1), (2, 1)]), ("attempt-2", [(1, 1), (2, 2)]), ("attempt-2.1", [(1, 1), (2, 2), (3, 2.1)])]
)
def test_an_adopted_run_is_read_where_it_was_computed(shelf: Shelf, name: str, expected: list[tuple[float, float]]) -> None:
    shelf.report({"step": 1, "q": 1}, {"step": 2, "q": 1})
    shelf.report({"step": 2, "q": 2}, number=2)
    shelf.report({"step": 3, "q": 2.1}, number=2, restart=1)
    here = Shelf(shelf.paths.dir / "another runs folder")
    here.paths = GridPaths(shelf.paths.dir.parent / "adopting@smoke")
    here.paths.dir.mkdir()
    adopted = completed().__class__(id=RUN, state=State.COMPLETED, sha256="7" * 64, adopted_from=shelf.paths.name, adopted_attempt=name)
    for _ in range(2):
        assert told(here.read(adopted)[RUN]) == {"q": expected}
    assert not shelf.paths.reported.exists()


def test_a_run_that_lies_in_the_trash_is_read_there(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1})
    shelf.paths.trash.mkdir()
    shelf.paths.run(RUN).dir.rename(shelf.paths.trash / RUN)
    assert told(shelf.one(state=State.PRUNED)) == {"q": [(1, 1)]}


def test_curves_cannot_be_changed_by_mistake(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1})
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            shelf.one().curves["q"].values[0] = 2


def test_looking_at_a_line_costs_no_numpy() -> None:
    """The process of a run reads its reports when it ends, and 1,000 runs that do nothing are to stay quick."""
    import subprocess

    program = "import sys, orchestrator.metrics.summary, orchestrator.metrics.reading; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "False\n"
    assert decode_report(b'{"step": 1}') == {"step": 1}
