"""Read metrics.jsonl whatever is in it: what is no report is passed over and counted, nothing raises."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestrator.metrics.lines import as_float, flatten
from orchestrator.metrics.merging import Series

LONGEST_LINE = 1 << 20
"""A longer line is no report."""

_BLOCK_BYTES = 1 << 20
_TOO_LONG = b"!"
"""Stands for the beginning of a line that is too long: no report begins so."""
_FARTHEST = 2.0**63
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_decode_numbers = msgspec.json.Decoder(dict[str, float]).decode_lines
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Report = Mapping[str, Any]

OnError = Callable[[OSError], object]
"""Is told of an error after which more may be there than was read, as where a shared filesystem lost a file that is open."""


class Reports(NamedTuple):
    """What a piece of a file holds."""

    lines: list[Report]
    unread: int = 0
    """Lines that are damaged or too long; a last one that is torn is still being written and does not count."""
    are_numbers: bool = False
    """Every value of every line is a finite number."""


class Pieces(NamedTuple):
    """What the reports of a piece of a file come to."""

    series: dict[str, Series]
    stepless: int = 0
    """Reports that name no step."""


def ignore(error: OSError) -> None:
    """Take what can be read for all that is there."""


def is_absent(error: OSError) -> bool:
    """Say whether an error tells that there is nothing to be read: no such file or folder, a link in a circle, a socket."""
    return error.errno in _ABSENT


def read_reports(path: Path | str, on_error: OnError = ignore) -> Iterator[Reports]:
    """Yield the reports of a file, in its order, a few thousand at a time; one that is missing, or no file, has none."""
    for block, is_last in _blocks(path, on_error):
        yield _decode_block(block, is_last=is_last)


@contextmanager
def opened(path: Path | str, *, follow: bool = True, on_error: OnError = ignore) -> Iterator[int | None]:
    """Open a file that others wrote, for reading: yields None for what is missing, unreadable, or no file (a pipe would wait for ever)."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if not is_absent(error):
            on_error(error)
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _blocks(path: Path | str, on_error: OnError = ignore) -> Iterator[tuple[bytes, bool]]:
    """Yield a file in blocks of whole lines, then what follows its last newline."""
    rest = b""
    with opened(path, on_error=on_error) as descriptor:
        while descriptor is not None and (block := read_some(descriptor, _BLOCK_BYTES, on_error)):
            head, newline, tail = block.rpartition(b"\n")
            if newline:
                yield rest + head, False
                rest = b""
            rest += tail
            if len(rest) > LONGEST_LINE:
                rest = _TOO_LONG
    if rest:
        yield rest, True


def read_some(descriptor: int, length: int, on_error: OnError = ignore) -> bytes:
    """Read at most `length` bytes of an open file; an error ends it."""
    try:
        return os.read(descriptor, length)
    except OSError as error:
        on_error(error)
        return b""


def _decode_block(block: bytes, *, is_last: bool) -> Reports:
    if len(block) <= LONGEST_LINE:
        with suppress(ValueError, RecursionError):
            numbers = _decode_numbers(block)
            if len(numbers) == block.count(b"\n") + 1:  # two reports on one line are damage
                return Reports(list(numbers), are_numbers=True)
    lines = [line for line in block.split(b"\n") if line.strip(b"\0 \r")]
    reports = [report for line in lines if (report := decode_report(line)) is not None]
    return Reports(reports, 0 if is_last else len(lines) - len(reports))


def decode_report(line: bytes) -> Report | None:
    """Decode one report; a bare NaN or Infinity, which Python's json writes, is read as well. None: it is damaged."""
    if len(line) > LONGEST_LINE:
        return None
    with suppress(ValueError, RecursionError):
        return _decode(line)
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def step_of(report: Report) -> float:
    """Return the step of a report; one that names none, or no finite number, is of step 0."""
    return _named_step(report) or 0.0


def _named_step(report: Report) -> float | None:
    step = as_float(report.get("step"))
    return step if step is not None and abs(step) < _FARTHEST else None  # NaN is not less


def to_series(reports: Reports) -> Pieces:
    """Return metric → its series over the steps; of two reports of a step the later counts."""
    even = _even_series(reports.lines) if reports.are_numbers else None
    return Pieces(even) if even else _any_series(reports.lines)


def _even_series(lines: list[Report]) -> dict[str, Series] | None:
    """Return the series where every line names the same metrics, at ascending steps; None where one does not."""
    import numpy as np

    if not lines or "step" not in lines[0] or len(lines[0]) < 2 or sum(map(len, lines)) != len(lines) * len(lines[0]):
        return None
    names = tuple(lines[0])
    try:
        rows = chain.from_iterable(map(itemgetter(*names), lines))
        table = np.fromiter(rows, np.float64, len(lines) * len(names)).reshape(-1, len(names)).T.copy()
    except KeyError:
        return None
    steps = table[names.index("step")]
    if not (steps[1:] > steps[:-1]).all() or not -_FARTHEST < steps[0] <= steps[-1] < _FARTHEST:
        return None
    return {name: Series(steps, column) for name, column in zip(names, table, strict=True) if name != "step"}


def _any_series(lines: list[Report]) -> Pieces:
    found: dict[str, dict[float, Any]] = {}
    stepless = 0
    for line in lines:
        named = _named_step(line)
        step = named or 0.0
        metrics = [(name, value) for name, value in flattened(line) if name != "step" and isinstance(value, float | int | str)]
        for name, value in metrics:
            found.setdefault(sound(name), {})[step] = value
        stepless += named is None and bool(metrics)
    return Pieces({name: _series(values) for name, values in found.items()}, stepless)


def flattened(line: Report) -> list[tuple[str, object]]:
    """Return (name, value) of a report, nested names joined by "/"."""
    try:
        return list(flatten(line))
    except RecursionError:  # a thousand mappings in each other are no metric
        return []


def _series(reported: Mapping[float, Any]) -> Series:
    import numpy as np

    steps = sorted(reported)
    numbers = [as_float(reported[step]) for step in steps]
    texts = {step: sound(str(reported[step])) for step, number in zip(steps, numbers, strict=True) if number is None}
    values = [math.nan if number is None else number for number in numbers]
    return Series(np.array(steps, np.float64), np.array(values, np.float64), texts)


def sound(text: str) -> str:
    """Return text that can be written again: half of a surrogate pair is replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
