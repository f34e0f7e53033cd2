"""Parallel coordinates: a line a run through the value of each axis to its score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from orchestrator.grid.manifest import Manifest
from orchestrator.report.axes import label
from orchestrator.report.colours import told_direction
from orchestrator.report.effects import why_none
from orchestrator.report.markup import Section, paragraph, text
from orchestrator.report.scores import Scores
from orchestrator.report.thinning import evenly

MOST_RUNS = 5000
MOST_MARKS = 8
CLOSE = 0.06
"""Of the length of an axis: nearer labels cover each other."""

LOGARITHMIC_FROM = 50
"""Positive numbers whose largest is so many times the smallest are drawn on a logarithmic scale."""


def parallel_section(manifests: Sequence[Manifest], keys: Sequence[str], scores: Scores) -> Section:
    """Hand the scored runs to the page's script. `keys`: the axes, in the order of the grid."""
    title = "Parallel coordinates"
    scored = [one for one in manifests if one.id in scores.by_run]
    if not scored or not keys:
        return Section("parallel", title, paragraph(why_none(scores) if not scored else "No key varies in this grid."), is_empty=True)
    shown = evenly(scored, MOST_RUNS)
    told = "Drag along an axis to choose runs, in the table too; "
    told += "click the axis to let go."
    if len(shown) < len(scored):
        told += f" {len(shown):,} of {len(scored):,} runs are drawn, evenly picked."
    columns = [axis_of(key, {one.id: one.varying.get(key) for one in shown}) for key in keys]
    last = axis_of(scores.metric, {one.id: scores.by_run[one.id] for one in shown})
    data = {"runs": [one.id for one in shown], "axes": [*columns, last], "brightHigh": scores.mode != "min"}
    colours = f'<p class="note">A line a completed run, coloured by {text(scores.metric)}: {told_direction(scores.mode)}. {text(told)}</p>'
    body = '<div class="scroll"><canvas id="parallel-canvas" tabindex="0" role="img" aria-label="parallel coordinates"></canvas></div>'
    return Section("parallel", title, f'{colours}{body}<p class="note" id="parallel-chosen"></p>', data={"parallel": data})


def axis_of(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an axis for the script: the place of each run between 0 and 1, and the ticks."""
    found = list(values.values())
    if all(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in found):
        return {"name": name, **_numbers(found)}
    labels = [label(value) for value in found]
    levels = list(dict.fromkeys(labels))
    places = {one: (place + 0.5) / len(levels) for place, one in enumerate(levels)}
    return {"name": name, "places": [places[one] for one in labels], "ticks": evenly([(places[one], one) for one in levels], 12)}


def _numbers(values: Sequence[float]) -> dict[str, Any]:
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low >= LOGARITHMIC_FROM
    scale = math.log if logarithmic else float
    start, span = scale(low), (scale(high) - scale(low)) or 1.0

    def place(value: float) -> float:
        return round((scale(value) - start) / span, 5)

    marks: Sequence[float] = evenly(sorted(set(values)), MOST_MARKS)
    if not all(isinstance(value, int) for value in values) and _are_close([place(mark) for mark in sorted(set(values))]):
        marks = [_between(low, high, at / 4, logarithmic) for at in range(5)]
    ticks = [(place(mark), label(float(mark)) if isinstance(mark, float) else str(mark)) for mark in marks]
    return {"places": [place(value) for value in values], "ticks": ticks}


def _are_close(places: Sequence[float]) -> bool:
    """Say whether labels at these places would cover each other."""
    return any(after - before < CLOSE for before, after in pairwise(places))


def _between(low: float, high: float, share: float, logarithmic: bool) -> float:
    return float(low * (high / low) ** share if logarithmic else low + (high - low) * share)
