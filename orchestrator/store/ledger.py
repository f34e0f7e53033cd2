"""The ledger of a grid: segments of events, each written by the one process that held the pen."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from orchestrator.store.errors import Busy, StoreError
from orchestrator.store.events import LedgerEvent, Opened, Released, decode_event
from orchestrator.store.files import Journal, create_exclusive, make_dir, parse_lines, read_whole, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.store.ownership import check_owner
from orchestrator.store.process import Identity, current_process, is_alive
from orchestrator.store.records import Records

LOG = logging.getLogger(__name__)

SEGMENTS_PER_SNAPSHOT = 200
BYTES_PER_SNAPSHOT = 1 << 20
"""So much after the newest snapshot, and half of what that one takes, is worth another: it is read three times as fast."""
POLL_S = 0.2
SILENT_S = 2.0
"""A wait for the pen that takes longer is told."""

Clock = Callable[[], float]


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of all segments up to and including `epoch`."""

    epoch: int
    size: int = 0
    """Bytes of that segment which are in it; it counts only where these are the whole segment, as its successor saw it."""
    records: Records


def read_records(paths: GridPaths) -> Records:
    """Return all that the ledger knows; a grid without ledger has empty records."""
    return _fold(paths, _epochs(paths))


def _fold(paths: GridPaths, epochs: Sequence[int]) -> Records:
    snapshot = _newest_snapshot(paths)
    records = snapshot.records if snapshot else Records()
    first = snapshot.epoch + 1 if snapshot else 0
    return records.apply(_events(paths, [epoch for epoch in epochs if epoch >= first]))


def read_events(paths: GridPaths) -> Iterator[LedgerEvent]:
    """Yield every event of the grid's history, oldest first."""
    return _events(paths, _epochs(paths))


def _segment(paths: GridPaths, epoch: int) -> Path:
    return paths.ledger / f"{epoch:08d}.jsonl"


def _epochs(paths: GridPaths) -> list[int]:
    return sorted(int(path.stem) for path in paths.ledger.glob("*.jsonl") if path.stem.isdigit())


def _events(paths: GridPaths, epochs: list[int]) -> Iterator[LedgerEvent]:
    """Read segments; of each only the bytes that its successor saw: what came later was written without the pen."""
    successors = [*epochs[1:], epochs[-1] + 1] if epochs else []
    ends = {header.previous: header.previous_bytes for header in (_header(paths, epoch) for epoch in successors) if header}
    for epoch in epochs:
        segment, end = _segment(paths, epoch), ends.get(epoch)
        content = read_whole(segment)
        if end is not None and len(content) < end:
            raise StoreError(f"{segment}: ends at byte {len(content)}, but had {end} when it was read last. Restore it from a backup.")
        yield from parse_lines(content[:end], decode_event, segment)


def _header(paths: GridPaths, epoch: int) -> Opened | None:
    try:
        with open(_segment(paths, epoch), "rb") as stream:
            event = decode_event(stream.readline())
    except (OSError, msgspec.DecodeError):
        return None
    return event if isinstance(event, Opened) else None


def _newest_snapshot(paths: GridPaths) -> _Snapshot | None:
    for path in reversed(_snapshots(paths)):
        try:
            snapshot = msgspec.json.decode(read_whole(path), type=_Snapshot)
        except (OSError, msgspec.DecodeError):
            continue  # derived: the segments hold the same
        if snapshot.size == _size(paths, snapshot.epoch):
            return snapshot
    return None


def _snapshots(paths: GridPaths) -> list[Path]:
    return sorted(paths.ledger.glob("snapshot-*.json"))


def _size(paths: GridPaths, epoch: int) -> int:
    """Return how long a segment is, as its successor saw it; -1 for one that is gone."""
    successor = _header(paths, epoch + 1)
    if successor is not None:
        return successor.previous_bytes
    try:
        return os.stat(_segment(paths, epoch)).st_size
    except OSError:
        return -1


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote the newest segment, and how far."""

    epoch: int
    size: int
    identity: Identity | None
    released: bool

    def describe(self) -> str:
        """Return "process 12 on node1", for messages."""
        return f"process {self.identity.pid} on {self.identity.host}" if self.identity else "an unknown process"


def find_holder(paths: GridPaths) -> Holder | None:
    """Return who holds, or held, the pen last; None for a grid that nobody wrote to."""
    epochs = _epochs(paths)
    if not epochs:
        return None
    content = _segment(paths, epochs[-1]).read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    header = _header(paths, epochs[-1])
    released = complete.endswith(b"}\n") and b'"t":"released"' in complete[complete[:-1].rfind(b"\n") + 1 :]
    identity = (
        Identity(host=header.host, boot_id=header.boot_id, pid=header.pid, start_time=header.start_time) if header is not None else None
    )
    return Holder(epoch=epochs[-1], size=len(complete), identity=identity, released=released)


class Pen:
    """The right to write to a grid, taken for one act: `with take_pen(paths) as pen: pen.write(event)`."""

    def __init__(self, paths: GridPaths, epoch: int, clock: Clock) -> None:
        self.paths = paths
        self.epoch = epoch
        self.clock = clock
        self._journal = Journal(_segment(paths, epoch))
        self.records = read_records(paths)

    def write(self, *events: LedgerEvent) -> None:
        """Record events, on disk when this returns; raise Busy when somebody else took the pen meanwhile."""
        self.check()
        self._journal.append(*events)
        self.records.apply(events)

    def check(self) -> None:
        """Raise Busy when the pen is no longer ours: call it directly before an act outside the ledger."""
        if _segment(self.paths, self.epoch + 1).exists():
            raise Busy(f"{self.paths.dir}: another process took over while this one was suspended. Run the command again.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if not _segment(self.paths, self.epoch + 1).exists():
                self._journal.append(Released(at=self.clock()))
        finally:
            self._journal.close()
        if kind is None:
            _keep(self.paths, self.epoch)


def take_pen(
    paths: GridPaths,
    *,
    lease_s: float = 300.0,
    wait_s: float = 60.0,
    clock: Clock = time.time,
    tell: Callable[[str], None] = LOG.warning,
) -> Pen:
    """Take the pen of a grid: at once from a released segment or a dead process of this host, else after `lease_s`.

    The lease is measured on our own monotonic clock from the moment we first saw the segment at its present size.
    Raises Busy after `wait_s` when the holder still writes (a silent holder on another host is waited for longer).
    `tell` hears once whom a wait of more than `SILENT_S` is for.
    """
    _prepare(paths)
    began = time.monotonic()
    seen: tuple[int, int] | None = None
    seen_at = began
    told = False
    while True:
        holder = find_holder(paths)
        if holder is None or _is_free(holder):
            epoch = _claim(paths, holder, clock)
            if epoch is not None:
                return Pen(paths, epoch, clock)
            continue
        if (holder.epoch, holder.size) != seen:
            seen, seen_at = (holder.epoch, holder.size), time.monotonic()
        if time.monotonic() - seen_at >= lease_s:
            epoch = _claim(paths, holder, clock)
            if epoch is not None:
                return Pen(paths, epoch, clock)
        patience = wait_s if _lives_here(holder) else max(wait_s, lease_s + POLL_S)
        if time.monotonic() - began > patience:
            raise Busy(f"{paths.dir}: {holder.describe()} is writing to this grid. Wait until it is done, or end that process.")
        if not told and time.monotonic() - began > SILENT_S:
            tell(f"{paths.name}: waiting for {holder.describe()}, which is writing to this grid")
            told = True
        time.sleep(POLL_S)


def _prepare(paths: GridPaths) -> None:
    check_usable(paths)
    for folder in (paths.dir.parent, paths.dir, paths.ledger):  # one by one: parents that are made on the way follow the umask
        make_dir(folder)


def check_usable(paths: GridPaths) -> None:
    """Raise StoreError when the grid's folder is not, or cannot become, one of ours; writes nothing."""
    folder = paths.dir
    if folder.is_symlink():
        raise StoreError(f"{folder}: is a symbolic link. Name the folder it points to with --runs DIR.")
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        problem = "cannot be written to" if nearest.is_dir() else "is not a folder"
        raise StoreError(f"{folder}: cannot be used, as {nearest} {problem}. Choose another with --runs DIR.")
    check_owner(folder.parent)
    if nearest == folder:
        _check_ours(paths)


def _check_ours(paths: GridPaths) -> None:
    check_owner(paths.dir)
    others = sorted(name for name in os.listdir(paths.dir) if not name.startswith("."))
    if others and not paths.ledger.is_dir():
        raise StoreError(f"{paths.dir}: holds {others[0]} and is no grid's folder. Move it away, or choose another with --runs DIR.")


def _is_free(holder: Holder) -> bool:
    if holder.released:
        return True
    return holder.identity is not None and is_alive(holder.identity) is False


def _lives_here(holder: Holder) -> bool:
    return holder.identity is not None and is_alive(holder.identity) is True


def _claim(paths: GridPaths, holder: Holder | None, clock: Clock) -> int | None:
    """Create the next segment; None when somebody else was faster."""
    me = current_process()
    epoch = holder.epoch + 1 if holder else 1
    header = Opened(
        at=clock(),
        epoch=epoch,
        previous=epoch - 1,
        previous_bytes=holder.size if holder else 0,
        host=me.host,
        boot_id=me.boot_id,
        pid=me.pid,
        start_time=me.start_time,
        nonce=uuid.uuid4().hex,
    )
    created = create_exclusive(_segment(paths, epoch), msgspec.json.encode(header) + b"\n")
    return epoch if created else None


def _keep(paths: GridPaths, epoch: int) -> None:
    """Write the snapshot of everything up to a segment that is complete, where that is worth it; the segments stay, they are the truth."""
    try:
        if _header(paths, epoch + 1) is None and _is_long(paths, epoch):
            size = os.stat(_segment(paths, epoch)).st_size
            snapshot = _Snapshot(epoch=epoch, size=size, records=_fold(paths, [one for one in _epochs(paths) if one <= epoch]))
            write_atomic(paths.ledger / f"snapshot-{epoch:08d}.json", msgspec.json.encode(snapshot))
    except (OSError, StoreError) as error:
        LOG.debug("%s: no snapshot was written (%s)", paths.ledger, error)


def _is_long(paths: GridPaths, epoch: int) -> bool:
    """Say whether much has been written since the newest snapshot."""
    newest = next(reversed(_snapshots(paths)), None)
    first = int(newest.stem.rpartition("-")[2]) + 1 if newest else 1
    if epoch - first + 1 >= SEGMENTS_PER_SNAPSHOT:
        return True
    written = sum(os.stat(_segment(paths, number)).st_size for number in range(first, epoch + 1))
    return written >= max(BYTES_PER_SNAPSHOT, newest.stat().st_size // 2 if newest else 0)
