"""Chooses the scheduler: the profile's, and the profile where none is named."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.cluster.profile import Profile
from orchestrator.cluster.scheduler import Scheduler

SLURM_DEFAULT = "slurm-gpu"
LOCAL_DEFAULT = "local"


def default_profile_name() -> str:
    """Return the profile where none is named: Slurm's where sbatch is found, else this machine's."""
    return SLURM_DEFAULT if shutil.which("sbatch") else LOCAL_DEFAULT


def open_scheduler(profile: Profile, *, submissions: Path) -> Scheduler:
    """Return the scheduler that the profile names; the other is not imported. submissions: the submissions' folders, by token."""
    if profile.scheduler == "local":
        from orchestrator.cluster.local import LocalScheduler

        return LocalScheduler(profile, submissions)
    from orchestrator.cluster.slurm import SlurmScheduler

    return SlurmScheduler(profile)
