"""MNIST's IDX files: a head of four bytes, the length of each axis, then the values, all in big-endian order."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import BadInput

KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Third byte of the head → numpy's name of the values (LeCun, The MNIST database)."""


def read_idx(path: Path) -> NDArray[np.generic]:
    """Read an array; a file that ends with .gz is unpacked. Raises BadInput for what is no IDX file, or is cut off."""
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in KINDS:
        raise BadInput(f"{path}: is no IDX file: it begins with {content[:4].hex(' ')}, not with 00 00 08. Download it again.")
    kind, axes = np.dtype(KINDS[content[2]]), content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise BadInput(f"{path}: is cut off in its head of {start} bytes. Download it again.")
    shape = struct.unpack(f">{axes}I", content[4:start])
    expected = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if len(content) - start != expected:
        raise BadInput(f"{path}: expected {expected} bytes for {shape}, got {len(content) - start}. Download it again.")
    return np.frombuffer(content, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except FileNotFoundError as error:
        raise BadInput(f"{path}: there is no such file. Check the path.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be unpacked ({error}). Download it again.") from error


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    """Return bytes of any number of axes as the content of an IDX file."""
    return bytes((0, 0, 0x08, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
