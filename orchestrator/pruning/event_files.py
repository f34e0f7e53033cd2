"""Read what a TensorBoard event file holds: its steps, tags and number of scalars, all of them, from a file of any size."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from orchestrator.store.errors import InputError

CHECKED_BYTES = 4096
"""Of longer records, images and graphs, only the head's checksum is looked at: TensorBoard's own reader checks 5 MB a second."""

MOST_BYTES = 1 << 28
"""A record that claims to be longer ends the file, as a torn one does."""

SCALARS = "scalars"
"""Name of the plugin that marks a tensor as a scalar (TensorFlow 2)."""

_HEAD = struct.Struct("<QI")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What an event file holds, as far as it can be read."""

    began_at: float = math.inf
    """When the file was opened for writing [s since 1970]."""
    first_at: float = math.inf
    last_at: float = -math.inf
    """When its first and last value were written [s since 1970]."""
    first_step: int | None = None
    last_step: int | None = None
    scalars: int = 0
    values: int = 0
    """Scalars, images, texts, histograms."""
    tags: frozenset[str] = frozenset()
    is_whole: bool = True
    """False: it ends within a record, or is damaged there."""


class _Torn(Exception):
    """The file ends here, in the middle of a record or at a damaged one."""


def read_event_file(path: Path) -> Content:
    """Read an event file from its beginning to its end, or to where it is damaged. Raises InputError without tensorboard."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
    except ImportError as error:
        raise InputError(
            f"{path}: cannot be read, as tensorboard cannot be imported ({error}). Install tensorboard, or use --keep largest."
        ) from error
    reading = _Reading()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        try:
            for record in _records(stream, masked_crc32c):
                reading.take(_parsed(Event, record))
        except _Torn:
            return reading.content(is_whole=False)
    return reading.content(is_whole=True)


def _parsed(kind: Any, record: bytes) -> Any:
    try:
        return kind.FromString(record)
    except Exception as error:  # protobuf's DecodeError comes from whichever implementation is installed
        raise _Torn from error


def _records(stream: BinaryIO, checksum: Any) -> Iterator[bytes]:
    """Yield the records of a TFRecord file: length, its checksum, content, its checksum."""
    while head := stream.read(_HEAD.size):
        if len(head) < _HEAD.size:
            raise _Torn
        length, expected = _HEAD.unpack(head)
        if checksum(head[:8]) != expected or length > MOST_BYTES:
            raise _Torn
        record, foot = stream.read(length), stream.read(4)
        if len(record) < length or len(foot) < 4:
            raise _Torn
        if length <= CHECKED_BYTES and checksum(record) != int.from_bytes(foot, "little"):
            raise _Torn
        yield record


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self.began_at, self.first_at, self.last_at = math.inf, math.inf, -math.inf
        self.scalars, self.values = 0, 0
        self.tags: set[str] = set()
        self._scalar_tags: set[str] = set()
        self._steps: dict[bool, tuple[int, int]] = {}
        """Whether of scalars → first and last step."""

    def take(self, event: Any) -> None:
        self.began_at = min(self.began_at, event.wall_time)
        for value in event.summary.value:
            is_scalar = self._is_scalar(value)
            self.values += 1
            self.scalars += is_scalar
            self.tags.add(value.tag)
            first, last = self._steps.get(is_scalar, (event.step, event.step))
            self._steps[is_scalar] = (min(first, event.step), max(last, event.step))
            self.first_at, self.last_at = min(self.first_at, event.wall_time), max(self.last_at, event.wall_time)

    def _is_scalar(self, value: Any) -> bool:
        if value.HasField("simple_value"):
            return True
        if value.metadata.plugin_data.plugin_name == SCALARS:  # named with the first value of a tag only
            self._scalar_tags.add(value.tag)
        return value.tag in self._scalar_tags

    def content(self, *, is_whole: bool) -> Content:
        first, last = self._steps.get(True) or self._steps.get(False) or (None, None)
        return Content(
            began_at=self.began_at,
            first_at=self.first_at,
            last_at=self.last_at,
            first_step=first,
            last_step=last,
            scalars=self.scalars,
            values=self.values,
            tags=frozenset(self.tags),
            is_whole=is_whole,
        )
