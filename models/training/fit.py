"""Whether a network can take what the data give, said before any file is read."""

from __future__ import annotations

from collections.abc import Iterable

from data.errors import BadInput
from data.kspace.description import LEARNED_KINDS, MaskDescription
from data.volumes.description import CineData, DataDescription, KneeData, PairedData, layout_of
from data.volumes.paired import GRAPPA_KEY, images_of
from data.volumes.volume import Volume
from models.model_config import MODEL_KINDS, CineConfig, ModelConfig, MultiTaskVarNetConfig, SpiritConfig, VarNetConfig, VarNetRcanConfig
from models.sampling.learned import budget_of

CINE_KINDS = tuple(kind for kind in MODEL_KINDS if kind.startswith("unet") and kind != "unet")


def refuse_misfit(model: ModelConfig, data: DataDescription) -> None:
    """Raise BadInput where the network takes series and the data hold none, or needs maps or tasks that the data lack."""
    kind, layout = str(model.__struct_config__.tag), layout_of(data)
    if isinstance(model, CineConfig) != isinstance(data, CineData):
        raise BadInput(f"model.kind is {kind}, data.layout is {layout}: {', '.join(CINE_KINDS)} take cine, the others all but cine.")
    if isinstance(model, VarNetConfig | MultiTaskVarNetConfig) and not isinstance(data, KneeData):
        raise BadInput(
            f"model.kind {kind} needs sensitivity maps, which data.layout {layout} has not. Choose data.layout knee, or e2e_varnet."
        )
    if isinstance(model, VarNetRcanConfig) and not isinstance(data, PairedData):
        raise BadInput(f"model.kind {kind} needs images of GRAPPA, which data.layout {layout} has not. Choose data.layout paired.")
    if isinstance(model, MultiTaskVarNetConfig) and model.tasks != len(data.tasks):
        raise BadInput(f"model.tasks is {model.tasks}, the data have {len(data.tasks)}. Set model.tasks to the number of data.datasets.")


def refuse_missing(model: ModelConfig, volumes: Iterable[Volume]) -> None:
    """Raise BadInput for the first volume that lacks what the network needs of every volume."""
    for volume in volumes:
        if isinstance(model, VarNetRcanConfig) and not volume.has_grappa:
            raise BadInput(
                f"{images_of(volume.path)}: key '{GRAPPA_KEY}' is missing, and model.kind varnet_rcan needs it. "
                f"Make it: python -m data.convert grappa {volume.path.parent.parent}"
            )


def refuse_other_shapes(model: ModelConfig, mask: MaskDescription, volumes: Iterable[Volume]) -> None:
    """Raise BadInput where volumes have other coils than the network, or k-space that a learned mask does not fit."""
    for volume in volumes:
        if isinstance(model, SpiritConfig) and volume.shape[1] != model.coils:
            raise BadInput(f"{volume.path}: has {volume.shape[1]} coils, model.coils is {model.coils}; all volumes need as many.")
        if mask.kind in LEARNED_KINDS:
            budget_of(mask, volume.shape[-2:])


def refuse_other_mask(learned: MaskDescription, wanted: MaskDescription) -> None:
    """Raise BadInput where one of two masks is learned and the other is not the same."""
    if any(mask.kind in LEARNED_KINDS for mask in (learned, wanted)) and learned != wanted:
        raise BadInput(f"mask: the checkpoint has {learned}, this run has {wanted}. A learned mask is measured as it was learned.")
