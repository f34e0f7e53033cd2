"""Which metrics were reported, and what is said of one that was not (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.metrics.history import RunHistory
from orchestrator.store.errors import InputError, did_you_mean
from orchestrator.store.records import Record
from orchestrator.store.states import FINAL, State

_ADVICE = "Report one with: run.report(step, loss=…)."


def count_metrics(reports: Iterable[RunHistory]) -> Counter[str]:
    """Return metric → how many of the runs reported or returned it."""
    shapes = Counter((*each.curves, *each.texts, *each.final) for each in reports)  # most runs report the same
    known: Counter[str] = Counter()
    for names, count in shapes.items():
        known.update(dict.fromkeys(names, count))
    return known


def no_metric(option: str, texts: Iterable[str]) -> InputError:
    """Return the error for averages where no run reported a number. `texts`: metrics that hold texts only."""
    held = sorted(set(texts))
    beside = f"{', '.join(held[:6])} {'holds' if len(held) == 1 else 'hold'} texts" if held else "no run reported a metric"
    return InputError(f"{option}: there is no number to average: {beside}. {_ADVICE}")


def unknown_metric(name: str, option: str, known: Iterable[str], records: Sequence[Record]) -> InputError:
    """Return the error for a metric that no run reported: the nearest of those that are known, or why none is."""
    names = list(known)
    if names:
        return InputError(f"{option} {name}: no run reported such a metric. {did_you_mean(name, names)}")
    if any(record.state is State.COMPLETED for record in records):
        return InputError(f"{option} {name}: no run reported such a metric, nor any other number. {_ADVICE}")
    waiting = any(record.state not in FINAL for record in records)
    advice = "Wait for them." if waiting else "See why with: mrsweep status"
    yet = " yet" if waiting else ""
    return InputError(f"{option} {name}: no run reported such a metric{yet}; none of {len(records):,} runs has completed. {advice}")
