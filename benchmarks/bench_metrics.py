"""Measures how fast the reports of many runs are read, and TensorBoard event files beside TensorBoard's own reader.

python -m benchmarks.bench_metrics history FOLDER RUNS STEPS     reads a grid, laid down where FOLDER is not there; prints JSON
python -m benchmarks.bench_metrics events FOLDER STEPS           reads an event file with both readers; prints JSON
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import REPEATS, ROOT, Figure, plain_environment
from orchestrator.metrics.event_scalars import read_scalars
from orchestrator.metrics.reading import read_history
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import State

METRICS = ("train/loss", "val/ssim", "val/psnr")
SIZES = ((10_000, 100, 3.5, 0.2, 700.0), (100_000, 20, 25.0, None, None))
"""Runs, steps, and the bars: cold [s], from the cache [s], memory [MB]."""
TEXTS = 50
EVENT_STEPS = (100, 20_000)


def metrics() -> Iterator[Figure]:
    """Time the reading of whole grids, each time in a fresh process, and of event files."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        for runs, steps, cold, warm, memory in SIZES:
            place = Path(folder, str(runs))
            lay_down(place, runs, steps)
            found = [_measured("history", str(place), str(runs), str(steps)) for _ in range(REPEATS if runs <= 10_000 else 2)]
            what = f"of {runs:,} runs x {steps} steps x {len(METRICS)} metrics"
            yield Figure(name=f"reports {what}, without the cache", values=tuple(each["cold_s"] for each in found), bar=cold)
            yield Figure(name="  from the cache", values=tuple(each["warm_s"] for each in found), bar=warm)
            yield Figure(name="  peak memory", values=tuple(each["peak_mb"] for each in found), unit="MB", bar=memory)
        for steps in EVENT_STEPS:
            both = [_measured("events", str(Path(folder, f"events-{steps}")), str(steps)) for _ in range(REPEATS)]
            name = f"event file of {len(METRICS)} x {steps:,} scalars"
            yield Figure(name=name, values=tuple(each["ours_s"] for each in both))
            share = tuple(each["ours_s"] / each["theirs_s"] for each in both)
            yield Figure(name="  share of the time of EventAccumulator", values=share, unit="", bar=0.2)


def _measured(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_metrics", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=plain_environment(), check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def records(runs: int) -> list[Record]:
    """Return the records of completed runs; ids are spread as hashes are."""
    attempts = (Attempt(number=1, state=State.COMPLETED),)
    ids = (f"{place * 0x9E3779B97F4A7C15 % 2**64:016x}" for place in range(runs))
    return [Record(id=run, state=State.COMPLETED, sha256=f"{place:064x}", attempts=attempts) for place, run in enumerate(ids)]


def lay_down(folder: Path, runs: int, steps: int) -> None:
    """Write what completed runs leave behind, as far as a reader meets it."""
    chance = random.Random(0)
    texts = ["".join(f"{json.dumps(_report(chance, step))}\n" for step in range(steps)) for _ in range(TEXTS)]
    paths = GridPaths(folder)
    for record in records(runs):
        attempt = paths.run(record.id).attempt(1)
        attempt.checkpoint.mkdir(parents=True)
        for path in (attempt.start, attempt.end, attempt.result, attempt.log, attempt.heartbeat):
            path.write_text("{}")
        attempt.metrics.write_text(chance.choice(texts))


def _report(chance: random.Random, step: int) -> dict[str, float]:
    return {**{name: chance.random() for name in METRICS}, "step": step}


def read_grid(folder: Path, runs: int) -> dict[str, float]:
    """Return how long a reading takes without the cache and with it, and the memory of both; numpy is loaded before."""
    import numpy  # noqa: F401 - its loading is no part of the reading

    paths, known = GridPaths(folder), records(runs)
    paths.reported.unlink(missing_ok=True)
    cold = _seconds(lambda: read_history(paths, known))
    warm = _seconds(lambda: read_history(paths, known))
    return {"cold_s": cold, "warm_s": warm, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def read_events(folder: Path, steps: int) -> dict[str, float]:
    """Return how long both readers take for the same file, written by a real writer; of each the best of three."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    if not folder.exists():
        with SummaryWriter(str(folder), max_queue=len(METRICS) * steps) as writer:
            for step in range(steps):
                for name in METRICS:
                    writer.add_scalar(name, random.random(), step)
    files = list(folder.iterdir())
    assert sum(len(series.steps) for series in read_scalars(files).values()) == len(METRICS) * steps

    def accumulate() -> None:
        EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()

    return {"ours_s": min(_seconds(lambda: read_scalars(files)) for _ in range(3)), "theirs_s": min(_seconds(accumulate) for _ in range(3))}


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Measure one thing in this process, and print it."""
    what, folder, *sizes = sys.argv[1:]
    runs = int(sizes[0])
    if what == "events":
        print(json.dumps(read_events(Path(folder), runs)))
        return
    if not Path(folder).exists():
        lay_down(Path(folder), runs, int(sizes[1]))
    print(json.dumps(read_grid(Path(folder), runs)))


if __name__ == "__main__":
    main()
