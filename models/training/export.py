"""The best network as a program of its own (torch.export), which needs none of this code to run."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample
from models.network import Network
from models.reconstruction import Reconstruction
from models.training.checkpoint import save_whole
from models.training.context import Run
from models.training.feed import AnySample, batches

EXPORTED = "best.pt2"
TOLERANCE = 1e-4
"""Largest difference between program and network, in parts of the largest value of the image."""


class OnTensors(nn.Module):
    """A network that takes plain tensors, as programs do: of a slice those that it names as its inputs, or the images of a series."""

    def __init__(self, model: Network, sample: AnySample) -> None:
        super().__init__()
        self.model = model
        # what the network reads besides: the size of the image and the task, which are fixed in the program
        self._fixed = sample._replace(frozen_image=None) if isinstance(sample, Sample) else sample

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return the images of a batch."""
        given = dict(zip(names_of(self.model, self._fixed), tensors, strict=True))
        reconstruction: Reconstruction = self.model(self._fixed._replace(**given))
        return reconstruction.image


def export_network(model: Network, loader: DataLoader[AnySample], run: Run, device: torch.device) -> None:
    """Write best.pt2 for data of the shape of the first slice of `loader`, and compare it with the network; say in the log how it went.

    A program has fixed shapes and a fixed task. One that gives another image is not kept.
    """
    sample = next(iter(batches(loader, device)))
    wrapped = OnTensors(model.eval(), sample)
    tensors = tensors_of(model, sample)
    try:
        with torch.no_grad():
            program = torch.export.export(wrapped, tensors)
            difference = largest_difference(program.module()(*tensors), wrapped(*tensors))
    except Exception as error:  # torch.export raises classes of its own for what it cannot follow
        run.log(f"{EXPORTED} is not written: torch.export cannot follow this network ({str(error).splitlines()[0]})")
        return
    if not difference <= TOLERANCE:
        run.log(f"{EXPORTED} is not written: its image differs from the network's by {difference:.1e} of the largest value")
        return
    save_whole(run.checkpoint_dir / EXPORTED, lambda stream: torch.export.save(program, stream))
    shapes = ", ".join(str(tuple(values.shape)) for values in tensors)
    run.log(f"{EXPORTED} takes {shapes}; its image differs from the network's by {difference:.1e} of the largest value")


def tensors_of(model: Network, sample: AnySample) -> tuple[Tensor, ...]:
    """Return what a program takes of a batch."""
    return tuple(getattr(sample, name) for name in names_of(model, sample))


def names_of(model: Network, sample: AnySample) -> tuple[str, ...]:
    """Return the names of what a program takes of a batch."""
    return ("image",) if isinstance(sample, CineSample) else tuple(name for name in model.inputs if getattr(sample, name) is not None)


def largest_difference(image: Tensor, expected: Tensor) -> float:
    """Return the largest difference of two images in parts of the largest value of the second; NaN where one holds NaN."""
    return float((image - expected).abs().max() / expected.abs().max())
