"""The number by which a report compares runs: of each completed run the value of the objective."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import msgspec

from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import RunHistory
from orchestrator.metrics.lines import as_float
from orchestrator.store.events import Number
from orchestrator.store.states import State
from orchestrator.tables.study import Study
from orchestrator.tables.values import ended_infinite, selected_step, value_of

MOST_NAMED = 6
"""Ids of a sentence."""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Run id → value of one metric, for completed runs that reported a finite one."""

    metric: str
    """Empty: no run reported anything."""
    mode: str = ""
    """max or min; empty: nobody said which is better."""
    by_run: Mapping[str, float] = {}
    not_finite: int = 0
    """Completed runs whose value is NaN, infinite, or a text."""
    unreported: int = 0
    """Completed runs without a value."""
    diverged: tuple[str, ...] = ()
    """Runs among `by_run` whose metric ended NaN or infinite after the step that counts."""

    @property
    def ranked(self) -> list[str]:
        """Run ids, the best first; in the order of the grid where nobody said what is better."""
        if not self.mode:
            return list(self.by_run)
        return sorted(self.by_run, key=lambda run: self.by_run[run], reverse=self.mode == "max")

    @property
    def left_out(self) -> str:
        """A sentence on the completed runs that are not compared; empty where there are none."""
        parts = [
            f"{number:,} {words}"
            for number, words in ((self.not_finite, "with a value that is no finite number"), (self.unreported, "without a value"))
            if number
        ]
        return f"Completed runs left out: {', '.join(parts)}." if parts else ""

    @property
    def told_diverged(self) -> str:
        """A sentence on the runs that are compared by a step before their metric broke; empty where there are none."""
        if not self.diverged:
            return ""
        named = ", ".join(run[:8] for run in self.diverged[:MOST_NAMED]) + (", …" if len(self.diverged) > MOST_NAMED else "")
        noun, verb = ("run", "counts") if len(self.diverged) == 1 else ("runs", "count")
        return f"{len(self.diverged):,} {noun} whose {self.metric} ended NaN or infinite {verb} with the best step before: {named}."


def scores_of(study: Study) -> Scores:
    """Compare by the objective; where the grid names none, by the metric that most runs reported."""
    objective = study.objective
    metric = objective.name if objective is not None else most_reported(study)
    if not metric:
        return Scores(metric="")
    mode = objective.mode if objective is not None else ""
    completed = [record for _, record in study.pairs if record.state is State.COMPLETED]
    values = {record.id: _value(study.reported(record.id), metric, objective) for record in completed}
    numbers = {run: math.nan if (number := as_float(value)) is None else number for run, value in values.items() if value is not None}
    finite = {run: number for run, number in numbers.items() if math.isfinite(number)}
    unreported = len(values) - len(numbers)
    diverged = tuple(run for run in finite if objective is not None and ended_infinite(study.reported(run), objective))
    not_finite = len(numbers) - len(finite)
    return Scores(metric=metric, mode=mode, by_run=finite, not_finite=not_finite, unreported=unreported, diverged=diverged)


def _value(run: RunHistory, metric: str, objective: Objective | None) -> Number:
    return value_of(run, metric, selected_step(run, objective))


def _numbers(final: Mapping[str, Number]) -> list[str]:
    return [name for name, value in final.items() if as_float(value) is not None]


def most_reported(study: Study) -> str:
    """Return the metric with numbers in most runs, the first of equals; empty where nothing was reported."""
    tally = Counter(name for run in study.history.values() for name in dict.fromkeys([*run.curves, *_numbers(run.final)]))
    return tally.most_common(1)[0][0] if tally else ""
