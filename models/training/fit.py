"""Whether a network can take what the data give, said before any file is read."""

from __future__ import annotations

from collections.abc import Iterable

from data.errors import BadInput
from data.kspace.description import LEARNED_KINDS, MaskDescription
from data.volumes.description import OWN_MASKS, CineData, DataDescription, KneeData, PairedData, layout_of
from data.volumes.paired import GRAPPA_KEY, images_of
from data.volumes.volume import Volume
from models.model_config import (
    MODEL_KINDS,
    CineConfig,
    EndToEndVarNetConfig,
    ModelConfig,
    MultiTaskVarNetConfig,
    SpiritConfig,
    VarNetConfig,
    VarNetRcanConfig,
)
from models.sampling.learned import budget_of
from models.training_config import LossConfig

CINE_KINDS = tuple(kind for kind in MODEL_KINDS if kind.startswith("unet") and kind != "unet")
GIVE_COMPLEX_IMAGES = (VarNetConfig, MultiTaskVarNetConfig)
PREDICT_KSPACE = (EndToEndVarNetConfig, SpiritConfig, *GIVE_COMPLEX_IMAGES)


def refuse_misfit_loss(loss: str, model: ModelConfig, data: DataDescription) -> None:
    """Raise BadInput where loss.kind compares what the network does not give, or what the data do not hold."""
    kind, layout = str(model.__struct_config__.tag), layout_of(data)
    if loss == "complex_l1" and not isinstance(model, GIVE_COMPLEX_IMAGES):
        advice = f"Choose l1, or one of {_names(GIVE_COMPLEX_IMAGES)}"
        raise BadInput(f"loss.kind is complex_l1, but model.kind {kind} gives magnitudes alone. {advice}.")
    if loss == "kspace_nmse" and not isinstance(model, PREDICT_KSPACE):
        advice = f"Choose a loss of images, or one of {_names(PREDICT_KSPACE)}"
        raise BadInput(f"loss.kind is kspace_nmse, but model.kind {kind} predicts no k-space. {advice}.")
    if loss == "kspace_nmse" and layout in OWN_MASKS:
        raise BadInput(f"loss.kind is kspace_nmse, but data.layout {layout} holds no fully sampled k-space. Choose a loss of images.")


def _names(models: Iterable[type[ModelConfig]]) -> str:
    return ", ".join(str(model.__struct_config__.tag) for model in models)


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


def refuse_dark(loss: LossConfig, volumes: Iterable[Volume]) -> None:
    """Raise BadInput, naming the file of its images, for the first volume of which masked_ssim would find no head."""
    for volume in volumes:
        if loss.kind == "masked_ssim" and volume.maximum <= loss.mask_threshold:
            images = images_of(volume.path) if volume.layout == "paired" else volume.path
            raise BadInput(
                f"{images}: its largest value is {volume.maximum:g}, loss.mask_threshold is {loss.mask_threshold:g}: "
                "no head is left. Lower the threshold, or take the volume out."
            )


def refuse_other_shapes(model: ModelConfig, mask: MaskDescription, volumes: Iterable[Volume]) -> None:
    """Raise BadInput where volumes have other coils than the network, or k-space that a learned mask does not fit."""
    for volume in volumes:
        if isinstance(model, SpiritConfig) and volume.shape[1] != model.coils:
            coils = f"{volume.shape[1]} coil{'' if volume.shape[1] == 1 else 's'}"
            raise BadInput(f"{volume.path}: has {coils}, model.coils is {model.coils}; all volumes need as many.")
        if mask.kind in LEARNED_KINDS:
            budget_of(mask, volume.shape[-2:])


def refuse_other_mask(learned: MaskDescription, wanted: MaskDescription) -> None:
    """Raise BadInput where one of two masks is learned and the other is not the same."""
    if any(mask.kind in LEARNED_KINDS for mask in (learned, wanted)) and learned != wanted:
        raise BadInput(f"mask: the checkpoint has {learned}, this run has {wanted}. A learned mask is measured as it was learned.")
