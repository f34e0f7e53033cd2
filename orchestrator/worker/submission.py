"""What all tasks of a submission have in common, and its table of runs: written by launch, read by the worker."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.cluster.resources import Pack, Resources
from orchestrator.grid.objective import Objective


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The waiting times of a profile that matter on the node."""

    heartbeat_s: float = 30.0
    warning_s: float = 120.0
    """How long before its time limit a task is warned."""
    visible_s: float = 120.0
    """How long a worker waits for files that the filesystem does not show yet."""


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of table.jsonl: a run and the number of the attempt allotted to it."""

    run: str
    attempt: int
    resume: str = ""
    """Folder of the newest attempt that left a checkpoint, relative to the run's folder: attempt-1."""
    config: dict[str, Any] = {}
    """Dotted runtime keys that this attempt overrides, decided by policy."""


class Submission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """submission.json."""

    token: str
    grid_dir: str
    """Absolute path of runs/<grid>."""
    cwd: str
    """Folder of the launch: relative data paths hold there."""
    code: str = ""
    """Absolute path of the code snapshot, empty where the project itself is used."""
    listed: bool = False
    """True: workers take runs from the table by claim until it is empty. False: task i computes row i."""
    resources: Resources = Resources()
    """What ONE run needs."""
    pack: Pack = Pack()
    preload: tuple[str, ...] = ("torch", "numpy", "h5py")
    start: str = "fork"
    """fork, or spawn: a fresh interpreter for each run."""
    keep_env: tuple[str, ...] = ()
    """SLURM_* names that a run sees unchanged."""
    signal: str = ""
    """The signal that warns a command of its end; empty: none is sent."""
    objective: Objective | None = None
    timing: Timing = Timing()
    provenance: dict[str, Any] = {}
    """Commit, dirty diff, package versions, host: what a reader needs to repeat the run."""


decode_row = msgspec.json.Decoder(Row).decode
