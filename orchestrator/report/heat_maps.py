"""Pairs of axes as tables of means: where two axes matter together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from statistics import fmean

import msgspec

from orchestrator.report.axes import MOST_LEVELS, Axis
from orchestrator.report.colours import LIGHT_FROM, step_of
from orchestrator.report.effects import Effect, why_none
from orchestrator.report.markup import Section, measured, paragraph, text
from orchestrator.report.scores import Scores

MOST_MAPS = 6


class HeatMap(msgspec.Struct, frozen=True, kw_only=True):
    """The mean score of each pair of levels."""

    down: Axis
    across: Axis
    means: tuple[tuple[float | None, ...], ...]
    """[level of down][level of across]; None where no run has a score."""
    counts: tuple[tuple[int, ...], ...]


def heat_maps_of(effects: Sequence[Effect], scores: Mapping[str, float]) -> list[HeatMap]:
    """Return a map for the pairs of the strongest axes, at most MOST_MAPS."""
    axes = [effect.axis for effect in effects if len(effect.axis.levels) <= MOST_LEVELS]
    pairs = sorted(combinations(range(len(axes)), 2), key=sum)
    return [heat_map(axes[one], axes[other], scores) for one, other in islice(pairs, MOST_MAPS)]


def heat_map(one: Axis, other: Axis, scores: Mapping[str, float]) -> HeatMap:
    """Return the means of two axes; the one with more levels goes down the page."""
    down, across = (one, other) if len(one.levels) >= len(other.levels) else (other, one)
    cells: list[list[list[float]]] = [[[] for _ in across.levels] for _ in down.levels]
    for run, score in scores.items():
        cells[down.level_of[run]][across.level_of[run]].append(score)
    means = tuple(tuple(fmean(cell) if cell else None for cell in row) for row in cells)
    return HeatMap(down=down, across=across, means=means, counts=tuple(tuple(map(len, row)) for row in cells))


def heat_maps_section(maps: Sequence[HeatMap], scores: Scores) -> Section:
    """Draw the maps, all on one scale."""
    title = "Pairs of axes"
    if not maps:
        one = "A pair needs two axes besides the seeds, with scores at two levels each."
        return Section("pairs", title, paragraph(one if scores.by_run else why_none(scores)))
    found = [mean for each in maps for row in each.means for mean in row if mean is not None]
    low, high = min(found), max(found)
    bright = "better" if scores.mode else "higher"
    told = f"Mean of {scores.metric} over the completed runs of each pair of values; brighter is {bright}. Empty cells have no result yet."
    dark, light = (high, low) if scores.mode == "min" else (low, high)
    body = "".join(_table(each, dark, light) for each in maps)
    return Section("pairs", title, f'{paragraph(told)}<div class="maps">{body}</div>')


def _table(each: HeatMap, dark: float, light: float) -> str:
    head = "".join(f'<th scope="col">{text(level)}</th>' for level in each.across.levels)
    rows = "".join(
        f'<tr><th scope="row">{text(level)}</th>{"".join(_cell(*cell, dark, light) for cell in zip(means, counts, strict=True))}</tr>'
        for level, means, counts in zip(each.down.levels, each.means, each.counts, strict=True)
    )
    corner = f"<th><small>{text(each.down.name)} ↓ {text(each.across.name)} →</small></th>"
    return f'<div class="scroll"><table class="map"><thead><tr>{corner}{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(mean: float | None, runs: int, dark: float, light: float) -> str:
    if mean is None:
        return '<td class="none" title="no result">–</td>'
    step = step_of((mean - dark) / ((light - dark) or 1.0))
    letters = "dark" if step >= LIGHT_FROM else "pale"
    return f'<td class="heat-{step} {letters}" title="{text(f"n={runs}")}">{measured(mean)}</td>'
