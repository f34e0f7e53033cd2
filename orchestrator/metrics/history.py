"""What the runs of a grid reported, step by step: of each run its curves, texts and final values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from orchestrator.grid.objective import Objective
from orchestrator.store.events import Number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Curve(NamedTuple):
    """One metric of one run over its steps."""

    steps: npt.NDArray[np.float64]
    """Ascending, each once."""
    values: npt.NDArray[np.float64]
    """As reported: NaN and infinities stay."""


class Shown(NamedTuple):
    """What a table shows of a run's curves: known without reading them."""

    selection: Objective | None
    step: float | None
    """At which the selection metric was best among its finite values; None where there is no such step."""
    place: int
    """Of that step in the curve of the selection metric."""
    end: float | None
    """The last value of the selection metric, where there is a selected step."""
    values: Mapping[str, float]
    """Metric → its value at the selected step, where it was reported there; without such a step its last value."""


class RunHistory(msgspec.Struct, frozen=True, kw_only=True):
    """All that one run reported, over all its attempts: a step that was reported twice counts by its last report."""

    curves: Mapping[str, Curve] = {}
    """Metric → its numbers."""
    texts: Mapping[str, str] = {}
    """Metric → the last text among its reports, for metrics that held one."""
    final: Mapping[str, Number] = {}
    """What the entry returned, or a command left in metrics.json."""
    unread: int = 0
    """Lines that were damaged or too long, and are passed over."""
    stepless: int = 0
    """Reports that name no step, and count as step 0."""
    errors: int = 0
    """Files and folders that could not be read when they were looked at."""
    shown: Shown | None = None
    """What follows from the curves, where that is known already."""

    @property
    def names(self) -> Iterator[str]:
        """Every metric that the run reported or returned, each once."""
        return iter(dict.fromkeys([*self.curves, *self.texts, *self.final]))


EMPTY = RunHistory()
"""Of a run that never reported anything."""

History = Mapping[str, RunHistory]
"""Run id → what it reported; a run without any report need not be there."""
