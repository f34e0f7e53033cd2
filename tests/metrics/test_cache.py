"""The derived file of what runs reported: it changes nothing but the time, whatever happens to it or to the files of the runs."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.utils.tensorboard import SummaryWriter

from orchestrator.metrics import cache, looking, reading
from orchestrator.metrics.derived import PREFIX
from orchestrator.metrics.history import History
from orchestrator.store import files
from orchestrator.store.records import Record
from orchestrator.store.states import State
from tests.metrics.shelf import OTHER, RUN, Shelf, completed, record, told

RUNS = (RUN, OTHER, "00112233445566ff")


@pytest.fixture
def read_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs whose files were read, one after the other."""
    found: list[str] = []
    inner = looking._row

    def row(run: str, *rest: Any) -> Any:
        found.append(run)
        return inner(run, *rest)

    monkeypatch.setattr(looking, "_row", row)
    return found


def text(history: History) -> str:
    """Return all that a history holds, NaN included."""
    return repr({run: (told(each), each.texts, each.final, each.unread) for run, each in sorted(history.items())})


def without_cache(shelf: Shelf, *records: Record) -> str:
    aside = shelf.paths.dir / "aside"
    present = shelf.paths.reported.exists()
    if present:
        shelf.paths.reported.rename(aside)
    found = text(shelf.read(*records, keep=False))
    assert not shelf.paths.reported.exists()
    if present:
        aside.rename(shelf.paths.reported)
    return found


LINES = some.lists(
    some.fixed_dictionaries(
        {"step": some.integers(0, 5)},
        optional={"q": some.one_of(some.floats(), some.text(max_size=3)), "r/s": some.integers(-(2**70), 2**70), "ü": some.none()},
    ),
    max_size=5,
)
DEEDS = some.tuples(
    some.sampled_from(["append", "replace", "truncate", "tear", "remove", "touch", "final", "events", "end", "select", "age"]),
    some.sampled_from(RUNS),
    some.sampled_from([1, 2]),
    LINES,
)


@given(deeds=some.lists(DEEDS, max_size=12))
@settings(max_examples=60)
def test_the_result_is_the_same_with_the_cache_and_without_while_files_change(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, str, int, list[dict[str, Any]]]]
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    records = {run: record(1, 2, run=run) for run in RUNS}
    for deed, run, number, lines in deeds:
        if records[run].sha256 and deed != "select":
            continue  # what completed does not change any more
        chosen = [records[run]] if deed == "select" else list(records.values())
        change(shelf, deed, shelf.attempt(number, run=run).metrics, lines)
        if deed == "end":
            records[run] = completed(1, 2, run=run, by=number)
        expected = without_cache(shelf, *chosen)
        assert [text(shelf.read(*chosen)), text(shelf.read(*chosen))] == [expected, expected], (deed, run, number)
        assert [text(shelf.read_shown(*chosen)), text(shelf.read_shown(*chosen))] == [expected, expected], (deed, run, number)


def change(shelf: Shelf, deed: str, path: Path, lines: list[dict[str, Any]]) -> None:
    """Let a run, or somebody else, do something to its files."""
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    before = path.read_bytes() if path.exists() else b""
    match deed:
        case "append":
            shelf.write(path, before + content)
        case "replace":
            path.unlink(missing_ok=True)
            shelf.write(path, content)
        case "truncate":
            shelf.write(path, before[: len(before) // 2])
        case "tear":
            path.write_bytes(before + content[:-3])  # just now: it may change again within the tick of the clock
        case "remove":
            path.unlink(missing_ok=True)
        case "touch" if before:
            shelf.age(path)
        case "final":
            shelf.write(path.with_name("metrics.json"), content.split(b"\n")[0])
        case "events":
            with SummaryWriter(str(path.parent / "tb")) as writer:
                for line in lines:
                    writer.add_scalar("q", line["step"], line["step"])
            for file in (path.parent / "tb").iterdir():
                shelf.age(file)


def test_a_second_reading_opens_no_file_of_a_run(shelf: Shelf, read_runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for run in RUNS:
        shelf.report({"step": 1, "q": 0.5, "note": run}, run=run)
    records = [completed(run=run) for run in RUNS]
    first = text(shelf.read(*records))
    assert read_runs == list(RUNS)
    monkeypatch.setattr(looking, "list_sources", lambda attempt: pytest.fail(f"looked at {attempt}"))
    before = shelf.paths.reported.stat()
    assert text(shelf.read(*records)) == first
    assert shelf.paths.reported.stat() == before  # nothing new: nothing is written


def test_only_what_changed_is_read_again(shelf: Shelf, read_runs: list[str]) -> None:
    for run in RUNS:
        shelf.report({"step": 1, "q": 1}, run=run)
    records = [record(run=run) for run in RUNS]
    shelf.read(*records)
    read_runs.clear()
    shelf.report({"step": 1, "q": 1}, {"step": 2, "q": 2}, run=OTHER)
    history = shelf.read(*records)
    assert read_runs == [OTHER]
    assert [told(history[run])["q"][-1] for run in RUNS] == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize("how", ["size", "time", "inode", "new attempt", "event file"])
def test_any_change_of_a_file_is_noticed(shelf: Shelf, read_runs: list[str], how: str) -> None:
    path = shelf.report({"step": 1, "q": 1})
    shelf.read(record(1, 2))
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    if how == "size":
        path.write_text('{"step": 1, "q": 12}\n')
        os.utime(path, ns=times)
    elif how == "time":
        shelf.write(path, '{"step": 1, "q": 2}\n')
    elif how == "inode":
        aside = path.with_name("aside")
        aside.write_text('{"step": 1, "q": 2}\n')
        aside.replace(path)
        os.utime(path, ns=times)
    elif how == "new attempt":
        shelf.report({"step": 1, "q": 2}, number=2)
    else:
        shelf.write(shelf.attempt().tensorboard / "events.out.tfevents.1", b"")
    read_runs.clear()
    shelf.read(record(1, 2))
    assert read_runs == [RUN]


def test_a_file_that_changed_just_now_is_looked_at_again(shelf: Shelf, read_runs: list[str]) -> None:
    """Within one tick of the file system's clock it could change once more and look the same."""
    shelf.attempt().metrics.write_text('{"step": 1, "q": 1}\n')
    for _ in range(2):
        shelf.read(record())
    assert read_runs == [RUN, RUN]


def test_a_run_that_completed_just_now_is_looked_at_again(shelf: Shelf, read_runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared filesystem may show a file late, and what is taken for the whole is never looked at again."""
    shelf.report({"step": 1, "q": 1})
    monkeypatch.setattr(reading.time, "time", lambda: 2_000_000_000.0)
    shelf.read(completed(since=2_000_000_000.0 - 60))
    shelf.report({"step": 1, "q": 1}, {"step": 2, "q": 2})
    assert told(shelf.read(completed(since=2_000_000_000.0 - 60))[RUN])["q"] == [(1, 1), (2, 2)]
    read_runs.clear()
    monkeypatch.setattr(reading.time, "time", lambda: 2_000_000_000.0 + 600)
    for _ in range(2):
        shelf.read(completed(since=2_000_000_000.0 - 60))
    assert read_runs == [RUN]


def test_an_older_attempt_that_prune_took_away_is_noticed(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1})
    shelf.report({"step": 2, "q": 2}, number=2)
    ended = completed(1, 2, by=2)
    assert told(shelf.read(ended)[RUN]) == {"q": [(1, 1), (2, 2)]}
    shutil.rmtree(shelf.attempt(1).dir)
    assert told(shelf.read(ended)[RUN]) == {"q": [(2, 2)]}


def test_an_older_attempt_of_an_adopted_run_that_prune_took_away_is_noticed(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1})
    shelf.report({"step": 2, "q": 2}, number=2)
    adopted = Record(id=RUN, state=State.COMPLETED, sha256="7" * 64, adopted_from=shelf.paths.name, adopted_attempt="attempt-2")
    assert told(shelf.read(adopted)[RUN]) == {"q": [(1, 1), (2, 2)]}
    shutil.rmtree(shelf.attempt(1).dir)
    assert told(shelf.read(adopted)[RUN]) == {"q": [(2, 2)]}


def test_a_run_computed_again_is_read_again(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1})
    shelf.read(completed())
    shelf.report({"step": 1, "q": 7})
    assert told(shelf.read(msgspec.structs.replace(completed(), sha256="6" * 64))[RUN]) == {"q": [(1, 7)]}


def test_a_selection_leaves_what_is_known_of_the_others(shelf: Shelf, read_runs: list[str]) -> None:
    for run in RUNS:
        shelf.report({"step": 1, run: 1}, run=run)
    for run in RUNS:
        shelf.read(completed(run=run))
    history = shelf.read(*(completed(run=run) for run in RUNS))
    assert read_runs == list(RUNS)
    assert [list(history[run].curves) for run in RUNS] == [[run] for run in RUNS]


def test_a_run_whose_files_are_gone_is_gone_from_the_cache(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1})
    shelf.read(record())
    shelf.attempt().metrics.unlink()
    assert told(shelf.read(record())[RUN]) == {}
    assert cache.read_cache(shelf.paths).runs == []  # type: ignore[union-attr]


def test_a_completed_run_that_reported_nothing_is_looked_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.attempt()
    done = completed(metrics={"q": 1})
    looked: list[str] = []
    inner = looking.list_sources
    monkeypatch.setattr(looking, "list_sources", lambda attempt, *rest: looked.append(attempt) or inner(attempt, *rest))
    found = [shelf.read(done)[RUN] for _ in range(3)]
    assert [(dict(each.curves), each.final) for each in found] == [({}, {"q": 1})] * 3
    assert len(looked) == 1
    assert shelf.read_shown(done)[RUN].final == shelf.read_shown(done)[RUN].final == {"q": 1}


def test_looking_without_keeping_writes_nothing(shelf: Shelf) -> None:
    shelf.report({"step": 1, "q": 1})
    assert told(shelf.read(record(), keep=False)[RUN]) == {"q": [(1, 1)]}
    assert not shelf.paths.reported.exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_folder_that_cannot_be_written_to_costs_time_only(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    shelf.report({"step": 1, "q": 1})

    def refuse(operation: str, path: Path | str) -> None:
        raise error

    monkeypatch.setattr(files, "check_point", refuse)
    assert told(shelf.one()) == {"q": [(1, 1)]}
    assert [path.name for path in shelf.paths.dir.iterdir()] == [RUN[:2]]


def test_nothing_is_written_into_the_grid_of_somebody_else(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.report({"step": 1, "q": 1})
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert told(shelf.one()) == {"q": [(1, 1)]}
    assert not shelf.paths.reported.exists()


def kept(shelf: Shelf) -> bytes:
    """Fill a cache, and return its bytes."""
    for place, run in enumerate(RUNS):
        shelf.report({"step": 1, "q": place, "note": "x"}, {"step": 2, "q": 1, "r": 2}, run=run)
    shelf.read(*(completed(run=run) for run in RUNS))
    return shelf.paths.reported.read_bytes()


def test_a_cache_with_any_byte_changed_or_missing_is_rebuilt(shelf: Shelf) -> None:
    whole, records = kept(shelf), [completed(run=run) for run in RUNS]
    expected = text(shelf.read(*records))
    damaged = [whole[:cut] for cut in range(0, len(whole), 7)]
    damaged += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(0, len(whole), 3)]
    for content in [*damaged, whole + b"\0", b"", bytes(len(whole)), pickle.dumps({"a": 1})]:
        shelf.paths.reported.write_bytes(content)
        assert cache.read_cache(shelf.paths) is None
    assert text(shelf.read(*records)) == expected
    assert shelf.paths.reported.read_bytes() == whole  # the same runs give the same bytes


def changed(content: bytes, change_head: Callable[[list[Any]], None], change_body: Callable[[Any], None]) -> bytes:
    """Return a cache that somebody wrote with care: other numbers, and a checksum that is right."""
    magic, _, length = PREFIX.unpack_from(content)
    head = msgspec.msgpack.decode(content[PREFIX.size :][:length])
    begin = PREFIX.size + length + len(cache._padding(length))
    integers = np.frombuffer(content[begin:], "<i8").copy()
    change_head(head)
    change_body(integers)
    encoded = msgspec.msgpack.encode(head)
    body = encoded + cache._padding(len(encoded)) + integers.tobytes()
    return struct.pack("<18sIQ", magic, zlib.crc32(body), len(encoded)) + body


@pytest.mark.parametrize("value", [-1, -(2**63), 2**63 - 1, 3, 1000])
def test_a_cache_made_by_an_enemy_leads_nowhere(shelf: Shelf, value: int) -> None:
    """Whatever its numbers are, it is refused, or every curve lies within its columns."""
    whole = kept(shelf)
    count = len(cache.read_cache(shelf.paths).values) + 6  # type: ignore[union-attr]
    for place in range(40):
        shelf.paths.reported.write_bytes(changed(whole, lambda head: None, lambda body, at=place: body.__setitem__(at, value)))
        found = cache.read_cache(shelf.paths)
        if found is not None:
            curves = [curve for row in range(len(found.runs)) for curve in found.history(row, {}).curves.values()]
            assert all(len(curve.steps) == len(curve.values) <= count for curve in curves)


@pytest.mark.parametrize(
    "change_head",
    [
        lambda head: head.__setitem__(4, -1),
        lambda head: head.__setitem__(4, 2**62),
        lambda head: head.__setitem__(6, head[6] + 1),
        lambda head: head[0].pop(),
        lambda head: head[1].pop(),
        lambda head: head[2].clear(),
        lambda head: head.__setitem__(3, {RUN: {"texts": {"a": 1}}}),
        lambda head: head.__setitem__(0, "text"),
        lambda head: head.append(1) or head.pop(2),
    ],
)
def test_a_cache_with_a_wrong_head_is_refused(shelf: Shelf, change_head: Callable[[list[Any]], None]) -> None:
    shelf.paths.reported.write_bytes(changed(kept(shelf), change_head, lambda body: None))
    assert cache.read_cache(shelf.paths) is None
    shelf.paths.reported.write_bytes(changed(kept(shelf), lambda head: None, lambda body: None))
    assert cache.read_cache(shelf.paths) is not None


def test_a_cache_that_is_a_link_a_pipe_a_folder_or_a_strangers_is_not_read(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(shelf)
    path = shelf.paths.reported
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.read_cache(shelf.paths) is None
    path.unlink()
    os.mkfifo(path)
    assert cache.read_cache(shelf.paths) is None
    path.unlink()
    path.mkdir()
    assert (cache.read_cache(shelf.paths), told(shelf.one())["r"]) == (None, [(2, 2)])
    path.rmdir()
    (tmp_path / "elsewhere").rename(path)
    inner = os.fstat
    monkeypatch.setattr(os, "fstat", lambda descriptor: os.stat_result([*inner(descriptor)[:4], 4711, *inner(descriptor)[5:10]]))
    assert cache.read_cache(shelf.paths) is None


def test_readers_that_meet_a_writer_see_the_old_or_the_new(shelf: Shelf) -> None:
    """The file is replaced as a whole: what was opened before stays as it was."""
    whole = kept(shelf)
    with open(shelf.paths.reported, "rb") as stream:
        shelf.report({"step": 5, "q": 5})
        shelf.read(msgspec.structs.replace(completed(), sha256="8" * 64))
        assert stream.read() == whole
    assert shelf.paths.reported.read_bytes() != whole


def test_the_cache_is_private(shelf: Shelf) -> None:
    kept(shelf)
    assert shelf.paths.reported.stat().st_mode & 0o077 == 0
