"""Whether a runs folder is the user's alone: who can write to it could change the code that runs, and the proofs of what ran."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestrator.store.errors import StoreError

TRUST_GROUP = "MRSWEEP_TRUST_GROUP"
"""Environment variable: 1 lets the group of the runs folder write to it. Everybody in it can then run code as the user."""


def check_owner(folder: Path) -> None:
    """Raise StoreError when others own a folder, can write to it, or can put another in its place; it need not be there yet."""
    if folder.exists():
        _check_folder(folder, folder.stat())
    _check_parents(Path(os.path.realpath(folder)))


def _check_folder(folder: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        raise StoreError(f"{folder}: belongs to user {status.st_uid}. Use a runs folder of your own with --runs DIR.")
    if status.st_mode & stat.S_IWOTH:
        raise StoreError(f"{folder}: everybody can write to it, and so run code as you. Close it with: chmod go-w '{folder}'")
    if status.st_mode & stat.S_IWGRP and os.environ.get(TRUST_GROUP) != "1":
        raise StoreError(
            f"{folder}: its group can write to it, and so run code as you. Close it with: chmod g-w '{folder}' "
            f"(or, if you trust all of the group, set {TRUST_GROUP}=1)"
        )


def _check_parents(folder: Path) -> None:
    """A parent that everybody can write to lets everybody rename what is in it, unless it is sticky as /tmp is."""
    for parent in filter(os.path.exists, folder.parents):
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise StoreError(
                f"{folder}: everybody can write to {parent}, and so put another folder in its place. "
                f"Close it with: chmod o-w '{parent}', or choose another folder with --runs DIR."
            )
