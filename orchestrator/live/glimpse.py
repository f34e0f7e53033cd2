"""What the files of a few runs say between two looks: how their metrics went, what they use. Read by seek, kept until a file changes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestrator.metrics.lines import as_float, flatten
from orchestrator.metrics.merging import begins_anew
from orchestrator.store.files import read_json
from orchestrator.store.layout import GridPaths, RunPaths
from orchestrator.store.records import Record
from orchestrator.store.states import State
from orchestrator.worker.telemetry import Heartbeat

TAIL_BYTES = 64 * 1024
"""So much of an attempt's metrics is read."""
MOST_KEPT = 400
"""So many files' reports are kept: several screens of runs, some of which had more than one attempt."""
STEPS = 400
"""Of so many of the last reports a curve is drawn."""

Reports = dict[float, dict[str, object]]
"""Step → metric → value, ascending."""
Stamp = tuple[int, int, int]


class Glimpse(NamedTuple):
    """What one run shows."""

    reports: Reports = {}
    mem_gb: float | None = None
    """Of a run that computes now, of another the peak of the attempt that speaks for it."""
    gpu_gb: float | None = None
    selected: float | None = None
    """Of a run that has ended, the step at which its objective was best; None: the newest report counts."""
    final: Mapping[str, object] = {}
    """What the entry of a run that has ended returned."""
    last: object = None
    """The objective that a run that has ended reported last."""

    @property
    def newest(self) -> float | None:
        """How far the run came."""
        return max(self.reports, default=None)

    @property
    def step(self) -> float | None:
        """The step whose values are shown."""
        return self.newest if self.selected is None else self.selected

    def value(self, metric: str) -> object:
        """Return a metric at the selected step, else as the entry returned it; where no step is selected else the newest."""
        at = self.reports.get(self.selected, {}) if self.selected is not None else {}
        if metric in at:
            return at[metric]
        if metric in self.final:
            return self.final[metric]
        newest = (values[metric] for values in reversed(self.reports.values()) if metric in values)
        return next(newest, None) if self.selected is None else None

    def is_broken(self, objective: str | None) -> bool:
        """Say whether the last report of the objective, or what the entry returned as it, is NaN or infinite."""
        curve = self.curve(objective)[-1:] if objective is not None else []
        ends = [as_float(self.last), as_float(self.final.get(objective or "")), *curve]
        return any(end is not None and not math.isfinite(end) for end in ends)

    @property
    def names(self) -> list[str]:
        """Every metric among the reports that holds a number, in the order in which they came."""
        found: dict[str, None] = {}
        for values in self.reports.values():
            found.update((name, None) for name, value in values.items() if as_float(value) is not None)
        return list(found)

    def curve(self, metric: str) -> list[float]:
        """Return the numbers of one metric by ascending step."""
        numbers = (as_float(values[metric]) for values in self.reports.values() if metric in values)
        return [number for number in numbers if number is not None]


class Glimpses:
    """Reads runs of one grid; what has not changed since the last time is not read again."""

    def __init__(self, paths: GridPaths) -> None:
        self._paths = paths
        self._kept: dict[Path, tuple[Stamp, Reports]] = {}

    def of(self, records: Iterable[Record]) -> dict[str, Glimpse]:
        """Return run id → what it shows, for a screenful of runs."""
        return {record.id: self._one(record, self._paths.run(record.id)) for record in records if record.attempts}

    def _one(self, record: Record, run: RunPaths) -> Glimpse:
        reports: Reports = {}
        for attempt in record.attempts:
            reports = merge(reports, self._read(run.attempt(attempt.number, attempt.restart).metrics))
        mem_gb, gpu_gb = _usage(record, run)
        shown = Glimpse(_recent(reports, record), mem_gb, gpu_gb)
        return shown._replace(selected=record.best_step, final=record.metrics, last=record.last) if record.is_final else shown

    def _read(self, file: Path) -> Reports:
        try:
            with open(file, "rb") as stream:
                status = os.fstat(stream.fileno())
                stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
                kept = self._kept.pop(file, None)
                if kept is not None and kept[0] == stamp:
                    self._kept[file] = kept  # the one that was wanted last is the last
                    return kept[1]
                start = max(0, status.st_size - TAIL_BYTES)
                stream.seek(start)
                content = stream.read(TAIL_BYTES)
        except OSError:  # nothing was reported yet, or somebody removed it
            return {}
        reports = parse_reports(content, whole=start == 0)
        self._kept[file] = (stamp, reports)
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return reports


def parse_reports(content: bytes, *, whole: bool) -> Reports:
    """Return the reports in the end of a metrics file; `whole`: it begins with the first line. Damaged lines are passed over."""
    lines = content.split(b"\n")[: -1 if content else None]  # what follows the last newline is still being written
    decoded = (_decode(line) for line in (lines if whole else lines[1:]))
    reports: Reports = {}
    for values in decoded:
        step = as_float(values.pop("step", 0.0)) if values else None
        if step is not None:
            reports[step] = {**reports.get(step, {}), **values}
    return dict(sorted(reports.items()))


def merge(older: Reports, newer: Reports) -> Reports:
    """Return the reports of a run that was resumed, metric by metric as tables have it: a newer attempt wins from its first step on.

    One that started from nothing stands alone.
    """
    again = _first_steps(newer)
    if begins_anew(_first_steps(older), again):
        return newer
    counting = (
        (step, {name: value for name, value in values.items() if step < again.get(name, math.inf)}) for step, values in older.items()
    )
    merged = {step: values for step, values in counting if values}
    return dict(sorted({**merged, **{step: merged.get(step, {}) | values for step, values in newer.items()}}.items()))


def _first_steps(reports: Reports) -> dict[str, float]:
    """Return metric → the first step that reports it."""
    found: dict[str, float] = {}
    for step, values in reports.items():
        found.update((name, step) for name in values if name not in found)
    return found


def _recent(reports: Reports, record: Record) -> Reports:
    """Return the last reports, and that of the selected step."""
    recent = dict(list(reports.items())[-STEPS:])
    best = record.best_step
    return {float(best): reports[best]} | recent if best is not None and best in reports and best not in recent else recent


def _decode(line: bytes) -> dict[str, object]:
    try:
        return dict(flatten(msgspec.json.decode(line, type=dict[str, Any])))
    except msgspec.DecodeError:
        return {}


def _usage(record: Record, run: RunPaths) -> tuple[float | None, float | None]:
    """Return memory and GPU memory [GB]."""
    newest, decisive = record.current, record.decisive
    if record.state in (State.RUNNING, State.STALLED) and newest is not None:
        beat = read_json(run.attempt(newest.number, newest.restart).heartbeat, Heartbeat)
        return (beat.pss_gb, beat.gpu_gb) if beat else (None, None)
    if decisive is None or not decisive.ended_at:
        return None, None
    return decisive.peak_mem_gb or None, decisive.peak_gpu_gb or None


def metric_names(glimpses: Mapping[str, Glimpse], objective: str | None) -> list[str]:
    """Return the metrics of which a curve can be drawn, the objective first."""
    found = dict.fromkeys([objective] if objective else [])
    for glimpse in glimpses.values():
        found.update(dict.fromkeys(glimpse.names))
    return list(found)
