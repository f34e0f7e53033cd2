"""Freeze the code that runs: a copy of the project's files, named by the hash of their content, and where it came from."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.store.errors import InputError
from orchestrator.store.files import make_dir, write_atomic

MAX_MB = 50
_SKIPPED_DIRS = frozenset({"__pycache__", "node_modules", "build", "dist", "runs"})


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code of a submission."""

    path: str
    """Absolute folder of the copy; empty: the project itself is used, and may change under the runs."""
    hash: str = ""
    provenance: dict[str, Any] = {}


def take_snapshot(project: Path, code_dir: Path, *, enabled: bool = True) -> Code:
    """Copy the project's files to `code_dir/<hash>/`, unless that copy exists, and note commit, diff, packages and host.

    The files are those that git tracks or would track; without git all but hidden and built ones.
    Raises InputError above 50 MB, with the largest file and the way out.
    """
    provenance = describe_project(project)
    if not enabled:
        return Code(path="", provenance=provenance)
    files = list_files(project)
    _check_size(project, files)
    digest = _content_hash(project, files)
    target = code_dir / digest
    if not target.is_dir():
        _copy(project, files, target)
    about = target.with_suffix(".json")
    if not about.exists():
        write_atomic(about, msgspec.json.format(msgspec.json.encode(provenance)))
    return Code(path=str(target), hash=digest, provenance=provenance)


def list_files(project: Path) -> list[Path]:
    """Return the project's files, relative to it, sorted."""
    listed = _git(project, "ls-files", "-co", "--exclude-standard", "-z")
    names: Iterable[str] = listed.split("\0") if listed is not None else _walk(project)
    files = {Path(name) for name in names if name}
    return sorted(file for file in files if (project / file).is_file() and not (project / file).is_symlink())


def _walk(project: Path) -> Iterable[str]:
    for folder, subfolders, names in os.walk(project):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name not in _SKIPPED_DIRS]
        yield from (os.path.relpath(os.path.join(folder, name), project) for name in names if not name.startswith("."))


def _check_size(project: Path, files: list[Path]) -> None:
    sizes = {file: (project / file).stat().st_size for file in files}
    total_mb = sum(sizes.values()) / 1e6
    if total_mb <= MAX_MB:
        return
    largest = max(sizes, key=lambda file: sizes[file])
    raise InputError(
        f"{project}: the code that would be copied for the runs holds {total_mb:.0f} MB "
        f"(largest: {largest}, {sizes[largest] / 1e6:.0f} MB); "
        f"the limit is {MAX_MB} MB. Add data to .gitignore, or write 'code: none' into the grid file."
    )


def _content_hash(project: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(str(file)) + b"\0")
        digest.update(hashlib.sha256((project / file).read_bytes()).digest())
    return digest.hexdigest()[:16]


def _copy(project: Path, files: list[Path], target: Path) -> None:
    """Copy aside and rename: a snapshot is there as a whole or not at all."""
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    for file in files:
        make_dir((aside / file).parent)
        shutil.copy2(project / file, aside / file)
    make_dir(aside)
    try:
        os.rename(aside, target)
    except OSError:  # another launch was faster with the same content
        shutil.rmtree(aside)
        if not target.is_dir():
            raise


def describe_project(project: Path) -> dict[str, Any]:
    """Return what a reader needs to repeat the runs: commit, uncommitted diff, packages, python and host."""
    commit = _git(project, "rev-parse", "HEAD")
    return {
        "project": str(project),
        "commit": commit.strip() if commit else None,
        "diff": _git(project, "diff", "HEAD", "--no-color") if commit else None,
        "packages": installed_packages(sys.path),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith("PYTHON")},
    }


def installed_packages(folders: Iterable[str]) -> dict[str, str]:
    """Return name → version of what is installed below `folders`, the first find wins; read from the names of folders, which is quick."""
    found: dict[str, str] = {}
    for folder in filter(os.path.isdir, folders):
        for path in Path(folder).glob("*.dist-info"):
            name, _, version = path.stem.partition("-")
            found.setdefault(name.replace("_", "-"), version)
    return dict(sorted(found.items()))


def _git(project: Path, *arguments: str) -> str | None:
    """Ask git; None where there is no git or no repository."""
    try:
        answer = subprocess.run(  # no repository is an answer too
            ["git", "-C", str(project), *arguments], check=False, capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode(errors="replace") if answer.returncode == 0 else None
