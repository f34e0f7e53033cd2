"""A grid's folder that tests fill by hand with what attempts leave behind."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import History, RunHistory
from orchestrator.metrics.reading import read_history, read_shown_history
from orchestrator.store.layout import AttemptPaths, GridPaths
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import State

RUN = "0123456789abcdef"
OTHER = "fedcba9876543210"


class Shelf:
    """A grid whose runs are written by hand. Every file gets a time of its own, long ago, so that no test waits for the clock."""

    def __init__(self, folder: Path) -> None:
        self.paths = GridPaths(folder / "runs" / "a 'grid'")
        self.paths.dir.mkdir(parents=True)
        self._clock = 1_000_000_000

    def attempt(self, number: int = 1, restart: int = 0, run: str = RUN) -> AttemptPaths:
        """Return an attempt's folder, which is made where it is not there."""
        paths = self.paths.run(run).attempt(number, restart)
        paths.dir.mkdir(parents=True, exist_ok=True)
        return paths

    def write(self, path: Path, content: str | bytes) -> Path:
        """Write a file, and its folder where that is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.age(path)

    def age(self, path: Path) -> Path:
        """Give a file the next time."""
        self._clock += 1
        os.utime(path, (self._clock, self._clock))
        return path

    def report(self, *lines: Mapping[str, Any], number: int = 1, restart: int = 0, run: str = RUN) -> Path:
        """Write the metrics.jsonl of an attempt."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return self.write(self.attempt(number, restart, run).metrics, text)

    def read(self, *records: Record, keep: bool = True) -> History:
        """Read runs; without records the one run with its first attempt."""
        return read_history(self.paths, records or [record()], keep=keep)

    def read_shown(self, *records: Record, selection: Objective | None = Objective(name="q")) -> History:
        """Read runs as tables do; without records the one run with its first attempt."""
        return read_shown_history(self.paths, records or [record()], selection)

    def one(self, *attempts: int | tuple[int, int], **more: Any) -> RunHistory:
        """Read the one run."""
        return self.read(record(*attempts, **more))[RUN]


def record(*attempts: int | tuple[int, int], run: str = RUN, state: State = State.RUNNING, **more: Any) -> Record:
    """Return a record with attempts, by number or by number and restart."""
    numbers = sorted((each, 0) if isinstance(each, int) else each for each in attempts or (1,))
    started = tuple(Attempt(number=number, restart=restart, state=State.FAILED) for number, restart in numbers)
    return Record(id=run, state=state, attempts=started, **more)


def completed(*attempts: int, run: str = RUN, by: int = 1, **more: Any) -> Record:
    """Return the record of a run that attempt `by` completed."""
    started = tuple(Attempt(number=each, state=State.COMPLETED if each == by else State.FAILED) for each in attempts or (1,))
    return Record(id=run, state=State.COMPLETED, sha256="5" * 64, attempts=started, **more)


def told(history: RunHistory) -> dict[str, list[tuple[float, float]]]:
    """Return metric → (step, value) pairs."""
    return {name: list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True)) for name, curve in history.curves.items()}
