"""A prepare command as it lies on disk: what it runs, and what became of it."""

from __future__ import annotations

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.store.files import read_json
from orchestrator.store.layout import PreparePaths


class PrepareTask(msgspec.Struct, frozen=True, kw_only=True):
    """command.json: written by launch, read on the node."""

    argv: tuple[str, ...]
    resources: Resources = Resources()
    cwd: str = ""
    """Folder of the launch."""
    code: str = ""
    """Snapshot that comes first on PYTHONPATH, empty where the project itself is used."""


class PrepareResult(msgspec.Struct, frozen=True, kw_only=True):
    """result.json, or failed.json with the log's last lines."""

    exit_code: int
    seconds: float
    log: str = ""


def is_done(paths: PreparePaths) -> bool:
    """Say whether the command ended well before."""
    return read_json(paths.result, PrepareResult) is not None


def failure(paths: PreparePaths) -> str | None:
    """Return the last lines of a failed command; None when it did not fail."""
    failed = read_json(paths.failed, PrepareResult)
    return None if failed is None else f"exit code {failed.exit_code}: {failed.log}"
