"""What the runs of a grid reported, step by step: of each run its curves, texts and final values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

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

    @property
    def names(self) -> Iterator[str]:
        """Every metric that the run reported or returned, each once."""
        return iter(dict.fromkeys([*self.curves, *self.texts, *self.final]))


EMPTY = RunHistory()
"""Of a run that never reported anything."""

History = Mapping[str, RunHistory]
"""Run id → what it reported; a run without any report need not be there."""
