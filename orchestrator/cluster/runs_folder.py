"""Tries on a runs folder what the store relies on: atomic files, the mount, and room."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.cluster.mounts import Mount, mount_facts, mount_of, read_mounts
from orchestrator.cluster.profile import Profile
from orchestrator.cluster.scheduler import Fact, Verdict
from orchestrator.store.errors import StoreError
from orchestrator.store.files import create_exclusive, make_dir, write_atomic
from orchestrator.store.ownership import check_owner

_FEW_FILES = 100_000
"""A run has some ten files."""


def folder_facts(runs: Path, profile: Profile) -> Iterator[Fact]:
    """Judge the runs folder, which is made where it is not there yet."""
    try:
        make_dir(runs)
        check_owner(runs)
    except StoreError as error:
        yield Fact(name="runs folder", value=str(runs), verdict=Verdict.BAD, advice=str(error))
        return
    yield Fact(name="runs folder", value=str(runs.absolute()))
    mount = mount_here(runs)
    yield from mount_facts(mount, visible_s=profile.visible_s, lease_s=profile.lease_s, shared=profile.scheduler != "local")
    yield _try_writing(runs)
    yield from _room(runs, mount)


def mount_here(folder: Path) -> Mount:
    """Return the mount of a folder on this machine."""
    try:
        text = Path("/proc/mounts").read_text(errors="surrogateescape")
    except OSError:
        text = ""
    return mount_of(os.path.realpath(folder), read_mounts(text))


def _try_writing(runs: Path) -> Fact:
    try:
        with tempfile.TemporaryDirectory(dir=runs, prefix=".doctor-") as folder:
            write_atomic(Path(folder, "atomic"), b"1")
            once, twice = (create_exclusive(Path(folder, "exclusive"), b"1") for _ in range(2))
    except OSError as error:
        advice = "Choose another folder with --runs DIR."
        return Fact(name="atomic files", value=str(error.strerror), verdict=Verdict.BAD, advice=advice)
    if once and not twice:
        return Fact(name="atomic files", value="rename and exclusive creation work")
    advice = "Two processes could write at once here; use another filesystem."
    return Fact(name="atomic files", value="exclusive creation is not exclusive", verdict=Verdict.BAD, advice=advice)


def _room(runs: Path, mount: Mount) -> Iterator[Fact]:
    """Judge free space and free files; a filesystem that counts no files says 0 of 0."""
    room = os.statvfs(runs)
    free_gb, low = room.f_bavail * room.f_frsize / 1e9, room.f_bavail < 0.05 * room.f_blocks
    advice = "Checkpoints will fill it; runs then fail as disk_full." if low else ""
    quota = ", or your quota if that is less: quota -s, lfs quota" if mount.is_network else ""
    yield Fact(name="free space", value=f"{free_gb:,.0f} GB{quota}", verdict=Verdict.NOTE if low else Verdict.OK, advice=advice)
    if room.f_files:
        few = room.f_favail < _FEW_FILES
        advice = "A run has about ten files: prune what is not needed, or ask the site for more." if few else ""
        yield Fact(name="free files", value=f"{room.f_favail:,}", verdict=Verdict.NOTE if few else Verdict.OK, advice=advice)
