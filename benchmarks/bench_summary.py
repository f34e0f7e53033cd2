"""Times summary of 10,000 runs with 100 reports each, and of 100,000 with 20: cold, warm, and its memory.

The grids are laid down by the real launch.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, repeat, wall_s
from benchmarks.study import METRICS, NAME, RUNS, Study

STEPS = 100
MANY_RUNS, FEW_STEPS = 100_000, 20
_VARIANTS = 64
"""Different curves; each run has one of them."""

FORMS: dict[str, tuple[str, ...]] = {
    "summary.csv": ("-o", "summary.csv"),
    "printed": (),
    "summary.json": ("-o", "summary.json"),
    "groups over seeds, csv": ("--by", "model.blocks,loss.weighting,data.scarcity,optim.lr", "--over", "seed", "-o", "groups.csv"),
    "best per group, csv": ("--best", "val/ssim", "--per", "model.blocks,loss.weighting", "-o", "best.csv"),
}
WARM_S, COLD_S, COLD_MANY_S, PEAK_MB = 0.7, 5.0, 30.0, 1000.0


def summary() -> Iterator[Figure]:
    """Time each table; the warm table of runs, the cold one and its memory have bars."""
    with laid_down(RUNS, STEPS) as study:
        yield from measure(study)


def summary_of_many() -> Iterator[Figure]:
    """Time the table of a hundred thousand runs."""
    with laid_down(MANY_RUNS, FEW_STEPS) as study:
        yield Figure(
            name=f"summary.csv of {MANY_RUNS:,} runs × {FEW_STEPS} steps, nothing cached",
            values=repeat(lambda: cold_s(study)),
            bar=COLD_MANY_S,
        )
        yield Figure(name="  its peak memory", values=(_peak_mb(study, "-o", "summary.csv"),), unit="MB")
        yield Figure(name="  cached", values=repeat(lambda: summary_s(study, "-o", "summary.csv")))


@contextmanager
def laid_down(runs: int, steps: int) -> Iterator[Study]:
    """Yield a study whose runs have all reported and completed."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        study = Study(Path(folder, "study"), runs=runs)
        study.launch()
        study.finish()
        report(study, steps)
        subprocess.run(study.mrsweep("watch", NAME, "--once"), cwd=study.folder, env=study.environment, check=True, capture_output=True)
        yield study


def report(study: Study, steps: int = STEPS) -> None:
    """Write the metrics.jsonl of every run."""
    texts = [_reports(random.Random(variant), steps) for variant in range(_VARIANTS)]
    for place, proof in enumerate(sorted(study.paths.dir.glob("??/*/attempt-1/result.json"))):
        proof.with_name("metrics.jsonl").write_bytes(texts[place % _VARIANTS])


def _reports(draw: random.Random, steps: int) -> bytes:
    def value(name: str, step: int) -> str:
        return f'"{name}":{METRICS[name] * (1 - 0.5 / step) + draw.gauss(0, 0.001)!r}'

    lines = (f'{{"step":{step},{",".join(value(name, step) for name in METRICS)}}}\n' for step in range(1, steps + 1))
    return "".join(lines).encode()


def measure(study: Study) -> Iterator[Figure]:
    """Time the commands on a study that has reported."""
    yield Figure(name=f"summary.csv of {RUNS:,} runs × {STEPS} steps, nothing cached", values=repeat(lambda: cold_s(study)), bar=COLD_S)
    yield Figure(name="  its peak memory", values=(_peak_mb(study, "-o", "summary.csv"),), unit="MB", bar=PEAK_MB)
    for name, options in FORMS.items():
        bar = WARM_S if name == "summary.csv" else None
        yield Figure(name=f"  cached: {name}", values=repeat(lambda options=options: summary_s(study, *options)), bar=bar)
    yield Figure(name="  cached: one row a step, csv", values=(summary_s(study, "--long", "-o", "long.csv"),))
    yield Figure(name="  its peak memory", values=(_peak_mb(study, "--long", "-o", "long.csv"),), unit="MB", bar=PEAK_MB)


def summary_s(study: Study, *options: str) -> float:
    """Return the wall time of a summary [s]."""
    return wall_s(_command(study, options), cwd=study.folder, env=study.environment)


def cold_s(study: Study) -> float:
    """Return the wall time of a table of runs of which nothing is kept [s]."""
    study.forget_reports()
    return summary_s(study, "-o", "summary.csv")


def _peak_mb(study: Study, *options: str) -> float:
    """Return the most memory that a summary held, measured in a process of its own."""
    program = f"import resource, subprocess; subprocess.run({_command(study, options)!r}, check=True, stdout=subprocess.DEVNULL)\n"
    program += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=study.folder, env=study.environment, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def _command(study: Study, options: Sequence[str]) -> list[str]:
    return study.mrsweep("summary", NAME, *options)
