"""What TensorBoard's readers found, in plain values."""

from __future__ import annotations

from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.util import tensor_util


def scalars_of(multiplexer: EventMultiplexer, run: str) -> dict[str, list[tuple[int, float]]]:
    """Return tag → (step, value) of a run's scalars, without the marks of its session."""
    accumulator = multiplexer.GetAccumulator(run)
    tags = accumulator.PluginTagToContent("scalars") if "scalars" in accumulator._plugin_to_tag_to_content else {}
    return {
        tag: [(event.step, _number(event)) for event in multiplexer.Tensors(run, tag)]
        for tag in sorted(tags)
        if not tag.startswith("_hparams_/")
    }


def _number(event) -> float:
    return round(float(tensor_util.make_ndarray(event.tensor_proto)), 4)
