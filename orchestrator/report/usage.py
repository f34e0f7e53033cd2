"""What attempts used of the time and the memory that they asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.report import figures
from orchestrator.report.colours import STATES
from orchestrator.report.markup import Section, number, paragraph, table
from orchestrator.report.thinning import evenly
from orchestrator.results.counting import count
from orchestrator.results.overview import Pair

MOST_POINTS = 5000


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that ended."""

    label: str
    state: str
    minutes: float
    mem_gb: float
    gpu_gb: float
    asked: Resources

    @property
    def time_share(self) -> float:
        """Percent of the time limit."""
        return 100 * self.minutes / self.asked.time_min if self.asked.time_min else 0.0

    @property
    def mem_share(self) -> float:
        """Percent of the memory asked for."""
        return 100 * self.mem_gb / self.asked.mem_gb if self.asked.mem_gb else 0.0


def uses_of(pairs: Sequence[Pair], asked: Mapping[str, Resources]) -> Iterator[Use]:
    """Yield what each attempt that ended used. `asked`: submission → what it asked for a run; else the manifest says it."""
    for manifest, record in pairs:
        for attempt in record.attempts:
            if attempt.runtime_s > 0:
                yield Use(
                    label=manifest.label,
                    state=attempt.state.value,
                    minutes=attempt.runtime_s / 60,
                    mem_gb=attempt.peak_mem_gb,
                    gpu_gb=attempt.peak_gpu_gb,
                    asked=asked.get(attempt.token, manifest.resources),
                )


def usage_section(uses: Sequence[Use]) -> Section:
    """Draw a dot an attempt, both in percent of the request, and a table by kind of request."""
    title = "Duration and memory against request"
    if not uses:
        return Section("usage", title, paragraph("No attempt has ended yet."), is_empty=True)
    shown = evenly(uses, MOST_POINTS)
    told = "A dot an attempt that ended: at 100 % the limit was reached, far below it more was asked for than was needed."
    if len(shown) < len(uses):
        told += f" {len(shown):,} of {len(uses):,} attempts are drawn, evenly picked."
    body = paragraph(told) + figures.holder("usage-figure") + table(_HEAD, map(_row, kinds(uses)))
    return Section("usage", title, body, figures=[figures.to_json(draw(shown), "usage-figure")])


_HEAD = ("asked for", "attempts", "median time", "longest", "of the limit", "median memory", "largest", "of the request", "GPU memory")


def kinds(uses: Sequence[Use]) -> list[list[Use]]:
    """Return the attempts by what they asked for, the most frequent request first."""
    groups: dict[Resources, list[Use]] = {}
    for use in uses:
        groups.setdefault(use.asked, []).append(use)
    return sorted(groups.values(), key=len, reverse=True)


def _row(uses: Sequence[Use]) -> tuple[object, ...]:
    asked = uses[0].asked
    told = [f"{number(asked.mem_gb)} GB", span(asked.time_min), count(asked.cpus, "core")]
    times, sizes = [use.minutes for use in uses], [use.mem_gb for use in uses]
    return (
        ", ".join([*told, count(asked.gpus, "GPU")] if asked.gpus else told),
        len(uses),
        span(median(times)),
        span(max(times)),
        share(max(use.time_share for use in uses)),
        f"{number(median(sizes))} GB",
        f"{number(max(sizes))} GB",
        share(max(use.mem_share for use in uses)),
        f"{number(max(use.gpu_gb for use in uses))} GB" if asked.gpus else None,
    )


def share(percent: float) -> str:
    """Return a percentage: 0.42 %, 75 %, 150 %."""
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def span(minutes: float) -> str:
    """Return a time: 40 s, 12 min, 3.5 h."""
    if minutes < 1:
        return f"{60 * minutes:.1f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def draw(uses: Sequence[Use]) -> Any:
    """Return the figure: time across, memory up, a colour a state."""
    drawn = figures.blank(320)
    drawn.xaxis.axis_label, drawn.yaxis.axis_label = "time used [% of the limit]", "memory used [% of the request]"
    entries = []
    for state in dict.fromkeys(use.state for use in uses):
        members = [use for use in uses if use.state == state]
        columns = {
            "x": [round(use.time_share, 2) for use in members],
            "y": [round(use.mem_share, 2) for use in members],
            "label": [figures.inert(use.label) for use in members],
            "time": [span(use.minutes) for use in members],
            "memory": [f"{use.mem_gb:.3g} GB" for use in members],
        }
        dots = drawn.scatter("x", "y", source=figures.source(columns), size=6, color=STATES[state], alpha=0.7)
        entries.append((f"{state} ({len(members):,})", [dots]))
    figures.hover(drawn, [("", "@label"), ("time", "@time"), ("memory", "@memory")])
    figures.legend_below(drawn, entries)
    for spread, most in ((drawn.x_range, max(use.time_share for use in uses)), (drawn.y_range, max(use.mem_share for use in uses))):
        spread.start, spread.end = 0, max(105.0, 1.05 * most)
    figures.mark(drawn, 100.0)
    return drawn
