"""Measures the live view of 10,000 runs: what a look costs, and how long a key waits while one goes on.

python -m benchmarks.bench_live
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, as_text, repeat
from benchmarks.study import NAME, Study
from orchestrator.cli.main import FEW_COLLECTIONS
from orchestrator.cli.spoken import spoken
from orchestrator.live.app import LiveView
from orchestrator.live.listing import RowList
from orchestrator.live.reading import GridReader
from orchestrator.live.view import Wish, make_view
from orchestrator.store.events import Arrived, Started
from orchestrator.store.layout import SubmissionPaths
from orchestrator.worker.telemetry import Heartbeat

REFRESH_BAR_S = 0.3
KEY_BAR_S = 0.1
RUNNING = 200
"""Runs that compute; a grid seldom gets more at once."""
KEYS = 60
WORDS = spoken()._replace(user=lambda: "nobody")


def live() -> Iterator[Figure]:
    """Time a refresh of 10,000 runs as they wait, as some compute, as all have ended, and keys meanwhile."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        gc.set_threshold(*FEW_COLLECTIONS)  # as the command line does
        study = _launched(Path(folder, "computing"))
        begin(study, RUNNING)
        yield Figure(name=f"live: refresh of 10,000 runs, {RUNNING} of them computing", values=refreshes(study), bar=REFRESH_BAR_S)
        yield Figure(name="live: a key while a look goes on", values=asyncio.run(keys(study)), bar=KEY_BAR_S)
        study = _launched(Path(folder, "ended"))
        yield Figure(name="live: refresh of 10,000 queued runs", values=refreshes(study), bar=REFRESH_BAR_S)
        study.finish()
        yield Figure(name="live: refresh of 10,000 ended runs, nothing recorded", values=refreshes(study))
        subprocess.run(study.mrsweep("watch", NAME, "--once"), cwd=study.folder, env=study.environment, check=True, capture_output=True)
        yield Figure(name="live: refresh of 10,000 recorded runs", values=refreshes(study), bar=REFRESH_BAR_S)


def _launched(folder: Path) -> Study:
    """Return a study of 10,000 runs; this process works in its folder, and recorded answers speak for Slurm."""
    study = Study(folder)
    study.launch()
    os.environ["PATH"] = study.environment["PATH"]
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    os.chdir(folder)
    return study


def refreshes(study: Study) -> tuple[float, ...]:
    """Return how long looks take that follow the first one: from the disk to rows that are ready to be shown."""
    reader = GridReader(study.paths)

    def refresh() -> float:
        return _seconds(lambda: _refresh(reader))

    return repeat(refresh)


def _refresh(reader: GridReader) -> None:
    sight = reader.look()
    view = make_view(reader, sight, Wish(), WORDS)
    reader.glimpses.of(sight.records.get(line.id) for line in view.lines[:40])


async def keys(study: Study) -> tuple[float, ...]:
    """Return how long it takes from a key to the cursor on its new row, while the view looks without a rest."""
    import orchestrator.live.runs_screen as screen

    screen.REFRESH_S, screen.SHARE = 0.0, 0
    took = []
    async with LiveView(study.paths.dir.parent, WORDS, reader=GridReader(study.paths)).run_test(size=(80, 24)) as pilot:
        rows = pilot.app.screen.query_one(RowList)
        while not rows.visible_rows:
            await pilot.pause(0.05)
        for _ in range(KEYS):
            began, before = time.perf_counter(), rows.cursor
            await pilot.press("down")
            assert rows.cursor == before + 1
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
    return tuple(took)


def begin(study: Study, count: int) -> None:
    """Write what workers of the first runs leave that compute now: a journal, a heartbeat, 100 reports."""
    begun = 0
    for folder in study.paths.submissions.iterdir():
        submission = SubmissionPaths(folder)
        for index, row in enumerate(study._rows(folder)):
            if begun == count:
                return
            attempt = study.paths.run(row.run).attempt(row.attempt)
            attempt.dir.mkdir(parents=True, exist_ok=True)
            attempt.metrics.write_text("".join(f'{{"step": {step}, "val/ssim": {step / 101}, "loss": 0.5}}\n' for step in range(100)))
            attempt.heartbeat.write_bytes(msgspec.json.encode(Heartbeat(counter=1, at=time.time(), pss_gb=3.0, cpu_s=1.0)))
            started = Started(at=time.time(), run=row.run, attempt=row.attempt, token=folder.name, index=index, host="node1", job_id="4711")
            arrived = Arrived(at=time.time(), host="node1", boot_id="b", pid=1, start_time=1.0, index=index)
            submission.journal(index).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (arrived, started)))
            begun += 1


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    measured = list(live())
    print(as_text(measured))
    sys.exit(any(figure.verdict == "MISSED" for figure in measured))
