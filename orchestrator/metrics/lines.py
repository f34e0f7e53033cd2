"""Lines of metrics.jsonl: values made fit for JSON, and the best and last objective read back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.grid.objective import Objective
from orchestrator.store.events import Number
from orchestrator.store.files import read_lines

_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_INT64 = 2**63


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the reports of a run come to."""

    reports: int = 0
    best: Number = None
    best_step: int | None = None
    last: Number = None
    finite: int = 0
    """Reports that held a finite value of the objective."""


def as_number(value: object) -> Number:
    """Return a metric as JSON can hold it: NaN and infinities as words, one-element tensors and arrays as numbers.

    Raises TypeError for what is neither a number nor a text, such as a list.
    """
    if value is None or isinstance(value, str):
        return value and str(value)
    plain = value if isinstance(value, int | float) else _item(value)
    if isinstance(plain, int) and -_INT64 <= plain < _INT64:
        return int(plain)
    if isinstance(plain, int | float):
        number = float(plain)
        return number if math.isfinite(number) else str(number)
    raise TypeError(f"holds a {type(value).__name__}; a metric is a number or a text")


def _item(value: object) -> object:
    """Return the one element of a tensor or array."""
    try:
        return value.item()  # type: ignore[attr-defined]
    except AttributeError:
        return value
    except (ValueError, RuntimeError) as error:
        raise TypeError(f"holds a {type(value).__name__} of several elements; a metric is one number") from error


def as_float(value: object) -> float | None:
    """Return a stored metric as a number, its words as NaN and infinities; None for a text."""
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    return float(value) if isinstance(value, float | int) else None


def flatten(metrics: Mapping[Any, object], prefix: str = "") -> Iterable[tuple[str, object]]:
    """Yield (name, value) of nested metrics, names joined by "/"."""
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def summarise(files: Iterable[Path], objective: Objective | None) -> Summary:
    """Fold the metrics of an attempt and of those that it continues, oldest first.

    A step that was reported twice counts by its last report, and what an older attempt reported beyond the first
    step of a newer one is superseded. NaN never is the best.
    """
    values: dict[float, object] = {}
    reports = 0
    for file in files:
        lines = list(read_lines(file, _decode_line))
        reports += len(lines)
        if objective is None:
            continue
        reported = {step: line[objective.name] for line in lines if objective.name in line for step in [_step(line)]}
        first = min(reported, default=math.inf)
        values = {step: value for step, value in values.items() if step < first} | reported
    return _summary(reports, values, objective)


def _decode_line(line: bytes) -> dict[str, Any]:
    """Decode one report; a bare NaN or Infinity, which Python's json writes, is read as well."""
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        for word, text in ((b"-Infinity", b'"-inf"'), (b"Infinity", b'"inf"'), (b"NaN", b'"nan"')):
            line = line.replace(word, text)
        return msgspec.json.decode(line, type=dict[str, Any])


def _step(line: Mapping[str, Any]) -> float:
    step = as_float(line.get("step"))
    return 0.0 if step is None else step


def _summary(reports: int, values: Mapping[float, object], objective: Objective | None) -> Summary:
    if objective is None or not values:
        return Summary(reports=reports)
    numbers = {step: as_float(value) for step, value in values.items()}
    finite = {step: number for step, number in numbers.items() if number is not None and math.isfinite(number)}
    last = as_number(values[max(values)])
    if not finite:
        return Summary(reports=reports, last=last)
    pick = max if objective.mode == "max" else min
    best_step = pick(sorted(finite), key=lambda step: finite[step])
    return Summary(reports=reports, best=finite[best_step], best_step=int(best_step), last=last, finite=len(finite))
