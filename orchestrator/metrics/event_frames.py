"""The frame of a TensorBoard event file, TFRecord: length, its checksum, content, its checksum. A torn file gives what is whole."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.metrics.checksums import masked_crc32c, masked_crc32c_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHECKED_BYTES = 4096
"""Of longer records, images and graphs, only the head's checksum is looked at."""

MOST_BYTES = 1 << 28
"""A record that claims to be longer ends the file, as a torn one does."""

WINDOW_BYTES = 1 << 22
"""What is read at once; a longer record is read whole."""

MANY = 24
"""So many records of one length are worth handling at once."""

_HEAD = struct.Struct("<QI")
_FOOT = 4

Read = Callable[[int], bytes]


class Torn(Exception):
    """The file ends here, in the middle of a record or at a damaged one."""


class Alike(NamedTuple):
    """Many records of one length."""

    places: npt.NDArray[np.int64]
    """Which records of the window."""
    rows: npt.NDArray[np.uint8]
    """(record, byte)."""


class Window(NamedTuple):
    """Successive whole records of a file, their checksums found right."""

    buffer: bytes
    starts: list[int]
    """Where the contents begin in the buffer."""
    lengths: list[int]
    alike: list[Alike]

    def record(self, place: int) -> bytes:
        """Return the content of a record."""
        return self.buffer[self.starts[place] : self.starts[place] + self.lengths[place]]

    def single(self) -> list[int]:
        """Return the places of the records that are not among the many alike."""
        gone = {int(place) for group in self.alike for place in group.places}
        return [place for place in range(len(self.starts)) if place not in gone]


def read_records(read: Read) -> Iterator[bytes]:
    """Yield the contents of the records, in their order. Raises Torn where the file is damaged, after all that is whole."""
    for window in read_windows(read):
        yield from map(window.record, range(len(window.starts)))


def read_windows(read: Read) -> Iterator[Window]:
    """Yield the records of a file, many at once. Raises Torn where it is damaged, after all that is whole."""
    buffer, known = b"", dict[bytes, int]()
    while block := read(max(WINDOW_BYTES, _missing(buffer, known))):
        buffer += block
        starts, lengths, end, is_damaged = _walk(buffer, known)
        window, whole = _checked(buffer, starts, lengths)
        yield window
        if is_damaged or whole < len(starts):
            raise Torn
        buffer = buffer[end:]
    if buffer:
        raise Torn


def _walk(buffer: bytes, known: dict[bytes, int]) -> tuple[list[int], list[int], int, bool]:
    """Return starts and lengths of the whole records of a buffer, where they end, and whether a damaged head follows."""
    starts: list[int] = []
    lengths: list[int] = []
    place, size = 0, len(buffer)
    while place + _HEAD.size <= size:
        length = _length(buffer[place : place + _HEAD.size], known)
        if length is None:
            return starts, lengths, place, True
        if (after := place + _HEAD.size + length + _FOOT) > size:
            break
        starts.append(place + _HEAD.size)
        lengths.append(length)
        place = after
    return starts, lengths, place, False


def _length(head: bytes, known: dict[bytes, int]) -> int | None:
    """Return what a head says, None for a damaged one; a file holds few different ones, and each is checked once."""
    found = known.get(head)
    if found is None:
        found, expected = _HEAD.unpack(head)
        if masked_crc32c(head[:8]) != expected or found > MOST_BYTES:
            return None
        known[head] = found
    return found


def _missing(buffer: bytes, known: dict[bytes, int]) -> int:
    """Return how many bytes the record that a buffer begins with still wants."""
    length = _length(buffer[: _HEAD.size], known) if len(buffer) >= _HEAD.size else None
    return 0 if length is None else _HEAD.size + length + _FOOT - len(buffer)


def _checked(buffer: bytes, starts: list[int], lengths: list[int]) -> tuple[Window, int]:
    """Return the window up to the first record whose checksum is wrong, and how many records that are."""
    alike = _alike(buffer, starts, lengths)
    window = Window(buffer, starts, lengths, alike)
    wrong = [place for place in window.single() if not _is_whole(buffer, starts[place], lengths[place])]
    wrong += [int(group.places[row]) for group in alike for row in _wrong_rows(buffer, starts, group)]
    if not wrong:
        return window, len(starts)
    whole = min(wrong)
    return Window(buffer, starts[:whole], lengths[:whole], _alike(buffer, starts[:whole], lengths[:whole])), whole


def _alike(buffer: bytes, starts: list[int], lengths: list[int]) -> list[Alike]:
    """Return the groups of many records of one length."""
    if len(starts) < MANY:
        return []
    import numpy as np

    data, begin, length = np.frombuffer(buffer, np.uint8), np.array(starts), np.array(lengths)
    order = np.argsort(length, kind="stable")
    cuts = np.flatnonzero(np.diff(length[order])) + 1
    groups = [group for group in np.split(order, cuts) if len(group) >= MANY and length[group[0]] <= CHECKED_BYTES]
    return [Alike(group, data[begin[group][:, None] + np.arange(length[group[0]])]) for group in groups]


def _is_whole(buffer: bytes, start: int, length: int) -> bool:
    if length > CHECKED_BYTES:
        return True
    end = start + length
    return masked_crc32c(buffer[start:end]) == int.from_bytes(buffer[end : end + _FOOT], "little")


def _wrong_rows(buffer: bytes, starts: list[int], group: Alike) -> npt.NDArray[np.int64]:
    import numpy as np

    ends = np.array(starts)[group.places] + group.rows.shape[1]
    feet = np.frombuffer(buffer, np.uint8)[ends[:, None] + np.arange(_FOOT)].view("<u4")[:, 0]
    return np.flatnonzero(masked_crc32c_rows(group.rows) != feet)
