"""What the mount of a runs folder means for grids, judged from /proc/mounts; pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from orchestrator.cluster.scheduler import Fact, Verdict

NETWORK = frozenset({
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "beegfs_nodev", "ceph", "cifs", "smb3", "panfs", "wekafs", "9p",
    "fuse.sshfs", "fuse.glusterfs",
})  # fmt: skip
"""Filesystems that several machines can share."""

_NFS = ("nfs", "nfs4")
_NFS_CACHE_S = 60.0
"""acdirmax where it is not shown, nfs(5): so long a client may not see a new file, and believe that it is not there."""

_OCTAL = re.compile(r"\\([0-7]{3})")
"""How /proc/mounts writes blanks, tabs, newlines and backslashes."""


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One line of /proc/mounts."""

    point: str
    kind: str
    options: Mapping[str, str] = {}

    @property
    def is_network(self) -> bool:
        return self.kind in NETWORK


def read_mounts(text: str) -> list[Mount]:
    """Read /proc/mounts; a line that is none is passed over."""
    lines = (line.split(" ") for line in text.split("\n"))
    return [Mount(point=_plain(words[1]), kind=words[2], options=_options(words[3])) for words in lines if len(words) >= 4]


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _options(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in text.split(","))}


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount:
    """Return the mount that holds an absolute path without links: the longest point above it, the last of equal ones."""
    best = Mount(point="", kind="unknown")
    for mount in mounts:
        if os.path.commonpath([path, mount.point]) == mount.point and len(mount.point) >= len(best.point):
            best = mount
    return best


def mount_facts(mount: Mount, *, visible_s: float, lease_s: float, shared: bool) -> Iterator[Fact]:
    """Judge a mount. shared: other machines must see the folder; visible_s, lease_s: of the profile."""
    if "ro" in mount.options:
        advice = "Nothing can be written there. Choose another folder with --runs DIR."
        yield Fact(name="mount", value=f"{mount.kind}, read-only", verdict=Verdict.BAD, advice=advice)
    if not mount.is_network:
        yield from _local(mount, shared=shared)
        return
    yield Fact(name="filesystem", value=f"{mount.kind}, shared by several machines")
    if mount.kind in _NFS:
        yield from _nfs(mount, visible_s, lease_s)
    if "soft" in mount.options or "softerr" in mount.options:
        advice = "A slow server becomes an I/O error in the middle of a write: runs then end as error. Ask the site for a hard mount."
        yield Fact(name="soft mount", value="soft", verdict=Verdict.NOTE, advice=advice)
    yield _locks(mount)
    if "noexec" in mount.options:
        advice = "A program that lies there cannot be run: let a `command:` begin with python or a path elsewhere."
        yield Fact(name="noexec", value="programs cannot be started from there", verdict=Verdict.NOTE, advice=advice)


def _local(mount: Mount, *, shared: bool) -> Iterator[Fact]:
    if mount.kind == "tmpfs":
        advice = "It is gone when the machine restarts, results included. Choose a disk with --runs DIR."
        yield Fact(name="filesystem", value="tmpfs, memory of this machine", verdict=Verdict.NOTE, advice=advice)
    elif shared:
        advice = "Nodes that do not see it can start no run. Choose a shared folder with --runs DIR, or make sure with --probe."
        yield Fact(name="filesystem", value=f"{mount.kind}, a disk of this machine", verdict=Verdict.NOTE, advice=advice)
    else:
        yield Fact(name="filesystem", value=f"{mount.kind}, a disk of this machine")


def _nfs(mount: Mount, visible_s: float, lease_s: float) -> Iterator[Fact]:
    if mount.options.get("vers", "3").startswith("2"):
        advice = "Two processes could both create a file there. Ask the site for NFS 3 or later, or use another filesystem."
        yield Fact(name="NFS version", value="2", verdict=Verdict.BAD, advice=advice)
    cache_s = cache_time(mount.options)
    value = f"up to {cache_s:g} s until another machine sees a new file"
    if visible_s <= cache_s:
        advice = f"A worker waits only {visible_s:g} s for its files. Write into the profile: #MRSWEEP visible_s={2 * cache_s:.0f}"
        yield Fact(name="attribute cache", value=value, verdict=Verdict.BAD, advice=advice)
    elif lease_s < 2 * cache_s:
        advice = f"A watch of another host could be taken for dead. Write into the profile: #MRSWEEP lease_s={5 * cache_s:.0f}"
        yield Fact(name="attribute cache", value=value, verdict=Verdict.NOTE, advice=advice)
    else:
        yield Fact(name="attribute cache", value=f"{value}; visible_s={visible_s:g} covers it")


def cache_time(options: Mapping[str, str]) -> float:
    """Return how long an NFS client may believe what it knows of a folder [s], nfs(5)."""
    if "noac" in options:
        return 0.0
    named = options.get("acdirmax") or options.get("actimeo") or ""
    return float(named) if named.isdigit() else _NFS_CACHE_S


def _locks(mount: Mount) -> Fact:
    """Nothing of the store relies on locks between machines: this is for the runs' own code."""
    if mount.kind == "lustre":
        word = next((word for word in ("localflock", "noflock", "flock") if word in mount.options), "noflock")
    elif mount.kind in _NFS:
        local = mount.options.get("local_lock", "none")
        word = "nolock" if "nolock" in mount.options else "flock" if local in ("none", "posix") else f"local_lock={local}"
    else:
        return Fact(name="locks", value="not told by the mount; grids need none between machines")
    if word == "flock":
        return Fact(name="locks", value="hold between machines; grids need none")
    advice = "Grids need no locks between machines. Your own code may: HDF5 wants HDF5_USE_FILE_LOCKING=FALSE, SQLite another folder."
    return Fact(name="locks", value=f"{word}: none between machines", verdict=Verdict.NOTE, advice=advice)
