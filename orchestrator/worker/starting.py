"""What a worker does before its first run: wait for its files, preload modules, see whether it may fork."""

from __future__ import annotations

import gc
import importlib
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from orchestrator.grid.manifest import Manifest, decode_manifest
from orchestrator.store.errors import StoreError
from orchestrator.store.files import read_json, read_lines
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.worker.submission import Row, Submission, Timing, decode_row

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], timeout_s: float) -> T | None:
    """Look until there is something, at most `timeout_s`: a network file system shows new files late."""
    deadline = time.monotonic() + timeout_s
    pause = 0.05
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2.0, 2 * pause)
    return found


def read_submission(paths: SubmissionPaths, *, visible_s: float = Timing().visible_s) -> tuple[Submission, list[Row]]:
    """Read submission and table, waiting until both can be seen. Raises StoreError when they cannot."""

    def look() -> tuple[Submission, list[Row]] | None:
        submission = read_json(paths.submission, Submission)
        rows = list(read_lines(paths.table, decode_row))
        return (submission, rows) if submission is not None and rows else None

    found = wait_for(look, visible_s)
    if found is None:
        raise StoreError(f"{paths.dir}: submission.json or table.jsonl is missing, empty or damaged. Launch the grid again.")
    return found


def read_manifest(grid: GridPaths, run_id: str) -> Manifest | None:
    """Return the manifest of a run: its derived copy, or its line in the grid's manifest.jsonl."""
    copy = read_json(grid.run(run_id).manifest, Manifest)
    if copy is not None and copy.id == run_id:
        return copy
    lines = (line for line in read_lines(grid.manifest, decode_manifest) if line.id == run_id)
    return next(lines, None)


def preload(names: Iterable[str]) -> dict[str, str]:
    """Import modules that runs will want, so that they need not; return name → version, or why there is none."""
    return {name: _import(name) for name in names}


def _import(name: str) -> str:
    try:
        return str(getattr(importlib.import_module(name), "__version__", "loaded"))
    except Exception as error:  # a broken library is the run's to report, if it wants it at all
        return f"not loaded: {type(error).__name__}: {error}"[:200]


def why_not_fork() -> str:
    """Say why runs cannot be forked from this process, empty when they can.

    A forked child of a process with threads may find their locks held for ever; one that mapped libcuda cannot use CUDA.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"preloading started {threads - 1} threads"
    if re.search(r"/libcuda\.so", Path("/proc/self/maps").read_text()):
        return "preloading mapped libcuda"
    return ""


def settle_memory() -> None:
    """Keep the collector off what was preloaded: forked children then share its pages, and end three times as fast.

    It is not run before: that would cost more than the little it finds, and the holes that it leaves are copied (gc.freeze).
    """
    gc.freeze()
