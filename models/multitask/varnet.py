"""The multi-task variational network: one k-space in, one task at a time, each step shared as its letter says."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from data.errors import BadInput
from data.volumes.loading import Sample
from models.cascade import measured, unroll, unrolled_step
from models.multitask.blocks import BLOCKS
from models.network import Network
from models.norm_unet import apply_normalised
from models.reconstruction import Reconstruction
from models.varnet import combined, given_maps


class TaskCascade(nn.Module):
    """An unrolled step whose U-Net is shared as `letter` says, with one weight of data consistency, or one a task."""

    def __init__(self, letter: str, *, tasks: int, share_etas: bool, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        self.unet = BLOCKS[letter](tasks=tasks, chans=chans, pools=pools, drop_prob=drop_prob)
        # parameters of their own: the step of one task leaves the others' weights, and their momentum, alone
        self.etas = nn.ParameterList(torch.ones(1) for _ in range(1 if share_etas else tasks))

    def forward(self, kspace: Tensor, reference: Tensor, mask: Tensor, sens_maps: Tensor, task: int) -> Tensor:
        """Take the step. Shapes as in `unrolled_step`; all of the batch belongs to one task."""
        regulariser = partial(apply_normalised, partial(self.unet, task=task))
        eta = self.etas[task if len(self.etas) > 1 else 0]
        return unrolled_step(kspace, reference, mask, sens_maps, eta=eta, regulariser=regulariser)


class MultiTaskVarNet(Network):
    """An unrolled variational network on given sensitivities for several tasks.

    blocks: a letter for each step (`models.multitask.blocks`), such as IIVVVVVVVVVV: two shared by all tasks, then ten of each task's own.
    What weighs the tasks against each other, learned or not, belongs to the loss and is no part of the network.
    """

    def __init__(
        self, blocks: str, *, tasks: int = 2, share_etas: bool = True, chans: int = 18, pools: int = 4, drop_prob: float = 0.0
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.cascades = nn.ModuleList(
            TaskCascade(letter, tasks=tasks, share_etas=share_etas, chans=chans, pools=pools, drop_prob=drop_prob) for letter in blocks
        )

    def forward(self, sample: Sample) -> Reconstruction:
        """Reconstruct a batch of one task. sample.kspace, sample.sens_maps: (batch, coil, y, x). Returns images (batch, size y, size x)."""
        task, sens_maps = task_of(sample, self.tasks), given_maps(sample)
        kspace = unroll(self.cascades, sample.kspace, sample.kspace, measured(sample.mask), sens_maps, task, recompute=self.recompute)
        return combined(kspace, sens_maps, sample)


def task_of(sample: Sample, tasks: int) -> int:
    """Return the number of the task that all slices of a sample belong to. Raises BadInput for none, several or an unknown one."""
    if sample.task is None:
        raise BadInput("mtl_varnet: the samples name no task. Choose data of several tasks, or model.kind stl_varnet.")
    numbers = sorted(set(sample.task.tolist()))
    if len(numbers) != 1:
        raise BadInput(f"mtl_varnet: expected a batch of one task, got tasks {numbers} in one. Batches are to be made task by task.")
    if not 0 <= numbers[0] < tasks:
        raise BadInput(f"mtl_varnet: expected a task between 0 and {tasks - 1}, got {numbers[0]}. Set model.tasks to the number of tasks.")
    return int(numbers[0])
