"""The report of 1,000 runs with three image panels: seconds and megabytes, of the page alone and of the whole command.

    python benchmarks/bench_report.py [--runs 1000] [--keep FOLDER]

The runs are written as workers leave them: 100 steps of five metrics each, and 20 steps of four pictures of 320 x 320.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run as a file: find the neighbours
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
import numpy as np
from PIL import Image

from benchmarks.figures import Figure, wall_s
from benchmarks.study import NAME, Study
from orchestrator.grid.manifest import read_manifests
from orchestrator.store.layout import AttemptPaths

STEPS = 100
PICTURES, PICTURE_STEPS, SIDE = ("reconstruction", "truth", "error", "mask"), 20, 320


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="make the study in this new folder, and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        print(json.dumps(measure(options.keep or Path(folder, "study"), options.runs, options.repeats), indent=2))


def report() -> Iterator[Figure]:
    """Time the report of 1,000 runs with three image panels, with nothing cached and again."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        found = measure(Path(folder, "study"), 1000, 3)
    yield Figure(name="report of 1,000 runs with pictures", values=(float(found["cold_s"]),), bar=10)
    yield Figure(name="  again", values=(float(found["warm_s"]),))
    yield Figure(name="  its page", values=(float(found["page_mb"]),), unit="MB", bar=15)


def measure(folder: Path, runs: int, repeats: int) -> dict[str, Any]:
    """Return seconds of the first report and of later ones, and the size of the page."""
    study = make_study(folder, runs)
    command = study.mrsweep("report", NAME, "-o", "report.html", "--limit", str(runs))
    took = [wall_s(command, cwd=study.folder, env=study.environment) for _ in range(repeats + 1)]
    size = (study.folder / "report.html").stat().st_size / 1e6
    return {"benchmark": "report", "runs": runs, "cold_s": round(took[0], 2), "warm_s": round(min(took[1:]), 2), "page_mb": round(size, 2)}


def make_study(folder: Path, runs: int) -> Study:
    """Return a study of completed runs with curves and pictures."""
    study = Study(folder)
    study.launch()
    study.finish()
    random.seed(1)
    pictures = {name: png(name) for name in PICTURES}
    for run in list(read_manifests(study.paths.manifest))[:runs]:
        attempt = study.paths.run(run).attempt(1)
        attempt.metrics.write_bytes(curves(random.random()))
        draw(attempt, pictures)
    return study


def curves(level: float) -> bytes:
    """Return metrics.jsonl of a run that gets better."""
    lines = []
    for step in range(1, STEPS + 1):
        rise = 1 - math.exp(-step / 20)
        noise = random.gauss(0, 0.01)
        values = {
            "val/ssim": 0.5 + 0.4 * level * rise + noise,
            "val/psnr": 20 + 12 * rise + noise,
            "val/nmse": 0.3 / (1 + step) + abs(noise),
        }
        lines.append(msgspec.json.encode({"step": step, "train/loss": 1.2 - rise + noise, "lr": 1e-3, **values}))
    return b"\n".join(lines) + b"\n"


def draw(attempt: AttemptPaths, pictures: dict[str, bytes]) -> None:
    """Link the same pictures into every run: what they show does not matter, how large they are does."""
    attempt.images.mkdir()
    for name, content in pictures.items():
        first = attempt.images / f"{name}-{1:06d}.png"
        first.write_bytes(content)
        for step in range(2, PICTURE_STEPS + 1):
            (attempt.images / f"{name}-{step:06d}.png").hardlink_to(first)


def png(name: str) -> bytes:
    """Return a picture as rich in detail as an image of a patient."""
    grain = np.random.default_rng(len(name)).normal(128, 40, (SIDE // 2, SIDE // 2))
    picture = Image.fromarray(np.uint8(np.clip(grain, 0, 255))).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    main()
