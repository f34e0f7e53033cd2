"""A grid whose runs lie on disk with what they reported, and TensorBoard's own readers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from orchestrator.boards.build import Boards, build_boards
from orchestrator.grid.manifest import Manifest
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import State
from tests.boards.events import scalars_of

START = 1_700_000_000.0


class Study:
    """The runs of one grid."""

    def __init__(self, runs: Path, name: str = "g") -> None:
        self.paths = GridPaths(runs / name)
        self.paths.dir.mkdir(parents=True)
        self.pairs: list[tuple[Manifest, Record]] = []

    def run(self, *, state: State = State.COMPLETED, attempts: int = 1, metrics: Mapping[str, float] | None = None, **varying: Any) -> str:
        """Add a run that was started so many times; return its id."""
        run_id = f"{len(self.pairs) + 1:02x}" + "ab" * 7
        starts = tuple(Attempt(number=number + 1, started_at=START + 100 * number) for number in range(attempts))
        for attempt in starts:
            self.attempt(run_id, attempt.number).mkdir(parents=True)
        manifest = Manifest(id=run_id, version=1, entry="m:f", config=varying, varying=varying)
        self.pairs.append((manifest, Record(id=run_id, state=state, attempts=starts, metrics=dict(metrics or {}))))
        return run_id

    def attempt(self, run_id: str, number: int = 1) -> Path:
        """Return an attempt's folder."""
        return self.paths.run(run_id).attempt(number).dir

    def events(self, run_id: str, steps: Iterable[int], *, number: int = 1, tag: str = "loss", folder: str = "tb") -> Path:
        """Write an event file as SummaryWriter does; the value at a step is step + number / 10."""
        writer = EventFileWriter(str(self.attempt(run_id, number) / folder))
        for step in steps:
            value = Summary.Value(tag=tag, simple_value=step + number / 10)
            writer.add_event(Event(wall_time=START + step, step=step, summary=Summary(value=[value])))
        writer.close()
        return max((self.attempt(run_id, number) / folder).glob("events*"), key=lambda path: path.stat().st_mtime_ns)

    def lines(self, run_id: str, *reports: Mapping[str, Any], number: int = 1) -> None:
        """Write what an attempt reported as metrics.jsonl."""
        text = "".join(json.dumps(report) + "\n" for report in reports)
        (self.attempt(run_id, number) / "metrics.jsonl").write_text(text)

    def build(self) -> Boards:
        """Bring the folder up to date."""
        return build_boards(self.paths, self.pairs)

    def state(self, run_id: str, state: State) -> None:
        """Change where a run stands."""
        self.pairs = [(manifest, replace(record, state=state) if manifest.id == run_id else record) for manifest, record in self.pairs]

    def seen(self) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """Return run → tag → (step, value) as TensorBoard's own reader in Python finds them."""
        multiplexer = EventMultiplexer()
        multiplexer.AddRunsFromDirectory(str(self.paths.boards))
        multiplexer.Reload()
        return {run: scalars_of(multiplexer, run) for run in sorted(multiplexer.Runs())}

    def tree(self) -> dict[str, tuple[int, int]]:
        """Return path → (inode, time of change) of everything below the folder, links not followed."""
        return {
            str(path.relative_to(self.paths.dir)): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in _below(self.paths.boards)
        }


def _below(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A grid without runs, in a folder whose name holds what shells stumble over."""
    return Study(tmp_path / "my 'own' runs")
