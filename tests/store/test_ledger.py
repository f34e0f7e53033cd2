"""The pen and the segments: one writer at a time, nothing lost, nothing counted that was written without the pen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from orchestrator.store import ledger
from orchestrator.store.errors import Busy, StoreError
from orchestrator.store.events import Applied, Changed
from orchestrator.store.files import create_exclusive
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import find_holder, read_events, read_records, take_pen
from orchestrator.store.process import current_process
from orchestrator.store.states import State

RUN = "0123456789abcdef"


@pytest.fixture
def paths(tmp_path: Path) -> GridPaths:
    return GridPaths(tmp_path / "runs with 'quotes'" / "grid")


def _applied(number: int) -> Applied:
    """An event that leaves its mark in the records: each adds an orphan."""
    return Applied(at=float(number), version=number, orphans=(f"d{number}",))


def test_what_is_written_is_read_back_in_order(paths: GridPaths) -> None:
    for number in range(5):
        with take_pen(paths) as pen:
            pen.write(_applied(number))
    assert [event.version for event in read_events(paths) if isinstance(event, Applied)] == [*range(5)]


def test_second_process_is_told_who_holds_the_pen(paths: GridPaths) -> None:
    with take_pen(paths) as pen:
        pen.write(Applied(at=1.0, version=1))
        with pytest.raises(Busy, match=rf"process {os.getpid()} on "):
            take_pen(paths, wait_s=0.3)
    with take_pen(paths, wait_s=0.3) as pen:
        assert pen.records.version == 1


HOLDER = """
    import sys, time
    from pathlib import Path
    from orchestrator.store.events import Applied
    from orchestrator.store.layout import GridPaths
    from orchestrator.store.ledger import take_pen
    with take_pen(GridPaths(Path(sys.argv[1]))) as pen:
        pen.write(Applied(at=1.0, version=1, orphans=("of the dead",)))
        print("written", flush=True)
        time.sleep(600)
"""


def test_pen_of_a_killed_process_is_taken_at_once_and_its_events_count(paths: GridPaths) -> None:
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(HOLDER), str(paths.dir)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "written\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with take_pen(paths, lease_s=3600, wait_s=5) as pen:
        assert "of the dead" in pen.records.orphans


def _foreign_segment(paths: GridPaths) -> Path:
    """A segment whose writer lives on another host and has not put the pen down."""
    with take_pen(paths):
        pass
    segment = sorted(paths.ledger.iterdir())[-1]
    header = segment.read_bytes().split(b"\n")[0].replace(current_process().host.encode(), b"elsewhere")
    segment.write_bytes(header + b"\n")
    return segment


def test_silent_holder_on_another_host_loses_the_pen_after_the_lease(paths: GridPaths) -> None:
    _foreign_segment(paths)
    with take_pen(paths, lease_s=0.5, wait_s=0.1) as pen:
        assert pen.epoch == 2


def test_lines_written_after_the_pen_was_taken_do_not_count(paths: GridPaths) -> None:
    segment = _foreign_segment(paths)
    with take_pen(paths, lease_s=0.3) as pen:
        pen.write(_applied(2))
    with open(segment, "ab") as stream:  # the old holder wakes up
        stream.write(msgspec.json.encode(_applied(1)) + b"\n")
    assert read_records(paths).orphans == {"d2"}


def test_holder_that_slept_through_its_lease_notices_before_it_writes(paths: GridPaths) -> None:
    with take_pen(paths) as pen:
        create_exclusive(paths.ledger / "00000002.jsonl", b"")
        with pytest.raises(Busy, match="took over"):
            pen.write(_applied(1))
    assert read_records(paths).orphans == set()


def test_ledger_cut_off_at_any_byte_is_read_and_continued(paths: GridPaths) -> None:
    with take_pen(paths) as pen:
        pen.write(_applied(1), _applied(2))
    segment = paths.ledger / "00000001.jsonl"
    whole = segment.read_bytes()
    for cut in range(len(whole)):
        segment.write_bytes(whole[:cut])
        known = read_records(paths).orphans
        assert known <= {"d1", "d2"}
        assert ("d1" in known) >= (cut > whole.index(b'"d2"'))


def test_segment_that_lost_bytes_its_successor_saw_is_reported(paths: GridPaths) -> None:
    for number in range(2):
        with take_pen(paths) as pen:
            pen.write(_applied(number))
    first = paths.ledger / "00000001.jsonl"
    first.write_bytes(first.read_bytes()[:-30])
    with pytest.raises(StoreError, match=r"00000001\.jsonl: ends at byte \d+, but had \d+"):
        read_records(paths)


def test_snapshot_every_200_segments_changes_nothing(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SEGMENTS_PER_SNAPSHOT", 5)
    for number in range(12):
        with take_pen(paths) as pen:
            pen.write(_applied(number), Changed(at=1.0, run=f"{number:016x}", state=State.CANCELLED))
    folded = read_records(paths)
    assert [path.name for path in sorted(paths.ledger.glob("snapshot-*.json"))] == ["snapshot-00000005.json", "snapshot-00000010.json"]
    for path in paths.ledger.glob("snapshot-*.json"):
        path.unlink()  # derived: the segments hold the same
    assert read_records(paths) == folded
    assert len(folded.runs) == 12


def test_damaged_snapshot_is_passed_over(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SEGMENTS_PER_SNAPSHOT", 2)
    for number in range(4):
        with take_pen(paths) as pen:
            pen.write(_applied(number))
    for path in paths.ledger.glob("snapshot-*.json"):
        path.write_bytes(path.read_bytes()[:20])
    assert read_records(paths).orphans == {"d0", "d1", "d2", "d3"}


def test_long_segments_are_folded_at_once_and_then_as_they_grow(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "BYTES_PER_SNAPSHOT", 2_000)
    kept = []
    for number in range(8):
        with take_pen(paths) as pen:
            pen.write(*(Changed(at=1.0, run=f"{number:08d}{run:08d}", state=State.CANCELLED) for run in range(40)))
        kept.append(len(list(paths.ledger.glob("snapshot-*.json"))))
    assert kept[0] == 1 and kept == sorted(kept) and 3 <= kept[-1] < 8
    folded = read_records(paths)
    for path in paths.ledger.glob("snapshot-*.json"):
        path.unlink()
    assert read_records(paths) == folded and len(folded.runs) == 320


def _folded_once(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "BYTES_PER_SNAPSHOT", 1)
        with take_pen(paths) as pen:
            pen.write(_applied(1))
    assert [path.name for path in paths.ledger.glob("snapshot-*.json")] == ["snapshot-00000001.json"]


def test_snapshot_is_what_is_read(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    _folded_once(paths, monkeypatch)
    snapshot = paths.ledger / "snapshot-00000001.json"
    snapshot.write_bytes(snapshot.read_bytes().replace(b"d1", b"from the snapshot"))
    assert read_records(paths).orphans == {"from the snapshot"}


def test_snapshot_counts_only_for_the_segment_that_it_was_made_of(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    _folded_once(paths, monkeypatch)
    segment = paths.ledger / "00000001.jsonl"
    whole = segment.read_bytes()
    segment.write_bytes(whole + msgspec.json.encode(_applied(2)) + b"\n")  # as a frozen writer would, after its successor looked
    assert read_records(paths).orphans == {"d1", "d2"}
    segment.write_bytes(whole)
    with take_pen(paths) as pen:
        pen.write(_applied(3))
    segment.write_bytes(whole + msgspec.json.encode(_applied(2)) + b"\n")
    assert read_records(paths).orphans == {"d1", "d3"}


def test_act_is_done_also_where_no_snapshot_can_be_written(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "BYTES_PER_SNAPSHOT", 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger, "write_atomic", full)
    with take_pen(paths) as pen:
        pen.write(_applied(1))
    assert read_records(paths).orphans == {"d1"} and not list(paths.ledger.glob("snapshot-*"))


def test_symlinked_grid_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "grid").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="symbolic link"):
        take_pen(GridPaths(tmp_path / "grid"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_holder_of_an_unwritten_grid_is_nobody(paths: GridPaths) -> None:
    assert find_holder(paths) is None
