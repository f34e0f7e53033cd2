"""Where a worker stands: which task of which job it is, and until when it may run."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.store.errors import InputError


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One array task, or one local worker."""

    index: int
    restart: int = 0
    """How often Slurm itself has started this task again."""
    job_id: str = ""
    """Id of the array (of the job, where there is no array); empty for a local worker."""
    cluster: str = ""
    node: str = ""
    """Slurm's name of this host."""
    end_time: float | None = None
    """When the scheduler ends the task [s since 1970]; None: never, or not said."""

    @property
    def is_local(self) -> bool:
        return not self.job_id


def read_place(environ: Mapping[str, str]) -> Place:
    """Return the task that the environment describes: MRSWEEP_INDEX names a local worker, else Slurm's variables hold."""
    local = environ.get("MRSWEEP_INDEX")
    if local is not None:
        return Place(index=int(local))
    job_id = environ.get("SLURM_ARRAY_JOB_ID") or environ.get("SLURM_JOB_ID", "")
    if not job_id:
        raise InputError("neither SLURM_JOB_ID nor MRSWEEP_INDEX is set. A worker is started by Slurm, or with MRSWEEP_INDEX=0 by hand.")
    end_time = environ.get("SLURM_JOB_END_TIME", "")
    return Place(
        index=int(environ.get("SLURM_ARRAY_TASK_ID", "0")),
        restart=int(environ.get("SLURM_RESTART_COUNT", "0")),
        job_id=job_id,
        cluster=environ.get("SLURM_CLUSTER_NAME", ""),
        node=environ.get("SLURMD_NODENAME", ""),
        end_time=float(end_time) if end_time.isdigit() else None,
    )
