"""Atomic files and journals: whole or not at all, whatever fails in between."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import msgspec
import pytest

from orchestrator.store import files
from orchestrator.store.errors import StoreError
from orchestrator.store.files import Journal, create_exclusive, read_json, read_lines, read_whole, write_atomic

ODD_NAME = "a folder with 'quotes' and $(spaces)"


@pytest.fixture(params=["plain", ODD_NAME])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    place = tmp_path / request.param
    place.mkdir()
    return place


@pytest.mark.parametrize("operation", ["write", "fsync", "rename"])
def test_failed_write_leaves_the_old_version_and_no_debris(folder: Path, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = folder / "state.json"
    write_atomic(target, b"old")

    def full_disk(seen: str, path: Path) -> None:
        if seen == operation:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "check_point", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_exclusive_creation_has_one_winner_and_whole_content(folder: Path) -> None:
    target = folder / "act"
    assert [create_exclusive(target, str(turn).encode()) for turn in range(3)] == [True, False, False]
    assert target.read_bytes() == b"0"
    assert [path.name for path in folder.iterdir()] == ["act"]


def _race(target: str, barrier: object, won: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    if create_exclusive(Path(target), str(os.getpid()).encode()):
        won.put(os.getpid())  # type: ignore[attr-defined]


def test_exclusive_creation_is_exclusive_among_processes(tmp_path: Path) -> None:
    context = get_context("fork")
    barrier, won = context.Barrier(6), context.Queue()
    racers = [context.Process(target=_race, args=(str(tmp_path / "act"), barrier, won)) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    winner = won.get(timeout=5)
    assert won.empty()
    assert (tmp_path / "act").read_text() == str(winner)


def test_journal_cut_off_at_any_byte_gives_its_whole_lines_and_can_be_continued(folder: Path) -> None:
    whole = b"".join(msgspec.json.encode({"n": n, "text": "ü\n"}) + b"\n" for n in range(3))
    ends = [position + 1 for position, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole) + 1):
        path = folder / f"cut-{cut}.jsonl"
        path.write_bytes(whole[:cut])
        read = [line["n"] for line in read_lines(path, msgspec.json.decode)]
        complete = sum(end <= cut for end in ends)
        assert read in ([*range(complete)], [*range(complete + 1)])  # a last line may lack only its newline
        journal = Journal(path)
        journal.append({"n": 99})
        journal.close()
        assert [line["n"] for line in read_lines(path, msgspec.json.decode)] == [*read, 99]


def test_nested_line_cut_off_at_any_byte_is_passed_over_when_the_journal_goes_on(folder: Path) -> None:
    path = folder / "ledger.jsonl"
    line = b'{"n": [1, [2]], "m": {"a": {"b": 3}}, "k": [{"c": 4}]}'
    for cut in range(1, len(line)):
        path.write_bytes(line[:cut] + b'\n{"n": 5}\n{"n": 6}\n')
        assert [read["n"] for read in read_lines(path, msgspec.json.decode)] == [5, 6]


@pytest.mark.parametrize("damaged", [b'{"n": oops}', b'{"n": 1}}', b"[1, 2", b"oops"])
def test_damage_inside_a_journal_is_reported_with_file_and_line(folder: Path, damaged: bytes) -> None:
    path = folder / "ledger.jsonl"
    path.write_bytes(b'{"n": 0}\n' + damaged + b'\n{"n": 2}\n{"n": 3}\n')
    with pytest.raises(StoreError, match=rf"{path.name}:2: this line is damaged"):
        list(read_lines(path, msgspec.json.decode))


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let files grow to this size [bytes] and no further, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_line_that_a_filling_disk_takes_a_part_of_is_an_error_and_the_journal_can_be_continued(folder: Path) -> None:
    path = folder / "ledger.jsonl"
    journal = Journal(path)
    with room_for(20), pytest.raises(OSError, match="File too large"):
        journal.append({"n": 0}, {"n": "more than the disk has room for"})
    journal.close()
    assert path.stat().st_size == 20
    again = Journal(path)
    again.append({"n": 1})
    again.close()
    assert [line["n"] for line in read_lines(path, msgspec.json.decode)] == [0, 1]


def test_file_that_comes_in_small_parts_is_read_as_a_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "ledger.jsonl"
    path.write_bytes(b"0123456789")
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 3)))
    assert read_whole(path) == b"0123456789"


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\0\0\0\0", None])
def test_torn_or_missing_small_file_is_not_there_yet(folder: Path, content: bytes | None) -> None:
    path = folder / "result.json"
    if content is not None:
        path.write_bytes(content)
    assert read_json(path, dict) is None


def test_nul_filled_tail_after_power_loss_is_passed_over(folder: Path) -> None:
    path = folder / "metrics.jsonl"
    path.write_bytes(b'{"n": 0}\n' + b"\0" * 512)
    assert [line["n"] for line in read_lines(path, msgspec.json.decode)] == [0]
