"""A frozen VarNet, and a residual channel attention network that refines its image beside that of GRAPPA."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from data.errors import BadInput
from data.volumes.loading import Sample
from models.network import Network
from models.rcan import Rcan
from models.reconstruction import Reconstruction
from models.self_ensemble import self_ensemble
from models.unet import normalise_instance
from models.varnet import EndToEndVarNet


class VarNetRcan(Network):
    """x = R(V(y), g): V the frozen VarNet, g the image of GRAPPA, R an Rcan on both, each shifted and scaled to mean 0 and deviation 1.

    The output is scaled and shifted back by the standard deviation and the mean of V(y). Evaluation may average over mirrored and
    turned images, which the VarNet does not see: it runs once.
    """

    inputs = ("kspace", "mask", "grappa")

    def __init__(
        self,
        varnet: EndToEndVarNet,
        rcan: Rcan,
        *,
        add_image: bool = False,
        ensemble: Sequence[str] = (),
        ensemble_validation: bool = False,
    ) -> None:
        """rcan: two channels in, one out. add_image: its output is what is added to V(y). ensemble: names of `self_ensemble`."""
        super().__init__()
        self.varnet = varnet.requires_grad_(False).eval()
        self.rcan = rcan
        self._add_image = add_image
        self._ensemble = tuple(ensemble)
        self._ensemble_validation = ensemble_validation

    def train(self, mode: bool = True) -> VarNetRcan:
        """Put the Rcan into training or evaluation mode; the VarNet stays in evaluation mode."""
        super().train(mode)
        self.varnet.eval()
        return self

    def forward(self, sample: Sample) -> Reconstruction:
        """Reconstruct a batch. sample.grappa: (batch, y, x). Returns images (batch, y, x).

        Where the sample holds the VarNet's image already, k-space is not looked at.
        """
        image = self.frozen_image(sample) if sample.frozen_image is None else sample.frozen_image
        pair, means, stds = normalise_instance(torch.stack([image, given_grappa(sample)], dim=1))
        mean, std = means[:, 0], stds[:, 0]
        output = self._refined(pair).squeeze(1) * std
        return Reconstruction(image=output + (image if self._add_image else mean), scale=std.flatten())

    @torch.no_grad()
    def frozen_image(self, sample: Sample) -> Tensor:
        """Return the image of the VarNet, (batch, y, x), computed in the precision of its weights whatever train.precision says."""
        device = sample.kspace.device.type
        # only where it is on: torch cannot read a program back that switches it
        with torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext():
            image: Tensor = self.varnet(sample).image
        return image

    def frozen_hash(self) -> str:
        """Return the SHA-256 of the weights that make `frozen_image`, in hexadecimal digits: their names, shapes and values."""
        digest = hashlib.sha256()
        for name, weights in sorted(self.varnet.state_dict().items()):
            digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _refined(self, pair: Tensor) -> Tensor:
        averaged = not self.training and (self.testing or self._ensemble_validation)
        return self_ensemble(partial(self.rcan, recompute=self.recompute), pair, self._ensemble if averaged else ())


def given_grappa(sample: Sample) -> Tensor:
    """Return the image of GRAPPA, (batch, y, x). Raises BadInput where there is none."""
    if sample.grappa is None:
        shape = tuple(sample.target.shape)
        raise BadInput(f"varnet_rcan: expected grappa {shape} (batch, y, x), the data hold none. Make it: python -m data.convert grappa.")
    return sample.grappa
