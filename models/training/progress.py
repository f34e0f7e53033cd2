"""Where training is, which epoch was the best, and whether to go on: decisions without any I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Progress:
    """Where training is. Together with weights, optimiser and generators it is all that the next step depends on."""

    epoch: int = 1
    """The epoch under way, from 1; one more than the last when all are done."""
    batches: int = 0
    """Batches of it that are done."""
    loss_sums: list[float] = field(default_factory=list)
    """Of each task: sum of the losses of the slices of these batches, not weighted."""
    slices: list[int] = field(default_factory=list)
    """Of each task: these slices."""
    best_epoch: int = 0
    """0: none yet."""
    best_ssim: float = -math.inf
    """Largest val/ssim so far, of results that are not degenerate."""
    bar_ssim: float = -math.inf
    """What val/ssim has to exceed by train.min_delta to count as better for train.patience."""
    epochs_without_better: int = 0
    """Epochs in a row that did not."""

    @property
    def epochs_done(self) -> int:
        """Epochs that are complete."""
        return self.epoch - 1

    def begin(self, epoch: int, tasks: int) -> None:
        """Begin an epoch."""
        self.epoch, self.batches = epoch, 0
        self.loss_sums, self.slices = [0.0] * tasks, [0] * tasks

    def count_batch(self, task: int, slices: int, loss_sum: float) -> None:
        """Take note of a batch that is done."""
        self.batches += 1
        self.slices[task] += slices
        self.loss_sums[task] += loss_sum

    def losses(self) -> list[float]:
        """Return the mean loss of each task in this epoch; NaN for one without slices."""
        return [total / count if count else math.nan for total, count in zip(self.loss_sums, self.slices, strict=True)]

    def loss(self) -> float:
        """Return the mean loss over the slices of all tasks."""
        return sum(self.loss_sums) / sum(self.slices)

    def judge(self, ssim: float, *, min_delta: float, degenerate: bool) -> bool:
        """Take note of a validation; return whether it is the best so far. A degenerate one never is."""
        if not degenerate and ssim > self.bar_ssim + min_delta:
            self.bar_ssim, self.epochs_without_better = ssim, 0
        else:
            self.epochs_without_better += 1
        if degenerate or not ssim > self.best_ssim:
            return False
        self.best_epoch, self.best_ssim = self.epoch, ssim
        return True

    def is_over(self, *, epochs: int, patience: int | None) -> bool:
        """Say whether training ends before the epoch that would be next."""
        return self.epoch > epochs or (patience is not None and self.epochs_without_better >= patience)
