"""What processes that train one network together tell each other; `Ranks` itself is a process that trains alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from data.volumes.sampling import Share

T = TypeVar("T")


class Ranks:
    """The processes of a training, seen from one that is alone: there is nobody to ask or to tell."""

    share = Share()
    """Which slices of each batch are ours."""

    @property
    def is_first(self) -> bool:
        """Say whether this process is the one that validates, reports and writes."""
        return self.share.rank == 0

    def begin_batch(self, *seeds: int) -> None:
        """Make ready for the dropout of a batch. seeds: numbers that tell the batch from all others of the run."""

    def add_up(self, weights: Sequence[Tensor], loss_sum: Tensor) -> float:
        """Make the gradients of `weights` the sums over all processes; return the sum of their losses. loss_sum: a scalar, ours."""
        return float(loss_sum)

    def from_first(self, compute: Callable[[], T]) -> T:
        """Let the first process compute something, and return it in all of them."""
        return compute()


class TorchRanks(Ranks):
    """The processes of a group of torch.distributed. Each holds the whole network and takes the same steps.

    The gradients of a step are summed, not averaged, once it is complete: micro-batches, a share without slices and weights that a task
    leaves alone need no rule of their own, as they would with DistributedDataParallel.
    """

    def __init__(self) -> None:
        self.share = Share(dist.get_rank(), dist.get_world_size())

    def begin_batch(self, *seeds: int) -> None:
        """See Ranks. The first process goes on drawing from its generator, whose state is part of a checkpoint."""
        if not self.is_first:
            torch.manual_seed(int(np.random.SeedSequence((*seeds, self.share.rank)).generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def add_up(self, weights: Sequence[Tensor], loss_sum: Tensor) -> float:
        """See Ranks. A weight without a gradient in any process keeps none."""
        used = torch.tensor([each.grad is not None for each in weights], dtype=loss_sum.dtype, device=loss_sum.device)
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in weights]
        total = torch.cat([loss_sum.reshape(1), used, *(each.flatten().to(loss_sum) for each in gradients)])
        dist.all_reduce(total)
        loss, used, *sums = total.split([1, len(weights), *(each.numel() for each in weights)])
        for each, is_used, added in zip(weights, used.tolist(), sums, strict=True):
            each.grad = added.view_as(each).to(each) if is_used else None
        return float(loss)

    def from_first(self, compute: Callable[[], T]) -> T:
        """See Ranks. What the first process raises ends it, and the parent process then ends the others."""
        told: list[Any] = [compute() if self.is_first else None]
        dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        result: T = told[0]
        return result
