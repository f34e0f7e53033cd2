"""What an attempt leaves behind: end.json, whatever the end, and result.json, the proof of success."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from orchestrator.store.events import Ended, Number
from orchestrator.store.files import read_json, write_atomic
from orchestrator.store.layout import AttemptPaths, RunPaths, parse_attempt_name


class End(Ended, frozen=True, kw_only=True, omit_defaults=True, tag_field="t", tag="ended"):
    """end.json; read as Ended it is the line that goes into the journal."""

    excerpt: str = ""
    """The last lines of the traceback or of the log."""
    warned: bool = False
    """The run had been asked to stop."""


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """result.json, written last."""

    run: str
    attempt: int
    restart: int = 0
    token: str = ""
    config_sha256: str = ""
    """Of the complete config as sorted JSON, this attempt's overrides included."""
    metrics: dict[str, Number] = {}
    best: Number = None
    best_step: int | None = None
    last: Number = None
    reports: int = 0
    runtime_s: float = 0.0
    at: float = 0.0
    """When it was written [s since 1970]."""


def write_end(paths: AttemptPaths, end: End) -> None:
    """Write end.json."""
    write_atomic(paths.end, msgspec.json.encode(end))


def read_end(paths: AttemptPaths) -> End | None:
    """Read end.json; None when there is none yet."""
    return read_json(paths.end, End)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_result(paths: AttemptPaths, run_id: str) -> tuple[Result, str] | None:
    """Return (result, sha256 of the file) of an attempt that succeeded, None where nothing valid proves it.

    The file must be whole, name the run and this attempt, and have the hash that end.json announces.
    """
    try:
        content = paths.result.read_bytes()
        result = msgspec.json.decode(content, type=Result)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    if result.run != run_id or (result.attempt, result.restart) != parse_attempt_name(paths.dir.name):
        return None
    digest = sha256(content)
    end = read_end(paths)
    if end is not None and end.sha256 and end.sha256 != digest:
        return None
    return result, digest


def attempts(run: RunPaths) -> list[tuple[int, int]]:
    """Return (number, restart) of all attempts of a run, oldest first."""
    try:
        names = [parse_attempt_name(path.name) for path in run.dir.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name is not None)


def is_done(run: RunPaths, known: list[tuple[int, int]] | None = None) -> bool:
    """Say whether any attempt of the run has a valid result: done is sticky, whoever came later."""
    found = attempts(run) if known is None else known
    return any(read_result(run.attempt(*number), run.dir.name) is not None for number in reversed(found))


def has_checkpoint(paths: AttemptPaths) -> bool:
    """Say whether an attempt left a checkpoint: any file but those that are still written aside, which begin with a dot."""
    try:
        return any(not entry.name.startswith(".") for entry in paths.checkpoint.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False


def newest_checkpoint(paths: AttemptPaths) -> float | None:
    """Return when an attempt wrote its newest checkpoint [s since 1970]; None when it left none."""
    try:
        return max((entry.stat().st_mtime for entry in os.scandir(paths.checkpoint) if not entry.name.startswith(".")), default=None)
    except (FileNotFoundError, NotADirectoryError):
        return None


def log_tail(path: Path, size: int = 65_536) -> str:
    """Return the last bytes of a log as text; a log of any size costs the same."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, path.stat().st_size - size))
            return stream.read(size).decode(errors="replace")
    except OSError:
        return ""


def last_report(path: Path) -> dict[str, object]:
    """Return the last whole line of a metrics file, empty when there is none."""
    tail = log_tail(path, 8192).encode()
    lines = [line for line in tail.split(b"\n") if line.startswith(b"{")]
    for line in reversed(lines):
        try:
            return msgspec.json.decode(line, type=dict[str, object])
        except msgspec.DecodeError:
            continue
    return {}
