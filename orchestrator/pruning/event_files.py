"""Read what a TensorBoard event file holds: its steps, tags and number of scalars, all of them, from a file of any size."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.metrics.event_frames import Torn, read_records
from orchestrator.metrics.event_records import SCALARS
from orchestrator.store.errors import InputError


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


def read_event_file(path: Path) -> Content:
    """Read an event file from its beginning to its end, or to where it is damaged. Raises InputError without tensorboard."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
    except ImportError as error:
        raise InputError(
            f"{path}: cannot be read, as tensorboard cannot be imported ({error}). Install tensorboard, or use --keep largest."
        ) from error
    reading = _Reading()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        try:
            for record in read_records(stream.read):
                reading.take(_parsed(Event, record))
        except Torn:
            return reading.content(is_whole=False)
    return reading.content(is_whole=True)


def _parsed(kind: Any, record: bytes) -> Any:
    try:
        return kind.FromString(record)
    except Exception as error:  # protobuf's DecodeError comes from whichever implementation is installed
        raise Torn from error


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
