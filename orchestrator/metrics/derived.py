"""Derived files of a grid's folder: with a checksum, replaced as a whole, and believed only where they are whole and one's own."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from orchestrator.store.errors import StoreError
from orchestrator.store.files import write_atomic

MOST_BYTES = 1 << 32
"""A larger file is none of ours."""

MAGIC_BYTES = 18
PREFIX = struct.Struct(f"<{MAGIC_BYTES}sIQ")
"""Magic, checksum of all that follows, length of the head."""


class Damaged(Exception):
    """This is no derived file of ours."""


def read_derived(path: Path, magic: bytes) -> tuple[int, memoryview]:
    """Return the length of the head, and all that follows the prefix. Raises OSError, and Damaged where the file is not whole."""
    return unpack(_content(path), magic)


def unpack(content: bytes, magic: bytes) -> tuple[int, memoryview]:
    """Return the length of the head, and all that follows the prefix. Raises Damaged where the content is not whole."""
    if len(content) < PREFIX.size:
        raise Damaged
    found, checksum, length = PREFIX.unpack_from(content)
    body = memoryview(content)[PREFIX.size :]
    if found != magic or length > len(body) or zlib.crc32(body) != checksum:
        raise Damaged
    return length, body


def _content(path: Path) -> bytes:
    """Return the content of a file of this user's, or of the owner of the folder that it lies in. Links are not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        status = os.fstat(descriptor)
        owners = (os.getuid(), os.stat(path.parent).st_uid)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners or status.st_size > MOST_BYTES:
            raise Damaged
        return stream.read()


def write_derived(path: Path, magic: bytes, head: bytes, parts: Sequence[bytes] = ()) -> None:
    """Replace a derived file in a grid's folder of one's own; where that is not possible, the next reading takes longer."""
    try:
        if os.stat(path.parent).st_uid == os.getuid():
            write_atomic(path, pack(magic, head, parts), durable=False)
    except (OSError, StoreError):
        return


def pack(magic: bytes, head: bytes, parts: Sequence[bytes]) -> bytes:
    """Return the content of a derived file."""
    checksum = 0
    for part in (head, *parts):
        checksum = zlib.crc32(part, checksum)
    return b"".join([PREFIX.pack(magic, checksum, len(head)), head, *parts])
