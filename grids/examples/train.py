"""Fit a line by gradient descent: a training script as anyone writes it, that appends what it measures to metrics.jsonl."""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path


def main() -> None:
    """Fit, and write one line {"step", "loss"} after each tenth step."""
    arguments = read_arguments()
    points = draw_points(random.Random(arguments.seed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    slope = offset = 0.0
    with open(arguments.out / "metrics.jsonl", "w") as metrics:
        for step in range(1, arguments.steps + 1):
            errors = [slope * x + offset - y for x, y in points]
            slope -= arguments.lr * sum(error * x for error, (x, _) in zip(errors, points, strict=True)) / len(points)
            offset -= arguments.lr * sum(errors) / len(points)
            if step % 10 == 0:
                loss = sum(error**2 for error in errors) / len(points)
                metrics.write(json.dumps({"step": step, "loss": loss}) + "\n")
                metrics.flush()


def read_arguments() -> argparse.Namespace:
    """Read the command line; by default the metrics go where mrsweep looks for them."""
    parser = argparse.ArgumentParser(description="Fit a line by gradient descent.")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("MRSWEEP_RUN_DIR", ".")), help="folder of metrics.jsonl")
    return parser.parse_args()


def draw_points(rng: random.Random) -> list[tuple[float, float]]:
    """Draw 50 points about the line y = 2 x - 1."""
    positions = [rng.uniform(-1, 1) for _ in range(50)]
    return [(x, 2 * x - 1 + rng.gauss(0, 0.1)) for x in positions]


if __name__ == "__main__":
    main()
