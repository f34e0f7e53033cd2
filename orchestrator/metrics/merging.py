"""How the attempts of a run become one: a later attempt wins, and an older one counts only before the first step of a newer one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from orchestrator.metrics.history import Curve

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

K = TypeVar("K")
T = TypeVar("T")


class Series(NamedTuple):
    """One metric of one attempt."""

    steps: npt.NDArray[np.float64]
    """Ascending, each once."""
    values: npt.NDArray[np.float64]
    texts: Mapping[float, str] = {}
    """Step → text, where the report was one; its value is NaN."""


def counting(older: Sequence[float], newer: Sequence[float]) -> int:
    """Return how many steps of an older attempt count beside a newer one: those before its first. Both are ascending."""
    return bisect_left(older, newer[0]) if len(newer) else len(older)


def merge_reports(attempts: Iterable[Mapping[float, T]]) -> dict[float, T]:
    """Merge what attempts reported of one metric, step → value, oldest first; ascending."""
    merged: dict[float, T] = {}
    for attempt in attempts:
        steps, before = sorted(attempt), list(merged)
        merged = {step: merged[step] for step in before[: counting(before, steps)]} | {step: attempt[step] for step in steps}
    return merged


def in_one_file(pieces: Sequence[Mapping[str, Series]]) -> Mapping[str, Series]:
    """Return metric → series of successive pieces of a file: of a step the later report counts, and nothing is superseded."""
    if len(pieces) == 1:
        return pieces[0]
    found: dict[str, list[Series]] = {}
    for piece in pieces:
        for name, series in piece.items():
            found.setdefault(name, []).append(series)
    return {name: _one_after_another(parts) for name, parts in found.items()}


def _one_after_another(parts: Sequence[Series]) -> Series:
    import numpy as np

    texts: dict[float, str] = {}
    for part in parts:
        gone = set(part.steps.tolist()) if texts else ()
        texts = {step: text for step, text in texts.items() if step not in gone} | dict(part.texts)
    steps, values = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:2])
    return Series(*last_of_each(steps, values), texts)


def last_of_each(
    steps: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each step once, ascending, with the last of its values."""
    import numpy as np

    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    is_last = np.append(steps[1:] != steps[:-1], [True] * bool(len(steps)))
    return steps[is_last], values[is_last]


def begins_anew(begun: Mapping[K, float], firsts: Mapping[K, float]) -> bool:
    """Say whether an attempt started from nothing: it begins no later than the older ones, in every metric that both report.

    begun, firsts: metric → first step, of the older attempts and of this one.
    """
    both = begun.keys() & firsts.keys()
    return bool(both) and all(firsts[name] <= begun[name] for name in both)


def _first_steps(attempt: Mapping[str, Series]) -> dict[str, float]:
    return {name: series.steps.item(0) for name, series in attempt.items()}


def merge_series(attempts: Iterable[Mapping[str, Series]]) -> dict[str, Series]:
    """Merge the metrics of attempts, oldest first.

    Of one that started from nothing, what the older ones reported is superseded as a whole, also under names that it does not use.
    """
    merged: dict[str, Series] = {}
    for attempt in attempts:
        if begins_anew(_first_steps(merged), _first_steps(attempt)):
            merged = {}
        merged |= {name: _joined(merged[name], newer) if name in merged else newer for name, newer in attempt.items()}
    return merged


def _joined(older: Series, newer: Series) -> Series:
    import numpy as np

    count = counting(older.steps, newer.steps)  # type: ignore[arg-type]
    before = older.steps[:count]
    texts = {step: text for step, text in older.texts.items() if step <= before[-1]} if count else {}
    return Series(np.concatenate((before, newer.steps)), np.concatenate((older.values[:count], newer.values)), {**texts, **newer.texts})


def split(merged: Mapping[str, Series]) -> tuple[dict[str, Curve], dict[str, str]]:
    """Return the numbers of each metric, and the last of its texts."""
    curves = {name: _numbers(series) if series.texts else Curve(series.steps, series.values) for name, series in merged.items()}
    texts = {name: series.texts[max(series.texts)] for name, series in merged.items() if series.texts}
    return {name: curve for name, curve in curves.items() if len(curve.steps)}, texts


def _numbers(series: Series) -> Curve:
    import numpy as np

    kept = ~np.isin(series.steps, list(series.texts))
    return Curve(series.steps[kept], series.values[kept])
