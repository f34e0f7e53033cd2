"""The mask that a network learns, epoch by epoch: as an array, as a picture, and by how much it changes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.whole_files import write_bytes
from models.network import Network
from models.training.context import Run
from models.training.pictures import Board, as_picture

MASKS = "masks.npz"


class MaskHistory:
    """Of each epoch, 0 being before the first: what the network would sample. Empty for networks that learn no mask.

    It is part of a checkpoint, so that the array of a resumed run is whole.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """size: (y, x) of k-space."""
        self._size = size
        self._epochs: list[int] = []
        self._masks: list[Tensor] = []
        self._logits = torch.zeros(0)

    def follow(self, epoch: int, model: Network) -> dict[str, float]:
        """Take in the mask after an epoch. Returns its change: {"mask/changed": points, "mask/logit_change": root mean square}."""
        state = model.learned_state(self._size)
        if state is None:
            return {}
        mask, logits = state.mask.cpu(), state.logits.cpu()
        change = {}
        if self._masks:
            distance = float((logits - self._logits).square().mean().sqrt())
            change = {"mask/changed": float((mask != self._masks[-1]).sum()), "mask/logit_change": distance}
        self._epochs.append(epoch)
        self._masks.append(mask)
        self._logits = logits
        return change

    def write(self, folder: Path) -> None:
        """Write masks.npz: epoch (n,), mask (n, y, x) bool, and logits (tile y, tile x) of the last epoch."""
        if self._masks:
            content = BytesIO()
            np.savez_compressed(content, epoch=self._epochs, mask=torch.stack(self._masks).numpy(), logits=self._logits.numpy())
            write_bytes(folder / MASKS, content.getvalue())

    def show(self, run: Run, board: Board) -> None:
        """Hand the last mask to the run and to TensorBoard, as a picture."""
        if self._masks:
            picture = as_picture(self._masks[-1])
            run.image("learned_mask", picture, self._epochs[-1])
            board.image("learned_mask", picture, self._epochs[-1])

    def state_dict(self) -> dict[str, Any]:
        """Return all of it."""
        return {"epochs": list(self._epochs), "masks": list(self._masks), "logits": self._logits}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._epochs, self._masks, self._logits = list(state["epochs"]), list(state["masks"]), state["logits"]
