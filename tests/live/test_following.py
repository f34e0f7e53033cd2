"""Following a log: its end first, then what is added; a log that begins anew; what could fool a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.grid.manifest import Manifest
from orchestrator.live.following import MOST_LINES, TAIL_BYTES, Follower, find_output
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import State

RUN = "0123456789abcdef"


def test_what_is_added_is_read_and_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("one\ntw")
    follower = Follower(log)
    assert follower.read() and follower.shown == ["one", "tw"]
    assert not follower.read()
    with log.open("a") as stream:
        stream.write("o\nthree\n")
    assert follower.read() and follower.shown == ["one", "two", "three"]


def test_a_log_that_became_shorter_is_read_anew(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("old\nold\n")
    follower = Follower(log)
    follower.read()
    log.write_text("new\n")
    assert follower.read() and follower.shown == ["new"]


def test_of_a_long_log_the_end_is_read_and_few_lines_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    follower = Follower(log)
    follower.read()
    assert len(follower.shown) <= TAIL_BYTES // 8 and follower.shown[-1] == "line 99999"
    for start in range(0, 10 * MOST_LINES, MOST_LINES):
        with log.open("a") as stream:
            stream.write("".join(f"{number}\n" for number in range(start, start + MOST_LINES)))
        follower.read()
    assert len(follower.shown) == MOST_LINES
    assert not Follower(tmp_path / "missing").read()


PLAIN = [
    ("\x1b[31mred\x1b[0m [bold]b[/bold]\n", ["red [bold]b[/bold]"]),
    ("10 %\r20 %\r100 %\n", ["100 %"]),
    ("a\r\nb\r\n", ["a", "b"]),
    ("\x1b]0;title\x07x\u202ey\n", ["xy"]),
    ("\tx\n", ["    x"]),
]


@pytest.mark.parametrize(("text", "lines"), PLAIN)
def test_what_steers_a_terminal_is_left_out(tmp_path: Path, text: str, lines: list[str]) -> None:
    log = tmp_path / "log.txt"
    log.write_text(text, newline="")
    follower = Follower(log)
    follower.read()
    assert follower.shown == lines


def test_the_log_is_that_of_the_newest_attempt_or_of_the_prepare_command() -> None:
    paths, manifest = GridPaths(Path("runs/g")), Manifest(id=RUN, version=1, config={})
    attempts = (Attempt(number=1), Attempt(number=2, restart=1))
    assert find_output(paths, manifest, Record(id=RUN, attempts=attempts)).file == paths.run(RUN).attempt(2, 1).log
    waiting = Manifest(id=RUN, version=1, config={}, prepare="abc")
    assert find_output(paths, waiting, Record(id=RUN)).file == paths.prepare("abc").log
    assert find_output(paths, manifest, Record(id=RUN)).told == "has not started"
    assert "other" in find_output(paths, manifest, Record(id=RUN, adopted_from="other")).told


@pytest.mark.parametrize(
    ("state", "told"), [(State.RUNNING, "attempt-1: nothing is written yet"), (State.COMPLETED, "attempt-1: nothing is written")]
)
def test_an_empty_log_is_waited_for_while_its_run_goes_on(state: State, told: str) -> None:
    paths, manifest = GridPaths(Path("runs/g")), Manifest(id=RUN, version=1, config={})
    assert find_output(paths, manifest, Record(id=RUN, state=state, attempts=(Attempt(number=1),))).told == told
