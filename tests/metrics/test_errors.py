"""Files that give an error for a while, as on a shared filesystem: what could not be read is missing, told, and read again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from orchestrator.metrics.reports import LONGEST_LINE
from orchestrator.store.records import Record
from tests.metrics.shelf import RUN, Shelf, completed, record, told

Break = Callable[[str, str, int], None]
"""Let an operation of the system fail for the files of a name."""

WHOLE = {"q": [(1, 1), (2, 2)], "loss": [(1, 0.5)]}


@pytest.fixture
def break_(monkeypatch: pytest.MonkeyPatch) -> Break:
    def fail(operation: str, name: str, number: int) -> None:
        inner = getattr(os, operation)

        def failing(target: Any, *rest: Any, **more: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
            if name in os.path.basename(path):
                raise OSError(number, os.strerror(number))
            return inner(target, *rest, **more)

        monkeypatch.setattr(os, operation, failing)

    return fail


@pytest.fixture
def full(shelf: Shelf) -> Shelf:
    """A run with reports, an event file and a final metrics.json."""
    shelf.report({"step": 1, "q": 1}, {"step": 2, "q": 2})
    shelf.write(shelf.attempt().final, '{"test": 7}')
    with SummaryWriter(str(shelf.attempt().dir / "logs")) as writer:
        writer.add_scalar("loss", 0.5, 1)
    for file in (shelf.attempt().dir / "logs").iterdir():
        shelf.age(file)
    return shelf


CASES = [
    ("open", "metrics.jsonl", errno.ESTALE),
    ("open", "metrics.jsonl", errno.EACCES),
    ("read", "metrics.jsonl", errno.EIO),
    ("open", "metrics.json", errno.EMFILE),
    ("read", "metrics.json", errno.EIO),
    ("open", "tfevents", errno.ESTALE),
    ("read", "tfevents", errno.EIO),
    ("scandir", "attempt-1", errno.ESTALE),
    ("scandir", "attempt-1", errno.EACCES),
    ("scandir", "logs", errno.EIO),
]


@pytest.mark.parametrize(("operation", "name", "number"), CASES)
@pytest.mark.parametrize("made", [record, completed])
def test_what_could_not_be_read_is_told_and_read_again(
    full: Shelf, break_: Break, monkeypatch: pytest.MonkeyPatch, operation: str, name: str, number: int, made: Callable[[], Record]
) -> None:
    with monkeypatch.context():
        break_(operation, name, number)
        found = full.read(made())[RUN]
        assert found.errors > 0
        assert (told(found), found.final) != (WHOLE, {"test": 7})
        assert full.read_shown(made())[RUN].errors > 0
    monkeypatch.undo()
    for read in (full.read_shown, full.read):
        found = read(made())[RUN]
        assert (told(found), found.final, found.errors) == (WHOLE, {"test": 7}, 0)


def test_an_error_in_the_middle_of_a_file_leaves_what_lies_before_it(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.report(*({"step": step, "q": step, "fill": "x" * 1000} for step in range(1, 2000)))
    inner, count = os.read, iter(range(100))

    def failing(descriptor: int, length: int) -> bytes:
        if next(count) == 1:
            raise OSError(errno.EIO, "Input/output error")
        return inner(descriptor, length)

    monkeypatch.setattr(os, "read", failing)
    found = shelf.one()
    assert (0 < len(found.curves["q"].steps) <= LONGEST_LINE // 1000, found.errors) == (True, 1)
    assert (len(shelf.one().curves["q"].steps), shelf.one().errors) == (1999, 0)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO])
def test_what_is_not_there_is_no_error(full: Shelf, break_: Break, number: int) -> None:
    break_("open", "metrics.jsonl", number)
    assert (told(full.one()), full.one().errors) == ({"loss": WHOLE["loss"]}, 0)


def test_a_folder_of_others_within_an_attempt_is_no_error(full: Shelf, break_: Break) -> None:
    break_("scandir", "logs", errno.EACCES)
    assert (told(full.one()), full.one().errors) == ({"q": WHOLE["q"]}, 0)


def test_a_folder_that_is_missing_is_no_error(shelf: Shelf, tmp_path: Path) -> None:
    assert shelf.one(1, 2).errors == 0
    shelf.write(tmp_path / "runs" / shelf.paths.name / RUN, "a file in place of the run")
    assert shelf.one(1, 2).errors == 0
