"""How far apart runs lie that differ only in their seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.report.axes import Axis, exact
from orchestrator.report.effects import Scale, why_none
from orchestrator.report.markup import Section, measured, paragraph, text
from orchestrator.report.scores import Scores
from orchestrator.results.abbreviations import last_words
from orchestrator.results.counting import count

MOST_CELLS = 30
MOST_NAMED = 8
"""Configurations without a result that are named."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one configuration, whatever their seed."""

    label: str
    values: tuple[float, ...]
    planned: int
    """Runs that it would have with none missing: those of the grid, and the seeds that most configurations have."""

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None


def cells_of(manifests: Sequence[Manifest], axes: Sequence[Axis], scores: Scores) -> list[Cell]:
    """Return the configurations of a grid with seeds, the best first, those without a value last; nothing where no axis is a seed."""
    if not any(axis.is_seed for axis in axes):
        return []
    keys, seeds = [axis.key for axis in axes if not axis.is_seed], [axis.key for axis in axes if axis.is_seed]
    members: dict[str, list[Manifest]] = {}
    for one in manifests:
        members.setdefault(_name(one.varying, keys), []).append(one)
    absent = _absent(members, seeds)
    cells = (
        Cell(
            label=name,
            values=tuple(scores.by_run[one.id] for one in found if one.id in scores.by_run),
            planned=len(found) + absent[name],
        )
        for name, found in members.items()
    )
    sign = -1 if scores.mode == "max" else 1
    return sorted(cells, key=lambda cell: (not cell.values, sign * cell.mean if scores.mode and cell.values else 0))


def _absent(members: Mapping[str, Sequence[Manifest]], seeds: Sequence[str]) -> dict[str, int]:
    """Return of each configuration how many seeds it lacks that more than half of those have whose keys of seeds are the same."""
    held = {name: {_name(one.varying, seeds) for one in found} for name, found in members.items()}
    kinds = {name: tuple(key for key in seeds if any(key in one.varying for one in found)) for name, found in members.items()}
    alike = Counter(kinds.values())
    counts = Counter((kinds[name], seed) for name, each in held.items() for seed in each)
    usual = [pair for pair, number in counts.items() if 2 * number > alike[pair[0]]]
    return {name: sum(kind == kinds[name] and seed not in held[name] for kind, seed in usual) for name in members}


def _name(varying: Mapping[str, object], keys: Sequence[str]) -> str:
    words = last_words(keys)
    return " ".join(f"{words[key]}={exact(varying[key])}" for key in keys if key in varying) or "all runs"


def seeds_section(cells: Sequence[Cell], scores: Scores, *, has_seeds: bool) -> Section:
    """Draw a row a configuration: a dot a seed, a tick at the mean."""
    title = "Seed spread"
    if not has_seeds:
        return Section(
            "seeds",
            title,
            paragraph("No axis of this grid is a seed: one run a configuration cannot tell luck from effect."),
            is_empty=True,
        )
    found = [cell for cell in cells if cell.values]
    if not found:
        return Section("seeds", title, paragraph(why_none(scores)), is_empty=True)
    shown = found[:MOST_CELLS]
    values = [value for cell in shown for value in cell.values]
    scale = Scale(min(values), max(values))
    body = "".join(_row(cell, scale) for cell in shown)
    ends = f'<span></span><span class="between"><span>{measured(min(values))}</span><span>{measured(max(values))}</span></span>'
    told = paragraph(_told(found, scores)) + paragraph(_on_empty([cell.label for cell in cells if not cell.values]))
    return Section("seeds", title, f'{told}<div class="rows wide">{body}</div><div class="rows wide ends">{ends}</div>')


def _on_empty(labels: Sequence[str]) -> str:
    """Name the configurations of which no run has a value."""
    if not labels:
        return ""
    named = "; ".join(labels[:MOST_NAMED]) + (f"; and {len(labels) - MOST_NAMED:,} more" if len(labels) > MOST_NAMED else "")
    return f"{count(len(labels), 'configuration')} {'has' if len(labels) == 1 else 'have'} no result at all: {named}."


def _told(cells: Sequence[Cell], scores: Scores) -> str:
    spreads = [cell.std for cell in cells if cell.std is not None]
    told = f"A dot a seed, a tick at the mean of {scores.metric}; the best configuration first. "
    if spreads and len(cells) > 1:
        between = stdev(cell.mean for cell in cells)
        told += f"Typical standard deviation over seeds {median(spreads):.2g}, of the means between configurations {between:.2g}. "
    thin = sum(len(cell.values) < cell.planned for cell in cells)
    told += f"{count(thin, 'configuration')} without all of {'its' if thin == 1 else 'their'} seeds. " if thin else ""
    return told + (f"The first {MOST_CELLS} of {len(cells):,} are drawn." if len(cells) > MOST_CELLS else "")


def _row(cell: Cell, scale: Scale) -> str:
    dots = "".join(f'<circle class="seed" cx="{scale(value)}" cy="50%" r="4"/>' for value in cell.values)
    tick = f'<line class="tick" x1="{scale(cell.mean)}" x2="{scale(cell.mean)}" y1="15%" y2="85%"/>'
    spread = f", std {cell.std:.2g}" if cell.std is not None else ""
    of = f"{len(cell.values)} of {cell.planned}" if len(cell.values) < cell.planned else f"n={cell.planned}"
    rule = '<line class="rule" x1="0" x2="100%" y1="50%" y2="50%"/>'
    return (
        f'<span class="name" title="{text(cell.label)}">{text(cell.label)}</span>'
        f'<svg class="track" role="img" aria-label="{measured(cell.mean)}{spread}">{rule}{dots}{tick}</svg>'
        f'<span class="value">{measured(cell.mean)}{spread} <small>{of}</small></span>'
    )
