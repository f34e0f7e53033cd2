"""What happened in past episodes, to be learned from again in random order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Transitions(NamedTuple):
    """Choices and what they were worth. What the sampler saw follows from slice and mask, since the network is frozen."""

    item: Tensor
    """(batch,) int64: the slice, by its place in the training split."""
    mask: Tensor
    """(batch, x) bool: columns that were acquired before."""
    column: Tensor
    """(batch,) int64: the column that was chosen."""
    reward: Tensor
    """(batch,) float32."""


class Replay:
    """Remembers the newest transitions, all on the CPU."""

    def __init__(self, capacity: int, columns: int) -> None:
        self._held = Transitions(
            item=torch.zeros(capacity, dtype=torch.int64),
            mask=torch.zeros(capacity, columns, dtype=torch.bool),
            column=torch.zeros(capacity, dtype=torch.int64),
            reward=torch.zeros(capacity),
        )
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, len(self._held.item))

    def add(self, new: Transitions) -> None:
        """Remember transitions, and forget as many of the oldest where there is no room."""
        capacity = len(self._held.item)
        places = (self._added + torch.arange(len(new.item))) % capacity
        for held, values in zip(self._held, new, strict=True):
            held[places] = values.cpu()
        self._added += len(new.item)

    def draw(self, batch: int, generator: Generator) -> Transitions:
        """Draw different transitions, each as likely."""
        chosen = torch.randperm(len(self), generator=generator)[:batch]
        return Transitions(*(values[chosen] for values in self._held))

    def state_dict(self) -> dict[str, Tensor | int]:
        """Return all that it holds."""
        return {**self._held._asdict(), "added": self._added}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Hold what a state says."""
        self._held = Transitions(**{name: values for name, values in state.items() if isinstance(values, Tensor)})
        self._added = int(state["added"])
