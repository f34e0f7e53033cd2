"""What one record of an event file says: its step, and where its scalars lie; a small reader of protobuf's wire format."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

SCALARS = "scalars"
"""Name of the plugin that marks a tensor as a scalar (TensorFlow 2)."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TIME, _STEP, _SUMMARY, _VALUE = 1, 2, 5, 1
_TAG, _SIMPLE_VALUE, _TENSOR, _METADATA = 1, 2, 8, 9
_OTHER_KINDS = (3, 4, 5, 6)
"""Histograms, images, audio: of a value's kinds the last one holds."""
_PLUGIN, _PLUGIN_NAME = 1, 1
_DTYPE, _CONTENT, _FLOATS, _DOUBLES = 1, 4, 5, 6
_CONTENT_FORMATS = {1: "<f", 2: "<d", 3: "<i", 4: "<B", 5: "<h", 6: "<b", 9: "<q", 10: "<B", 17: "<H", 19: "<e", 22: "<I", 23: "<Q"}
"""TensorFlow's types that a scalar may have."""


class Malformed(Exception):
    """This is no record of an event file."""


class Span(NamedTuple):
    """Bytes of a record."""

    start: int
    end: int


class Scalar(NamedTuple):
    """Where a number lies in its record."""

    tag: str
    start: int
    format: str
    """As struct and numpy name it."""
    is_marked: bool
    """It says of itself that it is a scalar; a tensor does so in the first record of its tag only."""


class Event(NamedTuple):
    """One record."""

    step: int
    step_at: Span
    """Empty where the step is left out, which means 0."""
    time_at: Span
    scalars: list[Scalar]


def parse_event(record: bytes) -> Event:
    """Find the step and the scalars of a record; images, histograms and texts are passed over. Raises Malformed."""
    try:
        return _event(record)
    except (IndexError, struct.error) as error:
        raise Malformed from error


def value_of(record: bytes, scalar: Scalar) -> float:
    """Return a scalar's number."""
    return float(struct.unpack_from(scalar.format, record, scalar.start)[0])


def _event(record: bytes) -> Event:
    step, step_at, time_at, scalars = 0, Span(0, 0), Span(0, 0), list[Scalar]()
    for number, kind, span in _fields(record, Span(0, len(record))):
        if (number, kind) == (_TIME, _FIXED64):
            time_at = span
        elif (number, kind) == (_STEP, _VARINT):
            step, step_at = _signed(_varint(record, span.start)[0]), span
        elif (number, kind) == (_SUMMARY, _BYTES):
            values = (value for place, wire, value in _fields(record, span) if (place, wire) == (_VALUE, _BYTES))
            scalars += [scalar for value in values if (scalar := _scalar(record, value)) is not None]
    return Event(step, step_at, time_at, scalars)


def _scalar(record: bytes, value: Span) -> Scalar | None:
    tag, is_marked, found = "", False, None
    for number, kind, span in _fields(record, value):
        if number == _TAG and kind == _BYTES:
            tag = record[span.start : span.end].decode("utf-8", "replace")
        elif number == _SIMPLE_VALUE and kind == _FIXED32:
            found, is_marked = (span.start, "<f"), True
        elif number == _TENSOR and kind == _BYTES:
            found = _in_tensor(record, span)
        elif number == _METADATA and kind == _BYTES:
            is_marked |= _plugin(record, span) == SCALARS
        elif number in _OTHER_KINDS:
            found = None
    return None if found is None else Scalar(tag, *found, is_marked)


def _in_tensor(record: bytes, tensor: Span) -> tuple[int, str] | None:
    """Return where the one number of a tensor lies, and its format; None for one of several numbers, or of an unknown type."""
    dtype, found = 0, list[tuple[int, str]]()
    content = None
    for number, kind, span in _fields(record, tensor):
        if number == _DTYPE and kind == _VARINT:
            dtype = _varint(record, span.start)[0]
        elif number == _CONTENT and kind == _BYTES:
            content = span
        elif number in (_FLOATS, _DOUBLES) and kind in (_BYTES, _FIXED32, _FIXED64):
            format_ = "<f" if number == _FLOATS else "<d"
            if (span.end - span.start) % struct.calcsize(format_):
                raise Malformed
            found += [(start, format_) for start in range(span.start, span.end, struct.calcsize(format_))]
    if content is not None and (format_ := _CONTENT_FORMATS.get(dtype, "")) and content.end - content.start == struct.calcsize(format_):
        return content.start, format_
    return found[0] if len(found) == 1 else None


def _plugin(record: bytes, metadata: Span) -> str:
    for number, kind, span in _fields(record, metadata):
        if (number, kind) == (_PLUGIN, _BYTES):
            for inner, wire, name in _fields(record, span):
                if (inner, wire) == (_PLUGIN_NAME, _BYTES):
                    return record[name.start : name.end].decode("utf-8", "replace")
    return ""


def _fields(record: bytes, message: Span) -> Iterator[tuple[int, int, Span]]:
    """Yield number, wire type and place of each field of a message. Raises Malformed, or IndexError beyond the record."""
    place, end = message
    while place < end:
        key, place = _varint(record, place)
        number, kind = key >> 3, key & 7
        start = place
        if kind == _VARINT:
            _, place = _varint(record, place)
        elif kind == _BYTES:
            length, start = _varint(record, place)
            place = start + length
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise Malformed
        if place > end or not number:
            raise Malformed
        yield number, kind, Span(start, place)


def _varint(record: bytes, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    byte = record[place]
    if byte < 0x80:
        return byte, place + 1
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        place += 1
        byte = record[place]
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise Malformed
    return value, place + 1


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
