"""What runs cost: GPU hours, or core hours where no GPU is asked for (pure)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestrator.cluster.resources import Resources

LEAST_HOURS = 0.1
"""Less is told in minutes."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of devices × devices."""

    gpu_hours: float
    core_hours: float

    @property
    def told(self) -> str:
        """For people: "12 GPU hours"; "3.5 core hours" where no GPU is involved."""
        return _told(self.gpu_hours, "GPU") if self.gpu_hours else _told(self.core_hours, "core")

    def told_beside(self, total: Cost) -> str:
        """Return the bare number, in the device and unit in which `total` is told: "4.2" beside "12 GPU hours"."""
        hours = self.gpu_hours if total.gpu_hours else self.core_hours
        whole = total.gpu_hours or total.core_hours
        return _number(hours if whole >= LEAST_HOURS else 60 * hours)


def cost(shares: Iterable[tuple[Resources, float]]) -> Cost:
    """Return the cost of (resources, minutes) pairs."""
    gpu_min = core_min = 0.0
    for one, minutes in shares:
        gpu_min += one.gpus * one.nodes * minutes
        core_min += one.cpus * one.nodes * minutes
    return Cost(gpu_hours=gpu_min / 60, core_hours=core_min / 60)


def limit_of(resources: Iterable[Resources]) -> Cost:
    """Return the cost if every run used its whole time limit."""
    return cost((one, one.time_min) for one in resources)


def _told(hours: float, device: str) -> str:
    """Write a cost as people do: 1,460 GPU hours, 3.5 core hours, 0.4 core minutes."""
    return f"{_number(hours)} {device} hours" if hours >= LEAST_HOURS else f"{60 * hours:.1f} {device} minutes"


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.1f}"
