"""The environment of a run: Slurm's names put aside, threads set to its share, its folders named."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from orchestrator.worker.task import Task

RENAMED = ("SLURM", "SBATCH_")
"""Frameworks that see these would start their own requeueing or ranks; a run finds them as MRSWEEP_SLURM_…"""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

PARENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""What keeps a worker that preloads torch single-threaded and away from CUDA, so that it can fork."""


def available_threads(cpus: int) -> int:
    """Return how many threads a run of `cpus` cores may use on this machine, at least one."""
    return max(1, min(cpus, len(os.sched_getaffinity(0))))


def rename_slurm(environ: Mapping[str, str], keep: Collection[str]) -> dict[str, str]:
    """Return `environ` with Slurm's variables renamed MRSWEEP_SLURM_…, save those in `keep`."""
    return {name if name in keep or not name.startswith(RENAMED) else f"MRSWEEP_{name}": value for name, value in environ.items()}


def run_environment(task: Task, resume_from: Path | None, needs: Mapping[str, Path]) -> dict[str, str]:
    """Return the whole environment of a run."""
    paths = task.paths
    environ = rename_slurm(task.environ, task.submission.keep_env)
    environ.pop("MRSWEEP_NOTIFY", None)  # holds passwords, and many programs write down their environment
    environ |= dict.fromkeys(THREADS, str(task.threads))
    environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    environ["PYTHONPATH"] = os.pathsep.join([*map(str, task.roots), *filter(None, [environ.get("PYTHONPATH")])])
    environ |= {
        "MRSWEEP_RUN": task.manifest.id,
        "MRSWEEP_RUN_DIR": str(paths.dir),
        "MRSWEEP_ATTEMPT": str(task.attempt),
        "MRSWEEP_CHECKPOINT_DIR": str(paths.checkpoint),
        "MRSWEEP_CONFIG": str(paths.config),
        "MRSWEEP_RESUME_FROM": str(resume_from or ""),
        "MRSWEEP_NEEDS": msgspec.json.encode({name: str(path) for name, path in needs.items()}).decode(),
    }
    return environ
