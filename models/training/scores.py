"""From the quality of volumes to the metrics that are reported, and whether they may be believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from data.kspace.description import LEARNED_KINDS
from models.config import MaskConfig
from models.quality import Quality

LARGER_IS_BETTER = {"psnr", "ssim"}
PERFECT_SSIM = 1 - 1e-9
LEARNED_TOLERANCE = 0.01
"""How far from 1 / acceleration the part may be that a learned mask samples: half a point of k-space of 8 × 8."""


@dataclass(frozen=True, kw_only=True)
class VolumeScore:
    """What a network achieves on a volume."""

    task: int
    losses: tuple[float, ...]
    """Not weighted, one a sample."""
    whole: Quality
    slices: tuple[Quality, ...]
    sampled_fractions: tuple[float, ...]
    """What the masks really sampled; empty for data that need none."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a network achieves on a split."""

    volumes: tuple[VolumeScore, ...]
    """In the order of the split."""

    @property
    def loss(self) -> float:
        """Mean over slices."""
        return fmean(loss for volume in self.volumes for loss in volume.losses)

    @property
    def sampled_fraction(self) -> float:
        """Mean over slices of what the masks really sampled; NaN where there are none."""
        fractions = [part for volume in self.volumes for part in volume.sampled_fractions]
        return fmean(fractions) if fractions else math.nan

    def of_task(self, task: int) -> Evaluation:
        """Return the part that belongs to a task."""
        return Evaluation(volumes=tuple(volume for volume in self.volumes if volume.task == task))

    def means(self, split: str, tasks: Sequence[str] = ("",)) -> dict[str, float]:
        """Return loss and mean metrics over volumes, with their number n, overall and of each task: {"val/ssim": …, "val/ssim/knee": …}."""
        return self._named(split, tasks, _means)

    def spread(self, split: str, tasks: Sequence[str] = ("",)) -> dict[str, float]:
        """Return deviation, worst and best value over volumes, and the same over slices: {"test/ssim_std": …, "test/slice_ssim": …}."""
        return self._named(split, tasks, _spread)

    def fractions(self, split: str) -> dict[str, float]:
        """Return what the masks sampled: {"test/sampled_fraction": …}; nothing for data that need no masks."""
        return {} if math.isnan(self.sampled_fraction) else {f"{split}/sampled_fraction": self.sampled_fraction}

    def _named(self, split: str, tasks: Sequence[str], measure: Callable[[Evaluation], dict[str, float]]) -> dict[str, float]:
        values = {f"{split}/{name}": value for name, value in measure(self).items()}
        for number, task in enumerate(tasks if len(tasks) > 1 else ()):
            part = self.of_task(number)
            if part.volumes:
                values |= {f"{split}/{name}/{task}": value for name, value in measure(part).items()}
        return values


def why_degenerate(evaluation: Evaluation, mask: MaskConfig | None) -> str:
    """Return why a result cannot be what a network achieves on under-sampled data; empty where nothing speaks against it.

    mask: what was asked for; None where the sampling is part of the data.
    """
    for name in Quality._fields:
        value = fmean(getattr(volume.whole, name) for volume in evaluation.volumes)
        if math.isnan(value):
            return f"{name} is NaN"
    if any(volume.whole.ssim >= PERFECT_SSIM for volume in evaluation.volumes):
        return "a volume has SSIM 1: its truth reached the network"
    return _why_sampling_is_off(evaluation.sampled_fraction, mask) if mask is not None else ""


def _why_sampling_is_off(fraction: float, mask: MaskConfig) -> str:
    """Judge the mean of all masks with room for chance and for centres on top; each single mask is held to its own formula when drawn.

    A mask that the network has learned has neither: it samples round(points / acceleration).
    """
    wanted = 1 / mask.acceleration
    least, most = wanted / 4, wanted + mask.center_fraction + (1 - wanted) / 4
    if mask.kind in LEARNED_KINDS:
        least, most = wanted - LEARNED_TOLERANCE, wanted + LEARNED_TOLERANCE
    if math.isnan(fraction) or mask.acceleration == 1 or least <= fraction <= most:
        return ""
    return f"the masks sample {fraction:.3f} of k-space, asked were {wanted:.3f}"


def _means(evaluation: Evaluation) -> dict[str, float]:
    values = {name: fmean(_of_volumes(evaluation, name)) for name in Quality._fields}
    return {"loss": evaluation.loss, **values, "n": len(evaluation.volumes)}


def _spread(evaluation: Evaluation) -> dict[str, float]:
    return dict(_spread_lines(evaluation))


def _spread_lines(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    for name in Quality._fields:
        yield from _around(name, "", _of_volumes(evaluation, name))
    for name in Quality._fields:
        # of a slice without any signal there is no NMSE, of one without any error no PSNR; it counts in the others
        parts = [value for volume in evaluation.volumes for part in volume.slices if math.isfinite(value := getattr(part, name))]
        if parts:
            yield f"slice_{name}", fmean(parts)
            yield from _around(name, "slice_", parts)
    yield "slice_n", sum(len(volume.slices) for volume in evaluation.volumes)


def _of_volumes(evaluation: Evaluation, name: str) -> list[float]:
    return [getattr(volume.whole, name) for volume in evaluation.volumes]


def _around(name: str, of_what: str, values: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield how values of a metric spread; where one is infinite they have no standard deviation."""
    worst, best = (min, max) if name in LARGER_IS_BETTER else (max, min)
    yield f"{of_what}{name}_std", pstdev(values) if all(map(math.isfinite, values)) else math.nan
    yield f"{of_what}{name}_worst", worst(values)
    yield f"{of_what}{name}_best", best(values)
