"""The mean of the clients' weights (federated averaging; McMahan et al. 2017, arXiv 1602.05629)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def add_share(sums: Weights | None, weights: Weights, share: float) -> dict[str, Tensor]:
    """Return `sums` with a client's weights, times its share, on top. Sums are double precision; None: no client has come yet."""
    own = {name: values.detach().to(_double(values)) * share for name, values in weights.items()}
    return own if sums is None else {name: sums[name] + values for name, values in own.items()}


def as_weights(sums: Weights, like: Weights) -> dict[str, Tensor]:
    """Return the sums of all shares as weights of the kinds that `like` has; those that count, such as batches seen, are rounded."""
    return {name: _rounded(values, like[name]).to(like[name].dtype) for name, values in sums.items()}


def _rounded(values: Tensor, like: Tensor) -> Tensor:
    return values if like.is_floating_point() or like.is_complex() else values.round()


def _double(values: Tensor) -> torch.dtype:
    return torch.complex128 if values.is_complex() else torch.float64
