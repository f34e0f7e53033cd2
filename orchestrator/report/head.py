"""The top of the page: the question, how many runs are in which state, what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.report.axes import Axis
from orchestrator.report.colours import STATES
from orchestrator.report.content import Content
from orchestrator.report.markup import Section, measured, paragraph, percent, text
from orchestrator.report.scores import Scores
from orchestrator.report.usage import span
from orchestrator.results.counting import count

MOST_LEVELS = 8
"""Values of an axis that are written out."""


def head_section(content: Content, axes: Sequence[Axis], scores: Scores) -> Section:
    """Return the head; its title is the name of the grid."""
    question = f'<p class="question">{text(content.question)}</p>' if content.question else ""
    tiles = "".join(
        f'<div class="tile"><b>{text(value)}</b><span>{text(name)}</span></div>' for name, value in facts(content, axes, scores)
    )
    told = [f"{axis.key}: {_levels(axis)}" for axis in axes]
    sizes = f'<ul class="axes">{"".join(f"<li>{text(one)}</li>" for one in told)}</ul>' if told else ""
    notes = "".join(paragraph(note, "warning") for note in (*warnings(content), scores.told_diverged))
    body = f'{question}{states(content.overview.counts)}<div class="tiles">{tiles}</div>{notes}{sizes}{paragraph(origin(content))}'
    return Section("head", content.study.grid, body)


def facts(content: Content, axes: Sequence[Axis], scores: Scores) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of what is worth a tile."""
    overview = content.overview
    yield "runs", f"{sum(overview.counts.values()):,}"
    yield "axes", f"{len(axes)}"
    if scores.ranked and scores.mode:
        yield f"best {scores.metric}", measured(scores.by_run[scores.ranked[0]])
    total = overview.spent.total
    if total.core_hours:
        yield "spent", total.told
        yield "useful", overview.spent.useful.told_beside(total)
        if overview.spent.wasted:
            yield f"wasted, most by {next(iter(overview.spent.wasted))}", overview.spent.lost.told_beside(total)
    if overview.eta_min is not None:
        yield "left", f"about {span(overview.eta_min)}"


def states(counts: Mapping[str, int]) -> str:
    """Return a bar in which each state has its share, and what it means in words."""
    total = sum(counts.values())
    if not total:
        return ""
    before = 0
    bars = []
    counts = {state: counts[state] for state in STATES if state in counts}
    for state, number_of in counts.items():
        place = f'x="{percent(before / total)}" width="{percent(number_of / total)}" height="100%" fill="{STATES[state]}"'
        bars.append(f"<rect {place}><title>{number_of:,} {state}</title></rect>")
        before += number_of
    words = "".join(f"<li>{swatch(state)}{number_of:,} {state}</li>" for state, number_of in counts.items())
    return f'<svg class="states" role="img" aria-label="runs by state">{"".join(bars)}</svg><ul class="legend">{words}</ul>'


def swatch(state: str) -> str:
    """Return a little square of a state's colour."""
    return f'<svg class="swatch" aria-hidden="true"><rect width="100%" height="100%" fill="{STATES[state]}"/></svg>'


def warnings(content: Content) -> Iterator[str]:
    """Yield what a reader must know before believing the figures."""
    overview = content.overview
    if overview.paused:
        yield f"PAUSED: {overview.paused}"
    if overview.orphans:
        yield f"{count(overview.orphans, 'run')} no longer in the grid file."
    yield from (f"{wait.runs:,} × {wait.sentence}" for wait in overview.waits[:3] if not overview.paused)
    yield from overview.notes


def origin(content: Content) -> str:
    """Say what computed the runs, and when the page was made."""
    parts = [f"made {content.made_at}"]
    if content.target:
        parts.append(f"computed by {content.target}")
    if content.commit:
        parts.append(f"code of commit {content.commit[:12]}")
    if content.profile:
        parts.append(f"profile {content.profile}")
    return "; ".join(parts)


def _levels(axis: Axis) -> str:
    if axis.ends is not None:
        return f"{axis.distinct} values from {axis.ends[0]} to {axis.ends[1]}"
    shown = ", ".join(axis.levels[:MOST_LEVELS])
    return f"{shown}, … ({len(axis.levels)})" if len(axis.levels) > MOST_LEVELS else shown
