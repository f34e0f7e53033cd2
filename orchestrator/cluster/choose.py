"""Chooses the scheduler: the profile's, and the profile where none is named."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.cluster.local import LocalScheduler
from orchestrator.cluster.profile import Profile
from orchestrator.cluster.slurm import SlurmScheduler

SLURM_DEFAULT = "slurm-gpu"
LOCAL_DEFAULT = "local"


def default_profile_name() -> str:
    """Return the profile where none is named: Slurm's where sbatch is found, else this machine's."""
    return SLURM_DEFAULT if shutil.which("sbatch") else LOCAL_DEFAULT


def open_scheduler(profile: Profile, *, submissions: Path) -> SlurmScheduler | LocalScheduler:
    """Return the scheduler that the profile names. submissions: the folder of the grid's submissions, by token."""
    if profile.scheduler == "local":
        return LocalScheduler(profile, submissions)
    return SlurmScheduler(profile)
