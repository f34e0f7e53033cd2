"""Grids whose runs lie on disk, written without launching them: manifests, ledger and the files of attempts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.cluster.scheduler import Snapshot
from orchestrator.grid.identity import run_id
from orchestrator.grid.manifest import Manifest, Need
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.plan import Scene
from orchestrator.store import files
from orchestrator.store.events import Ended, Intent, LedgerEvent, Started, Submitted
from orchestrator.store.layout import AttemptPaths, GridPaths
from orchestrator.store.ledger import read_records, take_pen
from orchestrator.store.records import Record
from orchestrator.store.states import Cause, State
from orchestrator.worker.claim import StartFile

ENTRY = "study:train"
QUIET = Snapshot(taken_at=9.0, queue_ok=True, accounting_ok=True, tasks={})
HOSTILE = ["a b", "it's", 'say "no"', "two\nlines", "-rf", "%41", "é", "$(reboot)", os.fsdecode(b"not \xff utf-8")]


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class Shelf:
    """A runs folder."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs

    def grid(self, name: str, *configs: dict[str, Any], runtime: tuple[str, ...] = (), entry: str = ENTRY) -> OpenGrid:
        """Write a grid whose runs were never submitted."""
        paths = GridPaths(self.runs / name)
        paths.dir.mkdir(parents=True)
        paths.ledger.mkdir()
        paths.applied(1).write_text(f"name: {name.partition('@')[0]}\nentry: {entry}\nruntime: [{', '.join(runtime)}]\n")
        paths.manifest.touch()
        grid = OpenGrid(paths)
        for config in configs:
            self.add(grid, config, runtime=runtime, entry=entry)
        return OpenGrid(paths)

    def add(
        self,
        grid: OpenGrid,
        config: dict[str, Any],
        *,
        runtime: tuple[str, ...] = (),
        entry: str = ENTRY,
        needs: Mapping[str, Need] | None = None,
        identity: str = "",
    ) -> str:
        """Add a run to the manifest; returns its id."""
        made = identity or run_id(entry, config, schema=None, runtime=runtime, needs=needs)
        manifest = Manifest(id=made, version=1, entry=entry, config=config, needs=dict(needs or {}))
        with grid.paths.manifest.open("ab") as stream:
            stream.write(msgspec.json.encode(manifest) + b"\n")
        grid.__dict__.pop("manifests", None)
        return made

    def attempt(
        self,
        grid: OpenGrid,
        run: str,
        state: State | None,
        *,
        cause: Cause | None = None,
        step: int | None = None,
        at: float = 10.0,
        resume: str = "",
        written: Mapping[str, bytes] | None = None,
    ) -> AttemptPaths:
        """Let a run make its next attempt, which ends at `at` in a state (None: it goes on), and leave files."""
        number = read_records(grid.paths).get(run).attempt + 1
        token = f"t{number}-{run[:4]}"
        events: list[LedgerEvent] = [
            Intent(at=at - 3, token=token, runs=((run, number),), tasks=1, max_parallel=1),
            Submitted(at=at - 2, token=token, job_id=str(number)),
            Started(at=at - 1, run=run, attempt=number, token=token, index=0, host="n1"),
        ]
        if state is not None:
            sha256 = "ab" if state is State.COMPLETED else ""
            events.append(Ended(at=at, run=run, attempt=number, state=state, cause=cause, sha256=sha256, last_step=step))
        with take_pen(grid.paths) as pen:
            pen.write(*events)
        folder = grid.paths.run(run).attempt(number)
        content = {"start.json": b'{"run": 1}', "log.txt": b"hello\n"} | dict(written or {})
        if resume:
            content["start.json"] = _start(run, number, resume)
        if state is not None:
            content["end.json"] = b"{}"
        if state is State.COMPLETED:
            content["result.json"] = b"{}"
        for name, text in content.items():
            place = folder.dir / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)
        return folder

    def record(self, grid: OpenGrid, run: str) -> Record:
        return read_records(grid.paths).get(run)

    def scene(self, grid: OpenGrid, snapshot: Snapshot = QUIET, **more: Any) -> Scene:
        return Scene(OpenGrid(grid.paths), read_records(grid.paths), snapshot, now=1e10, **more)


def _start(run: str, number: int, resume: str) -> bytes:
    start = StartFile(
        run=run, attempt=number, resume=resume, token="t", index=0, host="n1", boot_id="b", pid=1, start_time=1.0, nonce="n", at=1.0
    )
    return msgspec.json.encode(start)


def tree(folder: Path, *, without: tuple[str, ...] = ("ledger",)) -> dict[str, bytes]:
    """Return path → content of all files, links as what they point to."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        for name in (*names, *(name for name in folders if (Path(place) / name).is_symlink())):
            path = Path(place) / name
            found[str(path.relative_to(folder))] = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    return found


@pytest.fixture
def make_deep(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes folders below a folder, deeper than a function may call itself; pytest's own clean-up could not delete them."""
    yield _make_deep
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


def _make_deep(folder: Path) -> None:
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=inner)
        outer, inner = inner, os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)


def kill_at(patch: pytest.MonkeyPatch, turn: int) -> None:
    """Die before the `turn`-th operation that changes the disk."""
    seen = 0

    def check_point(operation: str, path: Path | str) -> None:
        nonlocal seen
        seen += 1
        if seen > turn:
            raise Killed

    patch.setattr(files, "check_point", check_point)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "my runs")
