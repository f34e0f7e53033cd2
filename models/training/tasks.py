"""Tasks of joint training: which one a batch belongs to, how much of each there is, how their metrics are named."""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample
from models.config import TrainConfig
from models.training.feed import Feed


def task_of(sample: Sample | CineSample) -> int:
    """Return the number of the task of a batch, which holds one task only; 0 where the data tell no tasks apart."""
    task = sample.task if isinstance(sample, Sample) else None
    return 0 if task is None else int(task[0])


def epoch_slices(config: TrainConfig, feed: Feed) -> tuple[int, ...]:
    """Return how many training slices of each task an epoch visits: equally many where data.sampling repeats some or leaves some out."""
    resampled = getattr(config.data, "sampling", "none") != "none"
    return (1,) * len(feed.slices) if resampled else feed.slices


def name_tasks(name: str, tasks: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Return {name/task: value}; nothing where there is one task only, nor for a task whose value is NaN."""
    named = {f"{name}/{task}": value for task, value in zip(tasks, values, strict=False) if not math.isnan(value)}
    return named if len(tasks) > 1 else {}
