"""Which network a run trains: a struct for each, told apart by `kind`; the defaults are those of the papers. Imports no torch."""

from __future__ import annotations

from typing import get_args

import msgspec

from data.limits import choice, limit
from models.regularisation_config import NoRegularisation, Regularisation

LETTERS = "IYVW"
"""How tasks may share a step: all of it, the encoder, nothing, all but attention gates."""
RESIDUALS = ("signed", "relu")
CENTRES = ("all", "own")
PADDINGS = ("zeros", "circular")
RCAN_BLOCKS = ("bottleneck", "plain")
ENSEMBLES = ("flip_y", "flip_x", "turn_90", "turn_180", "turn_270", "transpose", "antitranspose")


class UnetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="unet"):
    """The fastMRI baseline: a U-Net on the magnitude image of the zero-filled data (Zbontar et al. 2018)."""

    chans: int = 32
    """Channels of the first level; each level below has twice as many."""
    pools: int = 4
    """Levels below the first; images need at least 2 ** pools pixels along each axis."""
    drop_prob: float = 0.0
    """Probability with which a channel is dropped in training."""

    def __post_init__(self) -> None:
        _check_unet(self.chans, self.pools, self.drop_prob)


class EndToEndVarNetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="e2e_varnet"):
    """The end-to-end variational network: unrolled steps on learned sensitivities (Sriram et al. 2020)."""

    cascades: int = 12
    """Unrolled steps, each with a U-Net of its own."""
    chans: int = 18
    """Channels of the first level of each step's U-Net."""
    pools: int = 4
    """Levels below the first."""
    sens_chans: int = 8
    """Channels of the first level of the U-Net that estimates sensitivities."""
    sens_pools: int = 4
    """Levels below the first of that U-Net."""
    drop_prob: float = 0.0
    """Probability with which a channel of the steps' U-Nets is dropped in training."""

    def __post_init__(self) -> None:
        _check_unet(self.chans, self.pools, self.drop_prob)
        limit("model.cascades", self.cascades, 1 <= self.cascades <= 100, "between 1 and 100")
        limit("model.sens_chans", self.sens_chans, self.sens_chans >= 1, "1 or more")
        limit("model.sens_pools", self.sens_pools, 1 <= self.sens_pools <= 8, "between 1 and 8")


class VarNetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="stl_varnet"):
    """A variational network for one task, unrolled on the sensitivity maps of the data (Hammernik et al. 2018)."""

    cascades: int = 12
    """Unrolled steps, each with a U-Net of its own."""
    chans: int = 18
    """Channels of the first level of each step's U-Net."""
    pools: int = 4
    """Levels below the first."""
    drop_prob: float = 0.0
    """Probability with which a channel is dropped in training."""

    def __post_init__(self) -> None:
        _check_unet(self.chans, self.pools, self.drop_prob)
        limit("model.cascades", self.cascades, 1 <= self.cascades <= 100, "between 1 and 100")


class MultiTaskVarNetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="mtl_varnet"):
    """A variational network for several tasks, unrolled on the sensitivity maps of the data."""

    blocks: str = "IIVVVVVVVVVV"
    """A letter for each unrolled step: I one U-Net for all tasks, Y a decoder for each, V a U-Net for each, W attention gates for each."""
    tasks: int = 2
    """Number of tasks."""
    share_etas: bool = True
    """One weight of data consistency a step for all tasks; false: one for each."""
    chans: int = 18
    """Channels of the first level of each step's U-Net."""
    pools: int = 4
    """Levels below the first."""
    drop_prob: float = 0.0
    """Probability with which a channel is dropped in training."""

    def __post_init__(self) -> None:
        _check_unet(self.chans, self.pools, self.drop_prob)
        known = 1 <= len(self.blocks) <= 100 and set(self.blocks) <= set(LETTERS)
        limit("model.blocks", self.blocks, known, f"1 to 100 letters of {', '.join(LETTERS)}, one for each unrolled step, as IIVVVVVVVVVV")
        limit("model.tasks", self.tasks, 1 <= self.tasks <= 100, "between 1 and 100")


class VarNetRcanConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="varnet_rcan"):
    """A residual channel attention network on the image of a frozen VarNet, and on that of GRAPPA beside it (Zhang et al. 2018)."""

    varnet: str
    """The checkpoint of the VarNet: best.pt, its folder, or a name under `needs` of the grid. Its weights become part of ours."""
    frozen: EndToEndVarNetConfig = msgspec.field(default_factory=EndToEndVarNetConfig)
    """The architecture of that VarNet."""
    groups: int = 4
    """Groups of blocks, with a skip around each."""
    blocks: int = 25
    """Blocks of a group."""
    chans: int = 160
    """Channels between blocks."""
    block: str = "bottleneck"
    """bottleneck: convolutions 1x1, 3x3, 1x1 with a quarter of the channels inside; plain: two of 3x3."""
    reduction: int = 16
    """By how much channel attention narrows the channels."""
    res_scale: float = 0.125
    """Factor of what each block adds."""
    add_image: bool = False
    """The output is what is added to the VarNet's image, instead of the image itself."""
    ensemble: tuple[str, ...] = ("flip_x",)
    """Mirrored and turned images over which the test averages, beside the image as it is."""
    ensemble_validation: bool = False
    """Validation averages over them too."""

    def __post_init__(self) -> None:
        limit("model.varnet", self.varnet, bool(self.varnet.strip()), "a checkpoint, or a name under needs")
        limit("model.groups", self.groups, 1 <= self.groups <= 1000, "between 1 and 1000")
        limit("model.blocks", self.blocks, 1 <= self.blocks <= 1000, "between 1 and 1000")
        choice("model.block", self.block, RCAN_BLOCKS)
        limit("model.chans", self.chans, self.chans >= 4, "4 or more")
        limit("model.reduction", self.reduction, 1 <= self.reduction <= self.chans, "between 1 and model.chans")
        limit("model.res_scale", self.res_scale, 0 < self.res_scale < 100, "above 0 and below 100")
        for name in self.ensemble:
            choice("model.ensemble", name, ENSEMBLES)
        limit("model.ensemble", self.ensemble, len(set(self.ensemble)) == len(self.ensemble), "names that differ")


class CineConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="unet3d"):
    """A U-Net on cine series whose convolutions see y, x and time at once."""

    chans: int = 32
    """Channels of the first level; each level below has twice as many."""
    pools: int = 4
    """Levels below the first; each halves y and x, never time."""
    up_kernel: int = 2
    """Length of the transposed convolutions along each axis, 2 or 3."""
    residual: str = "signed"
    """signed: the network may brighten and darken; relu: brighten only, a fault of the first publication, kept for comparison."""
    regularise_last: bool = False
    """Regularise each layer after its ReLU instead of before it."""
    regularisation: Regularisation = NoRegularisation()
    """One way, in all layers."""

    def __post_init__(self) -> None:
        _check_unet(self.chans, self.pools)
        limit("model.up_kernel", self.up_kernel, self.up_kernel in (2, 3), "2 or 3")
        choice("model.residual", self.residual, RESIDUALS)


class PlaneAndTimeConfig(CineConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="unet2d1d"):
    """A U-Net on cine series that convolves each frame, then each pixel along time."""


class TwoPlanesConfig(CineConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="unet2d2d"):
    """A U-Net on cine series that convolves planes of x and time, then planes of y and time."""


class SpiritConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="spirit"):
    """SPIRiT: linear blocks that predict each point of k-space from its neighbours in all coils (Lustig and Pauly 2010)."""

    coils: int = 1
    """Coils of the data."""
    blocks: int = 5
    """Convolutions one after the other, each with weights of its own and followed by data consistency."""
    kernel: int = 5
    """Points of the kernel along each axis, an odd number."""
    centre: str = "all"
    """Which taps in the middle of the kernel are 0: all; own, only those of a coil with itself."""
    padding: str = "zeros"
    """What lies beyond the edge of k-space: zeros; circular, the opposite edge."""
    init_std: float | None = None
    """Standard deviation of the first weights. None: uniform, as torch begins its convolutions."""

    def __post_init__(self) -> None:
        limit("model.coils", self.coils, 1 <= self.coils <= 256, "between 1 and 256")
        limit("model.blocks", self.blocks, 1 <= self.blocks <= 100, "between 1 and 100")
        limit("model.kernel", self.kernel, 3 <= self.kernel <= 63 and self.kernel % 2 == 1, "an odd number between 3 and 63")
        choice("model.centre", self.centre, CENTRES)
        choice("model.padding", self.padding, PADDINGS)
        limit("model.init_std", self.init_std, self.init_std is None or 0 < self.init_std <= 100, "above 0 and at most 100, or null")


def _check_unet(chans: int, pools: int, drop_prob: float = 0.0) -> None:
    limit("model.chans", chans, chans >= 1, "1 or more")
    limit("model.pools", pools, 1 <= pools <= 8, "between 1 and 8")
    limit("model.drop_prob", drop_prob, 0 <= drop_prob < 1, "at least 0 and below 1")


ModelConfig = (
    UnetConfig
    | EndToEndVarNetConfig
    | VarNetConfig
    | MultiTaskVarNetConfig
    | CineConfig
    | PlaneAndTimeConfig
    | TwoPlanesConfig
    | VarNetRcanConfig
    | SpiritConfig
)
"""By model.kind."""
MODEL_KINDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(ModelConfig))
