"""CRC-32C (Castagnoli), masked as TFRecord files hold it: of one record, or of many of one length at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ONES = 0xFFFFFFFF


def masked_crc32c(content: bytes) -> int:
    """Return the masked checksum of a record."""
    table, crc = _table(), _ONES
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= _ONES
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ONES


def masked_crc32c_rows(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Return the masked checksum of each row. rows: (record, byte)."""
    import numpy as np

    pairs = _table_of_pairs()
    crc = np.full(len(rows), _ONES, np.uint32)
    even = rows.shape[1] // 2 * 2
    for word in np.ascontiguousarray(rows[:, :even]).view("<u2").T:
        crc = pairs[(crc ^ word) & 0xFFFF] ^ (crc >> 16)
    for byte in rows[:, even:].T:
        crc = np.asarray(_table(), np.uint32)[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= np.uint32(_ONES)
    return np.asarray(((crc >> 15) | (crc << 17)) + np.uint32(_MASK_DELTA), np.uint32)


@cache
def _table() -> tuple[int, ...]:
    """Return what each byte makes of a checksum."""
    return tuple(_shifted(byte) for byte in range(256))


def _shifted(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ (_POLYNOMIAL * (crc & 1))
    return crc


@cache
def _table_of_pairs() -> npt.NDArray[np.uint32]:
    """Return what each two bytes make of a checksum, which halves the steps."""
    import numpy as np

    table = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        table = np.asarray((table >> 1) ^ (np.uint32(_POLYNOMIAL) * (table & 1)), np.uint32)
    return table
