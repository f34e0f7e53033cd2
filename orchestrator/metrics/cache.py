"""The file that keeps what runs reported, in columns: derived, replaced as a whole, and believed only where it is whole."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.metrics.columns import Columns, Notes, Series
from orchestrator.store.errors import StoreError
from orchestrator.store.files import write_atomic
from orchestrator.store.layout import GridPaths

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_BYTES = 1 << 32
"""A larger file is no cache of ours."""

_MAGIC = b"mrsweep metrics 1\n"
_PREFIX = struct.Struct(f"<{len(_MAGIC)}sIQ")
"""Magic, checksum of all that follows, length of the head."""
_WORD = 8


class _Head(msgspec.Struct, frozen=True, array_like=True):
    runs: list[str]
    keys: list[str]
    names: list[str]
    notes: dict[str, Notes]
    series: int
    steps: int
    values: int


class _Damaged(Exception):
    """This is no cache."""


def read_cache(paths: GridPaths) -> Columns | None:
    """Return what the cache of a grid holds; None where there is none, or one that cannot be trusted."""
    try:
        return _decode(_content(paths.reported))
    except (OSError, _Damaged, msgspec.DecodeError, UnicodeDecodeError):
        return None


def write_cache(paths: GridPaths, columns: Columns) -> None:
    """Replace the cache of a grid of one's own; where that is not possible, the next reading takes longer."""
    try:
        if os.stat(paths.dir).st_uid == os.getuid():
            write_atomic(paths.reported, _encode(columns), durable=False)
    except (OSError, StoreError):
        return


def _content(path: Path) -> bytes:
    """Return the content of a file of this user's, or of the owner of the folder that it lies in. Links are not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        status = os.fstat(descriptor)
        owners = (os.getuid(), os.stat(path.parent).st_uid)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners or status.st_size > MOST_BYTES:
            raise _Damaged
        return stream.read()


def _encode(columns: Columns) -> bytes:
    sizes = (len(columns.series.metric), len(columns.steps), len(columns.values))
    head = msgspec.msgpack.encode(_Head(list(columns.runs), list(columns.keys), list(columns.names), dict(columns.notes), *sizes))
    parts = [head, _padding(len(head)), *(column.tobytes() for column in _arrays(columns))]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join([_PREFIX.pack(_MAGIC, checksum, len(head)), *parts])


def _padding(length: int) -> bytes:
    """Return what follows a head, for the columns to begin at a whole word."""
    return bytes(-(_PREFIX.size + length) % _WORD)


def _arrays(columns: Columns) -> list[npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
    return [columns.series_from, columns.steps_from, columns.values_from, *columns.series, columns.steps, columns.values]


def _decode(content: bytes) -> Columns:
    if len(content) < _PREFIX.size:
        raise _Damaged
    magic, checksum, length = _PREFIX.unpack_from(content)
    body = memoryview(content)[_PREFIX.size :]
    if magic != _MAGIC or length > len(body) or zlib.crc32(body) != checksum:
        raise _Damaged
    head = msgspec.msgpack.decode(body[:length], type=_Head)
    columns = _columns(head, body[length + len(_padding(length)) :])
    if not _is_sound(columns):
        raise _Damaged
    return columns


def _columns(head: _Head, body: memoryview) -> Columns:
    import numpy as np

    rows = len(head.runs) + 1
    sizes = [rows, rows, rows, *[head.series] * 4, head.steps, head.values]
    if min(sizes) < 0 or _WORD * sum(sizes) != len(body) or len(head.keys) != len(head.runs):
        raise _Damaged
    ends = np.cumsum(sizes[:-1])
    integers, steps, values = np.split(np.frombuffer(body, "<i8"), [ends[-2], ends[-1]])
    series_from, steps_from, values_from, *series = np.split(integers, ends[:-2])
    return Columns(
        runs=head.runs,
        keys=head.keys,
        names=head.names,
        notes=head.notes,
        series_from=series_from,
        steps_from=steps_from,
        values_from=values_from,
        series=Series(*series),
        steps=steps.view("<f8"),
        values=values.view("<f8"),
    )


def _is_sound(columns: Columns) -> bool:
    """Say whether no curve of a run leaves its part of the columns."""
    import numpy as np

    wholes = ((columns.series_from, columns.series.metric), (columns.steps_from, columns.steps), (columns.values_from, columns.values))
    if any(bounds[0] != 0 or bounds[-1] != len(whole) or (bounds[1:] < bounds[:-1]).any() for bounds, whole in wholes):
        return False
    curves = np.diff(columns.series_from)
    steps, values = (np.repeat(np.diff(bounds), curves) for bounds in (columns.steps_from, columns.values_from))
    metric, steps_at, values_at, length = columns.series
    inside = (metric < len(columns.names)) & (steps_at <= steps - length) & (values_at <= values - length)
    return bool(inside.all()) and all(bool((column >= 0).all()) for column in columns.series)
