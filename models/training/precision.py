"""Mixed precision: layers compute in half precision where they can, losses and metrics never do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from data.errors import BadInput
from models.reconstruction import Reconstruction

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Runs networks and steps optimisers in the precision of train.precision.

    bf16 has the range of float32. fp16 has not: its losses are scaled up before the backward pass, by a factor that adapts itself.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        if name == "fp16" and device.type != "cuda":
            raise BadInput(f"train.precision is 'fp16', but training runs on {device.type}, where it is slow. Choose bf16 or float32.")
        self._half = HALVES.get(name)
        self._device = device
        self._scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def run(self, model: Callable[[Any], Reconstruction], sample: Any) -> Reconstruction:
        """Return what the network makes of a batch, as float32."""
        if self._half is None:
            return model(sample)
        with torch.autocast(self._device.type, dtype=self._half):
            reconstruction = model(sample)
        return reconstruction._replace(image=reconstruction.image.float(), scale=reconstruction.scale.float())

    def backward(self, objective: Tensor) -> None:
        """Add the gradients of a scalar."""
        self._scaler.scale(objective).backward()

    def step(self, optimiser: Optimizer, *, clip_norm: float | None) -> None:
        """Let the optimiser take a step, its gradients shortened to `clip_norm` first."""
        if clip_norm is not None:
            self._scaler.unscale_(optimiser)
            weights = [each for group in optimiser.param_groups for each in group["params"]]
            nn.utils.clip_grad_norm_(weights, clip_norm)
        self._scaler.step(optimiser)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the scale of the losses."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a scale."""
        if state:
            self._scaler.load_state_dict(state)
