"""What training asks of every network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.reconstruction import Reconstruction


class Network(nn.Module):
    """Takes a sample, returns a Reconstruction. What `models.build` makes is one of these."""

    recompute: bool = False
    """Keep the activations of few layers and compute the others anew in the backward pass: the same gradients, less memory."""

    def forward(self, sample: Any) -> Reconstruction:
        """Reconstruct a batch."""
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Set what depends on the epoch, counted from 1. Called before each epoch, after a resumption too."""

    def penalty(self) -> Tensor:
        """Return what the regularisation of the weights adds to the loss of a step: a scalar, 0 for most networks."""
        return torch.zeros((), device=next(self.parameters()).device)
