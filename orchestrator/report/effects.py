"""What each axis does to the score: the mean of every level with its interval, the strongest axis first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

import msgspec

from orchestrator.report.axes import Axis
from orchestrator.report.markup import Section, measured, paragraph, percent, text
from orchestrator.report.scores import Scores
from orchestrator.results.counting import count
from orchestrator.tables.statistics import Statistics, describe

MOST_LEVELS = 20
"""Of an axis of names so many levels are drawn."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that share one value of an axis."""

    label: str
    score: Statistics
    planned: int
    """Runs that the grid has of it."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One axis over all others."""

    axis: Axis
    levels: tuple[Level, ...]
    """Those of which a run has a score."""
    share: float
    """Part of the variance of the scores that lies between its levels, 0 to 1."""
    empty: int = 0
    """Levels without a score."""


def effects_of(axes: Sequence[Axis], scores: Mapping[str, float]) -> list[Effect]:
    """Return the effect of each axis that has scores at two levels or more, the strongest first."""
    found = (effect_of(axis, scores) for axis in axes if not axis.is_seed)
    return sorted((effect for effect in found if effect is not None), key=lambda effect: -effect.share)


def effect_of(axis: Axis, scores: Mapping[str, float]) -> Effect | None:
    """Return the effect of one axis; None where fewer than two of its levels have a score."""
    groups: list[list[float]] = [[] for _ in axis.levels]
    for run, score in scores.items():
        groups[axis.level_of[run]].append(score)
    planned = Counter(axis.level_of.values())
    levels = tuple(
        Level(label=name, score=describe(group), planned=planned[place])
        for place, (name, group) in enumerate(zip(axis.levels, groups, strict=True))
        if group
    )
    if len(levels) < 2:
        return None
    return Effect(axis=axis, levels=levels, share=share_explained(groups), empty=len(groups) - len(levels))


def effects_section(effects: Sequence[Effect], scores: Scores) -> Section:
    """Draw a row a level: dot at the mean, bar over the interval, all axes on one scale."""
    if not effects:
        return Section("effects", "Effect of each axis", paragraph(why_none(scores)), is_empty=True)
    shown = [effect.levels[:MOST_LEVELS] for effect in effects]
    ends_of = [end for levels in shown for level in levels for end in ends(level.score)]
    low, high = min(ends_of), max(ends_of)
    scale = Scale(low, high)
    told = f"Mean of {scores.metric} over all completed runs with that value, and its 95 % confidence interval. "
    told += "The percentage is the part of all differences between runs that the axis accounts for by itself (eta squared)."
    told += _on_missing(effects[0])
    body = "".join(_block(effect, levels, scale) for effect, levels in zip(effects, shown, strict=True))
    feet = (
        f'<div class="rows ends"><span></span><span class="between"><span>{measured(low)}</span><span>{measured(high)}</span></span></div>'
    )
    return Section(
        "effects", "Effect of each axis", paragraph(told) + body + feet + paragraph(f"{scores.left_out} {scores.told_diverged}".strip())
    )


def _on_missing(effect: Effect) -> str:
    """Say that groups are unequal, where runs have no value. Every axis has all runs: one of them tells of all."""
    lacking = len(effect.axis.level_of) - sum(level.score.n for level in effect.levels)
    if not lacking:
        return ""
    verb = "has" if lacking == 1 else "have"
    told = f" Groups are unequal: {lacking:,} of {count(len(effect.axis.level_of), 'run')} {verb} no value"
    return f"{told}, and a level that lacks its hardest runs looks better than it is; (n of m) says how many stand behind a mean."


def share_explained(groups: Sequence[Sequence[float]]) -> float:
    """Return eta squared: the part of the variance of all values that lies between the groups; 0 where nothing varies."""
    unit = max(abs(value) for group in groups for value in group) or 1.0  # squares of huge values are no numbers
    groups = [[value / unit for value in group] for group in groups]
    values = [value for group in groups for value in group]
    grand = fmean(values)
    total = sum((value - grand) ** 2 for value in values)
    return sum(len(group) * (fmean(group) - grand) ** 2 for group in groups if group) / total if total > 0 else 0.0


def ends(found: Statistics) -> tuple[float, float]:
    """Return the confidence interval; of one run twice its value."""
    mean = found.mean or 0.0
    return (mean, mean) if found.low is None or found.high is None else (found.low, found.high)


def why_none(scores: Scores) -> str:
    """Say why axes cannot be compared."""
    if not scores.metric:
        return "No run has reported a metric yet."
    if not scores.by_run:
        return f"No completed run has a value of {scores.metric} yet. {scores.left_out}".strip()
    return f"No axis has values of {scores.metric} at two of its levels yet."


class Scale:
    """Numbers → places on a line."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.span = low, (high - low) or 1.0

    def __call__(self, value: float) -> str:
        """Return the place, with some room at both ends."""
        return percent(0.02 + 0.96 * (value - self.low) / self.span)


def _block(effect: Effect, levels: Sequence[Level], scale: Scale) -> str:
    head = f'<h3>{text(effect.axis.key)} <span class="share">{100 * effect.share:.0f} %</span></h3>'
    more = len(effect.levels) - len(levels)
    told = [f"{more} more levels are not drawn."] if more else []
    if effect.empty:
        told.append(f"{effect.empty} of its levels have no score yet.")
    rows = "".join(_row(level, scale) for level in levels)
    return f'{head}<div class="rows">{rows}</div>{paragraph(" ".join(told))}'


def _row(level: Level, scale: Scale) -> str:
    found = level.score
    low, high = ends(found)
    told = measured(found.mean) if found.n == 1 else f"{measured(found.mean)} [{measured(low)}, {measured(high)}]"
    bar = f'<line class="bar" x1="{scale(low)}" x2="{scale(high)}" y1="50%" y2="50%"/>' if found.n > 1 else ""
    dot = f'<circle class="dot" cx="{scale(low + (high - low) / 2)}" cy="50%" r="5"/>'
    of = f"({found.n} of {level.planned})" if found.n < level.planned else f"n={found.n}"
    axis = '<line class="rule" x1="0" x2="100%" y1="50%" y2="50%"/>'
    return (
        f'<span class="name" title="{text(level.label)}">{text(level.label)}</span>'
        f'<svg class="track" role="img" aria-label="{text(told)}">{axis}{bar}{dot}</svg>'
        f'<span class="value">{text(told)} <small>{of}</small></span>'
    )
