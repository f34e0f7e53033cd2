"""When each node computed what: a row for each place of a node that computes at the same time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import msgspec

from orchestrator.report import figures
from orchestrator.report.colours import STATES
from orchestrator.report.markup import Section, paragraph
from orchestrator.results.counting import count
from orchestrator.results.overview import Pair

MOST_BARS = 5000
MOST_ROWS = 40
ROW_HEIGHT = 16


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt on its node."""

    node: str
    lane: int
    """0 for the first of those that compute side by side."""
    start: float
    end: float
    state: str
    label: str
    cause: str = ""
    job_id: str = ""

    @property
    def row(self) -> str:
        """The row's name: the node, from the second lane on with a number."""
        return f"{self.node} · {self.lane + 1}" if self.lane else self.node


def bars_of(pairs: Sequence[Pair], now: float) -> list[Bar]:
    """Return the attempts that started, by start; those that go on end now, those of unknown end are left out."""
    started = []
    for manifest, record in pairs:
        for attempt in record.attempts:
            goes_on = attempt is record.current and record.is_alive
            end = now if goes_on and attempt.ended_at is None else attempt.ended_at
            if attempt.started_at is None or end is None:
                continue
            started.append(
                Bar(
                    node=attempt.node or attempt.host or "unknown node",
                    lane=0,
                    start=attempt.started_at,
                    end=max(end, attempt.started_at),
                    state=attempt.state.value,
                    label=manifest.label,
                    cause=attempt.cause.value if attempt.cause else "",
                    job_id=attempt.job_id,
                )
            )
    return in_lanes(sorted(started, key=lambda bar: bar.start))


def in_lanes(bars: Sequence[Bar]) -> list[Bar]:
    """Give bars of one node that overlap lanes of their own. `bars`: by start."""
    nodes: dict[str, _Lanes] = {}
    return [msgspec.structs.replace(bar, lane=nodes.setdefault(bar.node, _Lanes()).take(bar.start, bar.end)) for bar in bars]


class _Lanes:
    """The lanes of one node: which are busy until when, which are free."""

    def __init__(self) -> None:
        self._busy: list[tuple[float, int]] = []
        self._free: list[int] = []

    def take(self, start: float, end: float) -> int:
        """Return the lowest lane that is free at `start`, and keep it until `end`."""
        while self._busy and self._busy[0][0] <= start:
            heappush(self._free, heappop(self._busy)[1])
        lane = heappop(self._free) if self._free else len(self._busy)
        heappush(self._busy, (end, lane))
        return lane


def timeline_section(bars: Sequence[Bar]) -> Section:
    """Draw the bars over the time since the first start."""
    title = "Timeline of jobs per node"
    if not bars:
        return Section("timeline", title, paragraph("No run has started yet."), is_empty=True)
    shown = list(bars[-MOST_BARS:])
    rows = sorted({(bar.node, bar.lane): bar.row for bar in shown}.items())
    names = [name for _, name in rows][:MOST_ROWS]
    shown = [bar for bar in shown if bar.row in set(names)]
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(shown[0].start))
    told = f"A bar an attempt, a row for what a node computes side by side; the first began {began}. Drag to zoom."
    if len(shown) < len(bars):
        told += f" Drawn are {len(shown):,} of {count(len(bars), 'attempt')}, the last, on {len(names):,} of {count(len(rows), 'row')}."
    body = paragraph(told) + figures.holder("timeline-figure")
    return Section("timeline", title, body, figures=[figures.to_json(draw(shown, names), "timeline-figure")])


def unit_of(seconds: float) -> tuple[str, float]:
    """Return the unit in which a time is told, and its length [s]."""
    if seconds < 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def draw(bars: Sequence[Bar], rows: Sequence[str]) -> Any:
    """Return the figure: time across, a row a lane."""
    names = {row: figures.inert(row) for row in rows}
    drawn = figures.blank(110 + ROW_HEIGHT * len(rows), y_range=list(reversed(names.values())))
    zero = bars[0].start
    unit, seconds = unit_of(max(bar.end for bar in bars) - zero)
    drawn.xaxis.axis_label = unit
    drawn.ygrid.grid_line_color = None
    entries = []
    for state in dict.fromkeys(bar.state for bar in bars):
        members = [bar for bar in bars if bar.state == state]
        columns = {
            "row": [names[bar.row] for bar in members],
            "start": [(bar.start - zero) / seconds for bar in members],
            "end": [(bar.end - zero) / seconds for bar in members],
            "label": [figures.inert(bar.label) for bar in members],
            "told": [f"{state} {bar.cause}".strip() for bar in members],
            "job": [bar.job_id for bar in members],
        }
        drawn.hbar(
            "row", left="start", right="end", height=0.8, source=figures.source(columns), color=STATES[state], line_color=None, alpha=0.9
        )
        entries.append((f"{state} ({len(members):,})", [drawn.renderers[-1]]))
    figures.hover(drawn, [("", "@label"), ("", "@told"), ("job", "@job"), (unit, "@start{0.[00]} to @end{0.[00]}")])
    figures.legend_below(drawn, entries)
    return drawn
