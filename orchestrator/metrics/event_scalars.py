"""Read the scalars of TensorBoard event files, all of them, without tensorboard: records that look alike are read at once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.metrics.event_frames import Alike, Torn, Window, read_windows
from orchestrator.metrics.event_records import Event, Malformed, Span, parse_event, value_of
from orchestrator.metrics.merging import Series, last_of_each
from orchestrator.metrics.reports import OnError, ignore, opened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST_PATTERNS = 64
"""Of one length; what fits none of them is read record by record."""


class _Part(NamedTuple):
    """Numbers of one tag."""

    order: npt.NDArray[np.int64]
    """Which records of all files they are from."""
    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


_Parts = Mapping[str, list[_Part]]


def read_scalars(files: Iterable[Path | str], on_error: OnError = ignore) -> dict[str, Series]:
    """Return tag → series of the files of one folder, given in the order in which they were opened; of a step the last value counts.

    A file that is torn or damaged gives what lies before that. Links are not followed.
    """
    parts: dict[str, list[_Part]] = defaultdict(list)
    count = 0
    for file in files:
        reading = _Reading(count)
        with opened(file, follow=False, on_error=on_error) as descriptor:
            if descriptor is not None:
                reading.read(descriptor, on_error)
        for tag, found in reading.scalars():
            parts[tag] += found
        count = reading.count
    return {tag: _series(found) for tag, found in parts.items()}


def _series(parts: list[_Part]) -> Series:
    import numpy as np

    order, steps, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    written = np.argsort(order, kind="stable")
    return Series(*last_of_each(steps[written].astype(np.float64), values[written]))


class _Reading:
    """What was read of one file."""

    def __init__(self, count: int) -> None:
        """`count`: how many records the files before it hold."""
        self.count = count
        self._parts: dict[str, list[_Part]] = defaultdict(list)
        self._single: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
        """Tag → (order, step, value)."""
        self._marked: set[str] = set()

    def read(self, descriptor: int, on_error: OnError) -> None:
        """Read an open file to its end, or to where it is damaged."""
        try:
            for window in read_windows(partial(os.read, descriptor)):
                self._read_window(window)
                self.count += len(window.starts)
        except Torn:
            return
        except OSError as error:
            on_error(error)

    def scalars(self) -> Iterable[tuple[str, list[_Part]]]:
        """Yield the tags that are scalars, and their numbers."""
        import numpy as np

        for tag, rows in self._single.items():
            order, steps, values = zip(*rows, strict=True)
            self._parts[tag].append(_Part(np.array(order), np.array(steps), np.array(values)))
        return ((tag, parts) for tag, parts in self._parts.items() if tag in self._marked)

    def _read_window(self, window: Window) -> None:
        try:
            events = [(place, window.record(place), parse_event(window.record(place))) for place in window.single()]
            patterns = [pattern for group in window.alike for pattern in _patterns(group)]
        except Malformed:
            self._read_singly(window)
            raise Torn from None
        for place, record, event in events:
            self._take(place, record, event)
        for pattern in patterns:
            self._take_pattern(*pattern)

    def _read_singly(self, window: Window) -> None:
        """Take what lies before the malformed record of a window."""
        for place in range(len(window.starts)):
            record = window.record(place)
            try:
                self._take(place, record, parse_event(record))
            except Malformed:
                return

    def _take(self, place: int, record: bytes, event: Event) -> None:
        for scalar in event.scalars:
            self._single[scalar.tag].append((self.count + place, event.step, value_of(record, scalar)))
            if scalar.is_marked:
                self._marked.add(scalar.tag)

    def _take_pattern(self, event: Event, group: Alike) -> None:
        import numpy as np

        steps = _steps(group.rows, event.step_at)
        for scalar in event.scalars:
            kind = np.dtype(scalar.format)
            numbers = np.ascontiguousarray(group.rows[:, scalar.start : scalar.start + kind.itemsize]).view(kind)[:, 0]
            self._parts[scalar.tag].append(_Part(self.count + group.places, steps, numbers.astype(np.float64)))
            if scalar.is_marked:
                self._marked.add(scalar.tag)


def _patterns(group: Alike) -> Iterable[tuple[Event, Alike]]:
    """Divide records of one length into those that differ in time, step and numbers only; yields one's layout, and all of them."""
    places, rows = group
    for _ in range(_MOST_PATTERNS):
        first = rows[0]
        event = parse_event(first.tobytes())
        differs = ((rows ^ first) & _fixed(event, len(first))).any(axis=1)
        yield event, Alike(places[~differs], rows[~differs])
        places, rows = places[differs], rows[differs]
        if not len(rows):
            return
    for place, row in zip(places, rows, strict=True):
        yield parse_event(row.tobytes()), Alike(place[None], row[None])


def _fixed(event: Event, length: int) -> npt.NDArray[np.uint8]:
    """Return the bits in which records of a pattern are the same."""
    import numpy as np

    fixed = np.full(length, 0xFF, np.uint8)
    fixed[slice(*event.time_at)] = 0
    fixed[slice(*event.step_at)] = 0x80  # the bit that says whether the step goes on
    for scalar in event.scalars:
        fixed[scalar.start : scalar.start + np.dtype(scalar.format).itemsize] = 0
    return fixed


def _steps(rows: npt.NDArray[np.uint8], place: Span) -> npt.NDArray[np.int64]:
    import numpy as np

    steps = np.zeros(len(rows), np.uint64)
    for shift, byte in enumerate(rows[:, slice(*place)].T):
        steps |= (byte & np.uint64(0x7F)) << np.uint64(7 * shift)
    return steps.view(np.int64)
