"""`make soak`: a thousand runs for twenty minutes and more, and a fault of the cluster every few seconds; prints how they ended."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.slurm.cluster import Cluster, entered
from tests.slurm.nemesis import Nemesis, struck
from tests.slurm.weekend import Campaign, Mix

KINDS = {
    "none": 760, "long": 4, "host_oom": 60, "gpu_oom": 60, "diverged": 24, "bug": 24, "bad_input": 20, "silent": 20, "killed": 14,
    "crash": 14,
}  # fmt: skip
MIX = Mix(kinds=KINDS, steps=20, pause_s=0.8, long_steps=100)
EVERY_S = 5.0
WITHIN_S = 7200.0


def soak(cluster: Cluster, folder: Path, seed: int) -> dict[str, object]:
    """Run the campaign; return its figures."""
    project, choice = Campaign(folder, cluster, MIX), random.Random(seed)
    began = time.monotonic()
    project.launch("--janitor")
    nemesis = Nemesis(cluster, project, may_cancel=project.is_well)
    with struck(nemesis, every_s=EVERY_S, choose=lambda _: choice.choice(nemesis.faults)):
        project.await_rest(within_s=WITHIN_S, show=lambda counts: print(f"{time.monotonic() - began:6.0f} s  {counts}", flush=True))
    records = list(project.records().runs.values())
    return {
        "runs": len(records),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "seed": seed,
        "faults": dict(Counter(nemesis.done)),
        "ends": dict(Counter(f"{record.state.value} {record.cause.value if record.cause else ''}".strip() for record in records)),
        "attempts": sum(len(record.attempts) for record in records),
        "bad ends": dict(Counter(end.cause.value for record in records for end in record.attempts if end.cause)),
        "wrong": project.wrong_ends(nemesis.cancelled),
        "two results": project.doubled(),
    }


def main(arguments: list[str]) -> int:
    """Start the cluster, soak it, and print the figures as JSON; the exit code is 1 when a run ended wrongly or twice."""
    seed = int(arguments[0]) if arguments else int(time.time())
    with entered() as cluster, tempfile.TemporaryDirectory(prefix="mrsweep-soak-") as folder:
        found = soak(cluster, Path(folder) / "a soak", seed)
    print(json.dumps(found, indent=2))
    return int(bool(found["wrong"] or found["two results"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
