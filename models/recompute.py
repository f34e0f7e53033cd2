"""Less memory for more time: activations that are computed again in the backward pass (Chen et al. 2016, arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run(part: Callable[..., Tensor], *inputs: Any, recompute: bool) -> Tensor:
    """Compute part(*inputs). With `recompute`, only the inputs are kept for the backward pass, which computes the part anew.

    All results are the same: what was dropped is dropped again, and batch normalisation counts the batch once.
    """
    if recompute:
        output: Tensor = checkpoint(part, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _statistics_kept(part)))
        return output
    return part(*inputs)


@contextmanager
def _statistics_kept(part: Callable[..., Tensor]) -> Iterator[None]:
    """Leave the running statistics of batch normalisation as they are."""
    modules = part.modules() if isinstance(part, nn.Module) else ()
    norms = [module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
