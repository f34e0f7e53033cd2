"""Memory and time of training the residual channel attention network, its groups computed twice or not, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.figures import ROOT, Figure, plain_environment

SMALL = {"groups": 1}
"""1.2 million weights: one of the four published groups."""
LARGE = {"groups": 15, "blocks": 4, "bottleneck": False}
"""32 million weights."""
ON_CPU = {"published": 64, "compared": 160}
"""Rows and columns of the images where there is no GPU. The second is as small as can be: activations have to outweigh the weights."""


def rcan() -> Iterator[Figure]:
    """Compare a network with itself, its groups computed twice, and so a large one with a small one of which all is kept."""
    kept, twice = (_step({}, ON_CPU["published"], *options) for options in ((), ("--recompute",)))
    yield Figure(name=f"training the published RCAN, {_size(kept)}: peak memory", values=(kept["peak_mb"],), unit="MB")
    yield Figure(name="  its groups computed twice", values=(twice["peak_mb"],), unit="MB")
    yield Figure(name="  time of such a step, by that of a plain one", values=(twice["seconds"] / kept["seconds"],), unit="×")
    small, large = _step(SMALL, ON_CPU["compared"]), _step(LARGE, ON_CPU["compared"], "--recompute")
    yield Figure(name=f"training RCAN, {_size(small)}: peak memory", values=(small["peak_mb"],), unit="MB")
    yield Figure(name=f"training RCAN, {_size(large)}, its groups computed twice", values=(large["peak_mb"],), unit="MB")
    yield Figure(name="  by that of the small one", values=(large["peak_mb"] / small["peak_mb"],), unit="×", bar=1.0)


def _step(network: dict[str, Any], on_cpu: int, *options: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.rcan_step", json.dumps(network), "--on-cpu", str(on_cpu), *options]
    # glibc then gives the memory of every tensor back at once (mallopt(3)): the peak is what was needed, not what lay about
    environment = plain_environment() | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _size(found: dict[str, float]) -> str:
    return f"{found['weights'] / 1e6:.1f} M weights, {found['side']:g} × {found['side']:g}"
