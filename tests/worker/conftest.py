"""A project with entries, a grid folder beside it, and real workers started on them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.grid.manifest import Manifest
from orchestrator.store.events import Ended, JournalLine, decode_journal_line
from orchestrator.store.files import make_dir, read_lines, write_atomic, write_plain
from orchestrator.store.layout import AttemptPaths, GridPaths, RunPaths, SubmissionPaths
from orchestrator.worker.submission import Row, Submission, Timing

CHECKOUT = Path(__file__).parents[2]


def poll(look: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Return the first true value of `look`; fail the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)
    return found


def is_alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Farm:
    """One grid with one submission."""

    def __init__(self, root: Path) -> None:
        self.project = root / "my 'project'"
        self.grid = GridPaths(root / "runs dir" / "grid")
        self.submission = SubmissionPaths(self.grid.submissions / "grid-1")
        self.workers: list[subprocess.Popen[str]] = []
        self.manifests: list[Manifest] = []
        make_dir(self.project)
        make_dir(self.submission.logs)

    def write(self, name: str, code: str) -> None:
        """Put a file into the project."""
        (self.project / name).write_text(textwrap.dedent(code))

    def add(self, *, row: Mapping[str, Any] | None = None, **values: Any) -> RunPaths:
        """Add a run to grid and table."""
        values = {"id": f"{len(self.manifests):016x}", "version": 1, "config": {}, **values}
        self.manifests.append(Manifest(**values))
        self.rows = [*getattr(self, "rows", []), Row(**{"run": values["id"], "attempt": 1, **(row or {})})]
        paths = self.grid.run(values["id"])
        make_dir(paths.dir)
        write_plain(paths.manifest, msgspec.json.encode(self.manifests[-1]))
        return paths

    def submit(self, **changes: Any) -> Submission:
        """Write submission and table."""
        common: dict[str, Any] = {
            "token": "grid-1",
            "grid_dir": str(self.grid.dir),
            "cwd": str(self.project),
            "listed": True,
            "preload": (),
            "timing": Timing(heartbeat_s=0.2, visible_s=2.0, warning_s=1.0),
        }
        submission = Submission(**{**common, **changes})
        write_atomic(self.submission.table, b"".join(msgspec.json.encode(row) + b"\n" for row in self.rows))
        write_atomic(self.submission.submission, msgspec.json.encode(submission))
        return submission

    def start(self, index: int = 0, *, code: str = "", **environ: str) -> subprocess.Popen[str]:
        """Start a worker; `code` runs in it first (faults are injected there)."""
        place = {} if "SLURM_JOB_ID" in environ else {"MRSWEEP_INDEX": str(index)}
        program = f"import sys\n{code}\nfrom orchestrator.worker.__main__ import main\nsys.exit(main(sys.argv[1:]))"
        how = ["-c", program] if code else ["-m", "orchestrator.worker"]
        worker = subprocess.Popen(
            [sys.executable, "-P", *how, str(self.submission.dir)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), **place, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.workers.append(worker)
        return worker

    def work(self, *, timeout_s: float = 60.0, **options: Any) -> int:
        """Run one worker to its end; return its exit code."""
        worker = self.start(**options)
        output, _ = worker.communicate(timeout=timeout_s)
        print(output)
        return worker.returncode

    def compute(self, code: str, *, entry: str = "entries:main", submit: Mapping[str, Any] | None = None, **values: Any) -> Ended:
        """Compute one run of an entry, and return how it ended."""
        self.write("entries.py", code)
        self.add(**({} if "command" in values else {"entry": entry}), **values)
        self.submit(**(submit or {}))
        self.work()
        return self.ended()[-1]

    def journal(self, index: int = 0, restart: int = 0) -> list[JournalLine]:
        return list(read_lines(self.submission.journal(index, restart), decode_journal_line))

    def lines(self) -> list[JournalLine]:
        """Return the lines of all workers."""
        journals = sorted(self.submission.dir.glob("worker-*.jsonl"), key=lambda path: path.stem)
        return [line for journal in journals for line in read_lines(journal, decode_journal_line)]

    def ended(self) -> list[Ended]:
        return [line for line in self.lines() if isinstance(line, Ended)]

    def attempt(self, place: int = 0, number: int = 1, restart: int = 0) -> AttemptPaths:
        return self.grid.run(self.manifests[place].id).attempt(number, restart)

    def log(self, place: int = 0) -> str:
        return self.attempt(place).log.read_text()

    def clean_up(self) -> None:
        """End the workers of this test; their guards end what they started."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
            worker.communicate()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    farm = Farm(tmp_path)
    yield farm
    farm.clean_up()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts real workers: too slow for every commit."""
    for item in items:
        if "farm" in getattr(item, "fixturenames", ()):
            item.add_marker("journey")
