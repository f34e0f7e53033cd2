"""What training asks of every network."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.reconstruction import Reconstruction


class LearnedState(NamedTuple):
    """A mask that a network learns, at one moment."""

    mask: Tensor
    """(y, x) bool: what it samples in evaluation."""
    logits: Tensor
    """(tile y, tile x): the weights behind it; a sigmoid makes them probabilities."""


class Network(nn.Module):
    """Takes a sample, returns a Reconstruction. What `models.build` makes is one of these."""

    inputs: tuple[str, ...] = ("kspace", "mask", "sens_maps")
    """Tensors of a Sample from which an image is made; those that the data lack are left out."""
    testing: bool = False
    """It is measured on the test split, where some networks do more than in validation. Set by training and prediction."""
    recompute: bool = False
    """Keep the activations of few layers and compute the others anew in the backward pass: the same gradients, less memory."""

    def forward(self, sample: Any) -> Reconstruction:
        """Reconstruct a batch."""
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Set what depends on the epoch, counted from 1. Called before each epoch, after a resumption too."""

    def learned_state(self, size: tuple[int, int]) -> LearnedState | None:
        """Return the mask that the network has learned so far for k-space of `size` (y, x); None where it learns none."""

    def penalty(self) -> Tensor:
        """Return what the regularisation of the weights adds to the loss of a step: a scalar, 0 for most networks."""
        return torch.zeros((), device=next(self.parameters()).device)
