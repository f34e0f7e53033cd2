"""The file that keeps what runs reported, in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.metrics.columns import Columns, CurveIndex, Notes
from orchestrator.metrics.derived import PREFIX, Damaged, pack, read_derived, unpack, write_derived
from orchestrator.store.layout import GridPaths

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MAGIC = b"mrsweep metrics 2\n"
_WORD = 8


class _Head(msgspec.Struct, frozen=True, array_like=True):
    runs: list[str]
    keys: list[str]
    names: list[str]
    notes: dict[str, Notes]
    series: int
    steps: int
    values: int


def read_cache(paths: GridPaths) -> Columns | None:
    """Return what the cache of a grid holds; None where there is none, or one that cannot be trusted."""
    try:
        return _decode(*read_derived(paths.reported, _MAGIC))
    except (OSError, Damaged, msgspec.DecodeError, UnicodeDecodeError):
        return None


def write_cache(paths: GridPaths, columns: Columns) -> None:
    """Replace the cache of a grid."""
    write_derived(paths.reported, _MAGIC, *_encode(columns))


def to_bytes(columns: Columns) -> bytes:
    """Return columns as the cache holds them."""
    return pack(_MAGIC, *_encode(columns))


def from_bytes(content: bytes) -> Columns:
    """Return the columns that `to_bytes` was given. Raises Damaged, msgspec.DecodeError or UnicodeDecodeError where that is not whole."""
    return _decode(*unpack(content, _MAGIC))


def _encode(columns: Columns) -> tuple[bytes, list[bytes]]:
    sizes = (len(columns.series.metric), len(columns.steps), len(columns.values))
    head = msgspec.msgpack.encode(_Head(list(columns.runs), list(columns.keys), list(columns.names), dict(columns.notes), *sizes))
    return head, [_padding(len(head)), *(column.tobytes() for column in _arrays(columns))]


def _padding(length: int) -> bytes:
    """Return what follows a head, for the columns to begin at a whole word."""
    return bytes(-(PREFIX.size + length) % _WORD)


def _arrays(columns: Columns) -> list[npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
    return [columns.series_from, columns.steps_from, columns.values_from, *columns.series, columns.steps, columns.values]


def _decode(length: int, body: memoryview) -> Columns:
    head = msgspec.msgpack.decode(body[:length], type=_Head)
    columns = _columns(head, body[length + len(_padding(length)) :])
    if not _is_sound(columns):
        raise Damaged
    return columns


def _columns(head: _Head, body: memoryview) -> Columns:
    import numpy as np

    rows = len(head.runs) + 1
    sizes = [rows, rows, rows, *[head.series] * 4, head.steps, head.values]
    if min(sizes) < 0 or _WORD * sum(sizes) != len(body) or len(head.keys) != len(head.runs):
        raise Damaged
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
        series=CurveIndex(*series),
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
