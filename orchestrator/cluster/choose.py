"""Chooses the scheduler: the profile's, and the profile where none is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from orchestrator.cluster.budgeted import BudgetedSlurm
from orchestrator.cluster.call_budget import CallBudget, Spent, open_budget
from orchestrator.cluster.profile import Profile
from orchestrator.cluster.scheduler import Scheduler

SLURM_DEFAULT = "slurm-gpu"
LOCAL_DEFAULT = "local"


def default_profile_name() -> str:
    """Return the profile where none is named: Slurm's where sbatch is found, else this machine's."""
    return SLURM_DEFAULT if shutil.which("sbatch") else LOCAL_DEFAULT


def open_scheduler(profile: Profile, *, submissions: Path, reading: bool = False) -> Scheduler:
    """Return the scheduler that the profile names; the other is not imported.

    submissions: the submissions' folders, by token. reading: the caller only shows what it is told: while no look at the queue
    is free it gets the last answer.
    """
    if profile.scheduler == "local":
        from orchestrator.cluster.local import LocalScheduler

        return LocalScheduler(profile, submissions)
    from orchestrator.cluster.slurm import SlurmScheduler

    return BudgetedSlurm(SlurmScheduler(profile), _budget(profile), submissions=submissions, reading=reading)


def spent_calls(profile: Profile) -> Spent | None:
    """Return what was asked lately of the profile's cluster, from this host; None for this machine, which is not counted."""
    return None if profile.scheduler == "local" else _budget(profile).spent()


def _budget(profile: Profile) -> CallBudget:
    option = profile.option("clusters")
    return open_budget(os.environ, clusters=option.value if option else "", refill_s=profile.poll_s)
