"""Whether a network can take what the data give, said before any file is read."""

from __future__ import annotations

from data.errors import BadInput
from data.volumes.description import CineData, DataDescription, KneeData, layout_of
from models.model_config import MODEL_KINDS, CineConfig, ModelConfig, MultiTaskVarNetConfig, VarNetConfig

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
    if isinstance(model, MultiTaskVarNetConfig) and model.tasks != len(data.tasks):
        raise BadInput(f"model.tasks is {model.tasks}, the data have {len(data.tasks)}. Set model.tasks to the number of data.datasets.")
