"""The content of event files that TensorBoard reads: records, scalars, hyper-parameters; written without TensorFlow or torch."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from orchestrator.grid.where import quoted
from orchestrator.metrics.checksums import masked_crc32c
from orchestrator.metrics.history import RunHistory
from orchestrator.metrics.lines import as_float
from orchestrator.store.errors import InputError
from orchestrator.store.events import Number
from orchestrator.store.records import Record
from orchestrator.store.states import State

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event

VERSION = "brain.Event:2"
"""First record of every event file."""
FINAL = "final/"
"""What a run returned stands under its name with this before it: a point of its own, not one more of the curve."""


def check_tensorboard() -> None:
    """Raise InputError where the package tensorboard is missing."""
    try:
        import tensorboard.compat.proto.event_pb2  # noqa: F401
    except ImportError as error:
        raise InputError(f"tensorboard cannot be imported ({error}). Install it with: pip install 'mrsweep[report]'") from error


def encode(events: Iterable[Event], began_at: float) -> bytes:
    """Return an event file: the version, then these events. The same events make the same bytes."""
    from tensorboard.compat.proto.event_pb2 import Event

    return b"".join(frame(event.SerializeToString()) for event in (Event(wall_time=began_at, file_version=VERSION), *events))


def frame(record: bytes) -> bytes:
    """Return a record as it stands in the file: length, its checksum, content, its checksum."""
    return b"".join((_head(len(record)), record, struct.pack("<I", masked_crc32c(record))))


@cache
def _head(length: int) -> bytes:
    """Return what stands before a record of this length; most of a file's records have one of a few."""
    head = struct.pack("<Q", length)
    return head + struct.pack("<I", masked_crc32c(head))


def curve_events(run: RunHistory, began_at: float) -> Iterator[Event]:
    """Yield an event a step with all that was reported there; the time of each is the start of the run, for no other is known."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    reports: dict[int, list[Summary.Value]] = {}
    for tag, curve in sorted(run.curves.items()):
        for step, value in zip(_whole(curve.steps.tolist()), curve.values.tolist(), strict=True):
            reports.setdefault(step, []).append(Summary.Value(tag=tag, simple_value=value))
    for step in sorted(reports):
        yield Event(wall_time=began_at, step=step, summary=Summary(value=reports[step]))


def _whole(steps: list[float]) -> Iterable[int]:
    """Return steps as TensorBoard can hold them; where they are no whole numbers, their places in the curve."""
    return [int(step) for step in steps] if all(math.isfinite(step) and step == int(step) for step in steps) else range(len(steps))


def fact_events(name: str, keys: Mapping[str, Any], record: Record, final: Mapping[str, Number], began_at: float) -> Iterator[Event]:
    """Yield what the HParams page shows of a run: its varying keys, its state, and what its entry returned."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=began_at)
    for key, value in keys.items():
        _set(start.hparams[key], value)
    yield _hparams_event("session_start_info", start, began_at)
    yield from _final_events(final, began_at)
    status = _STATUS.get(record.state)
    if status is not None:
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended_at(record) or began_at)
        yield _hparams_event("session_end_info", end, began_at)


_STATUS = {State.COMPLETED: "STATUS_SUCCESS", State.FAILED: "STATUS_FAILURE", State.CANCELLED: "STATUS_FAILURE"}
"""Words of the HParams page; a run in any other state has not ended."""


def ended_at(record: Record) -> float | None:
    """Return when the run's last attempt ended."""
    return record.decisive.ended_at if record.decisive else None


def _final_events(final: Mapping[str, Number], began_at: float) -> Iterator[Event]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    numbers = {name: as_float(value) for name, value in final.items()}
    values = [Summary.Value(tag=FINAL + name, simple_value=number) for name, number in sorted(numbers.items()) if number is not None]
    if values:
        yield Event(wall_time=began_at, summary=Summary(value=values))


def _hparams_event(kind: str, info: Any, began_at: float) -> Event:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    told = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**{kind: info}))
    value = Summary.Value(tag=f"_hparams_/{kind}", metadata=told, tensor=metadata.NULL_TENSOR)
    return Event(wall_time=began_at, summary=Summary(value=[value]))


def _set(place: Any, value: object) -> None:
    """Store a hyper-parameter; what is neither truth, finite number nor text is shown as a grid file writes it."""
    if isinstance(value, bool):
        place.bool_value = value
    elif isinstance(value, int | float) and math.isfinite(value):
        place.number_value = value
    else:
        place.string_value = value if isinstance(value, str) else quoted(value)
