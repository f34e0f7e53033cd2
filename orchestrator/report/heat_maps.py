"""Pairs of axes as tables of means: where two axes matter together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from statistics import fmean

import msgspec

from orchestrator.report.axes import MOST_LEVELS, Axis
from orchestrator.report.colours import step_of, told_direction
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
    planned: tuple[tuple[int, ...], ...]
    """Runs that the grid has of each pair."""

    @property
    def usual(self) -> int:
        """How many runs stand behind a full cell."""
        return max(max(row) for row in self.planned)


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
    counts = tuple(tuple(map(len, row)) for row in cells)
    return HeatMap(down=down, across=across, means=means, counts=counts, planned=_planned(down, across))


def _planned(down: Axis, across: Axis) -> tuple[tuple[int, ...], ...]:
    """Return how many runs of the grid have each pair of levels."""
    pairs = Counter((place, across.level_of[run]) for run, place in down.level_of.items())
    return tuple(tuple(pairs[one, other] for other in range(len(across.levels))) for one in range(len(down.levels)))


def heat_maps_section(maps: Sequence[HeatMap], scores: Scores) -> Section:
    """Draw the maps, all on one scale."""
    title = "Pairs of axes"
    if not maps:
        one = "A pair needs two axes besides the seeds, with scores at two levels each."
        return Section("pairs", title, paragraph(one if scores.by_run else why_none(scores)), is_empty=True)
    found = [mean for each in maps for row in each.means for mean in row if mean is not None]
    low, high = min(found), max(found)
    what = text(f"Mean of {scores.metric} over the completed runs of each pair of values")
    told = f'<p class="note">{what}; {told_direction(scores.mode)}. Empty cells have no result yet.{_on_thin(maps)}</p>'
    worst, best = (high, low) if scores.mode == "min" else (low, high)
    body = "".join(_table(each, worst, best) for each in maps)
    return Section("pairs", title, f'{told}<div class="maps">{body}</div>')


def _on_thin(maps: Sequence[HeatMap]) -> str:
    """Say what n in a cell means, where some cell shows it."""
    thin = any(0 < runs < each.usual for each in maps for row in each.counts for runs in row)
    return " A cell with fewer runs than a full one says how many (n): what it lacks may be its worst." if thin else ""


def _table(each: HeatMap, worst: float, best: float) -> str:
    head = "".join(f'<th scope="col">{text(level)}</th>' for level in each.across.levels)
    rows = "".join(_row(each, place, worst, best) for place in range(len(each.means)))
    corner = f"<th><small>{text(each.down.name)} ↓ {text(each.across.name)} →</small></th>"
    return f'<div class="scroll"><table class="map"><thead><tr>{corner}{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(each: HeatMap, place: int, worst: float, best: float) -> str:
    pairs = zip(each.means[place], each.counts[place], strict=True)
    cells = "".join(_cell(mean, runs, each.usual, worst, best) for mean, runs in pairs)
    return f'<tr><th scope="row">{text(each.down.levels[place])}</th>{cells}</tr>'


def _cell(mean: float | None, runs: int, usual: int, worst: float, best: float) -> str:
    if mean is None:
        return '<td class="none" title="no result">–</td>'
    step = step_of((mean - worst) / ((best - worst) or 1.0))
    few = f" <small>n={runs}</small>" if runs < usual else ""
    return f'<td class="heat-{step}" title="{text(f"n={runs}")}">{measured(mean)}{few}</td>'
