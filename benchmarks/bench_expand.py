"""Measures expand + schema validation + identity, without files: prints one JSON document.

    python benchmarks/bench_expand.py [--points 10000 100000] [--repeats 5]

Each size is measured in a process of its own: median and spread of the wall time, and the peak of its memory while the
points stream through, and while all manifests are kept in a list, as launch does.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SCHEMA = """
import msgspec

class Unet(msgspec.Struct, tag_field="kind", tag="unet", frozen=True, kw_only=True, forbid_unknown_fields=True):
    chans: int = 32
    pools: int = 4
    drop: float = 0.0

class Varnet(msgspec.Struct, tag_field="kind", tag="varnet", frozen=True, kw_only=True, forbid_unknown_fields=True):
    blocks: str = "IIVVVVVVVVVV"
    chans: int = 18
    pools: int = 4
    share_etas: bool = True

class Mask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str = "random"
    accelerations: tuple[int, ...] = (4,)
    center_fractions: tuple[float, ...] = (0.08,)
    seed: int | None = None

class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    root: str = "data"
    kind: str = "brain"
    scarcity: int = 0
    crop: int = 320
    cache: bool = False

class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str = "l1"
    weighting: str = "naive"
    temp: float = 2.0

class Optim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str = "adam"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    step: int = 40
    gamma: float = 0.1

class Train(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    epochs: int = 50
    batch: int = 1
    micro_batch: int = 1
    num_workers: int = 2
    clip: float = 1.0
    log_every: int = 10

class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: Unet | Varnet = Unet()
    mask: Mask = Mask()
    data: Data = Data()
    loss: Loss = Loss()
    optim: Optim = Optim()
    train: Train = Train()
    seed: int = 0
    deterministic: bool = True
"""

GRID = """
name: bench
entry: bench_schema:run
schema: bench_schema:Config
config: {{model: {{kind: varnet}}, train: {{epochs: 120, num_workers: 4}}, data: {{root: /data/knee}}}}
grid:
  model.blocks: [IIVVVVVVVVVV, IIYYYYYYYYYY]
  loss.weighting: [naive, uncertainty, dwa, fixed, none]
  data.scarcity: {{range: [0, 4]}}
  optim.lr: {{logspace: [0.00001, 0.01, 5]}}
  seed: {{range: [0, {seeds}]}}
runtime: [train.num_workers, train.micro_batch]
resources: {{gpus: 1, cpus: 2, mem_gb: {{by: data.kind, brain: 64, knee: 32}}, time_min: 240}}
"""
PRODUCT_OF_THE_OTHERS = 2 * 5 * 4 * 5  # 200


def measure(points: int, repeats: int, keep: bool) -> dict[str, float]:
    """Return seconds and megabytes for a grid of about `points` points, in this process."""
    sys.path.insert(0, str(ROOT))
    from orchestrator.grid.build import build_manifests
    from orchestrator.grid.schema import load_schema
    from orchestrator.grid.spec import read_spec

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bench_schema.py").write_text(SCHEMA)
        path = Path(folder, "grid.yaml")
        path.write_text(GRID.format(seeds=points // PRODUCT_OF_THE_OTHERS))
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        times, runs = [], 0
        for _ in range(repeats):
            started = time.perf_counter()
            spec = read_spec(path)
            manifests = build_manifests(spec, schema=load_schema(spec.schema or "", [folder]), version=1, resolve_need=lambda query: None)
            runs = len(list(manifests)) if keep else sum(1 for _ in manifests)
            times.append(time.perf_counter() - started)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    median = statistics.median(times)
    return {
        "runs": runs,
        "median_s": round(median, 4),
        "min_s": round(min(times), 4),
        "max_s": round(max(times), 4),
        "us_per_run": round(median / runs * 1e6, 2),
        "peak_mb": round(peak_mb, 1),
        "above_start_mb": round(peak_mb - before_mb, 1),
    }


def main() -> None:
    """Measure each size in a fresh process and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", choices=["yes", "no"], help="measure in this process, keeping the manifests or not")
    options = parser.parse_args()
    if options.keep:
        print(json.dumps(measure(options.points[0], options.repeats, options.keep == "yes")))
        return
    figures = {}
    for points in options.points:
        for keep in ("no", "yes"):
            command = [sys.executable, __file__, "--points", str(points), "--repeats", str(options.repeats), "--keep", keep]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures[f"{points}_{'kept' if keep == 'yes' else 'streamed'}"] = json.loads(answer)
    print(json.dumps({"benchmark": "expand", "python": sys.version.split()[0], "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
