"""All 990 runs of a published mask grid, one epoch each, while workers die, nodes vanish and runs outgrow their memory.

`python -m tests.slurm.big_grid [SEED]` prints its figures; docs/results.md has them.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.slurm.cluster import Cluster, entered
from tests.slurm.nemesis import Nemesis, struck
from tests.slurm.shipped_study import Clone

STUDY = "mask_fixed_digits"
HUNGRY = 30
"""One run of so many needs more memory than the grid asks for."""
ENTRY = f"""
from models.training import train as plain

def train(config, run):
    if int(run.id[:4], 16) % {HUNGRY} == 0:
        kept = b"x" * (1300 * 2**20)
    return plain(config, run)
"""
EVERY_S = 10.0


def compute(cluster: Cluster, folder: Path, *, seed: int, within_s: float) -> dict[str, object]:
    """Launch the grid, look after it by its janitor alone, and return its figures. seed: of the order of faults."""
    clone, choice = Clone(folder, cluster), random.Random(seed)
    clone.write("models/hungry.py", ENTRY)
    began = time.monotonic()
    clone.compute(STUDY, "--set", "entry=models.hungry:train", "--janitor")
    nemesis = Nemesis(cluster, clone)
    rare = (nemesis.node_is_lost, nemesis.jobs_are_preempted, nemesis.controller_dies, nemesis.admin_requeues)
    faults = (*rare, *[nemesis.worker_is_killed] * len(rare))
    with struck(nemesis, every_s=EVERY_S, choose=lambda _: choice.choice(faults)):
        clone.await_rest(within_s=within_s)
    seconds = time.monotonic() - began
    records = list(clone.records().runs.values())
    ends = [attempt for record in records for attempt in record.attempts]
    memory = [attempt.peak_mem_gb for attempt in ends if not attempt.cause]
    return {
        "runs": len(records),
        "seconds": round(seconds),
        "seed": seed,
        "faults": dict(Counter(nemesis.done)),
        "states": dict(Counter(record.state.value for record in records)),
        "attempts": len(ends),
        "bad ends": dict(Counter(attempt.cause.value for attempt in ends if attempt.cause)),
        "two results": clone.doubled(),
        "rows": len(clone.rows()),
        "host memory of a run [GB]": {"median": statistics.median(memory), "most": max(memory)},
    }


def main(arguments: list[str]) -> int:
    """Start the cluster, run the grid on it, and print the figures as JSON."""
    with entered() as cluster, tempfile.TemporaryDirectory(prefix="mrsweep-big-grid-") as folder:
        found = compute(cluster, Path(folder) / "a clone", seed=int(arguments[0]) if arguments else 1, within_s=3600)
    print(json.dumps(found, indent=2))
    return int(found["states"] != {"completed": found["runs"]} or bool(found["two results"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
