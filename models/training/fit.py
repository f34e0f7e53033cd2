"""Whether a network can take what the data give, said before any file is read."""

from __future__ import annotations

from collections.abc import Iterable

from data.errors import BadInput
from data.volumes.description import OWN_MASKS, CineData, DataDescription, KneeData, layout_of
from models.model_config import MODEL_KINDS, CineConfig, EndToEndVarNetConfig, ModelConfig, MultiTaskVarNetConfig, VarNetConfig

CINE_KINDS = tuple(kind for kind in MODEL_KINDS if kind.startswith("unet") and kind != "unet")
GIVE_COMPLEX_IMAGES = (VarNetConfig, MultiTaskVarNetConfig)
PREDICT_KSPACE = (EndToEndVarNetConfig, *GIVE_COMPLEX_IMAGES)


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
    if isinstance(model, MultiTaskVarNetConfig) and model.tasks != len(data.tasks):
        raise BadInput(f"model.tasks is {model.tasks}, the data have {len(data.tasks)}. Set model.tasks to the number of data.datasets.")
