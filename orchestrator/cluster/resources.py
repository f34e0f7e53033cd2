"""What one run needs, what a task asks for, and how runs share a task."""

from __future__ import annotations

import math

import msgspec


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What ONE run needs. Equal values form a class: runs of one class share arrays."""

    gpus: int = 0
    """GPUs of a run."""
    cpus: int = 1
    """CPU cores of a run."""
    mem_gb: float = 2.0
    """Host memory of a run [GB of 1024 MB]."""
    time_min: float = 60.0
    """Wall time of a run [minutes]."""
    nodes: int = 1
    """More than one: one run a task, started by srun."""
    larger_gpu: bool = False
    """On the profile's larger kind of GPU."""
    sbatch: tuple[tuple[str, str], ...] = ()
    """More options for sbatch, sorted by name: constraint, qos …"""


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many runs a task computes."""

    per_task: int = 1
    """Runs that one task computes, one after the other or side by side."""
    per_gpu: int = 1
    """Runs at a time on each GPU of a task (on its cores where it has no GPU)."""
    task_max_min: float | None = None
    """A task never asks for more than this [minutes], unless one run does; None: no such limit."""


def task_resources(one: Resources, pack: Pack, *, partition_limit_min: float = math.inf) -> Resources:
    """Return what a task asks for that packs runs of `one`: K times cores and memory, N times the time.

    The time is bounded by the partition and by `pack.task_max_min`, and never below that of one run.
    """
    at_a_time = min(pack.per_gpu, pack.per_task)
    most_min = min(partition_limit_min, math.inf if pack.task_max_min is None else pack.task_max_min)
    time_min = max(one.time_min, min(pack.per_task * one.time_min / at_a_time, most_min))
    return msgspec.structs.replace(one, cpus=one.cpus * at_a_time, mem_gb=one.mem_gb * at_a_time, time_min=time_min)
