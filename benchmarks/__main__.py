"""Measures all that has a bar, and more; prints the table and writes benchmarks/results/<date>-<host>.{json,md}.

    python -m benchmarks [--only expand launch status worker metrics summary many report live loader networks rcan] [--slurm]

--slurm also launches 10,000 runs on the Slurm that SLURM_CONF names, and cancels them. It must be the test cluster: its nodes
are drained meanwhile, as tasks that start would take the cores on which the launch is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.bench_live import live
from benchmarks.bench_loader import loader
from benchmarks.bench_metrics import metrics
from benchmarks.bench_networks import networks
from benchmarks.bench_rcan import rcan
from benchmarks.bench_report import report
from benchmarks.bench_summary import summary, summary_of_many
from benchmarks.figures import REPEATS, ROOT, Figure, as_text, machine, plain_environment, repeat, wall_s, write
from benchmarks.study import NAME, Study
from orchestrator import open as open_grid

MRSWEEP = str(Path(sys.executable).with_name("mrsweep"))
NO_OP_RUNS, WORKERS = 1_000, 8


def command_line() -> Iterator[Figure]:
    """Time what every command costs."""
    yield Figure(name="mrsweep --help", values=repeat(lambda: wall_s([MRSWEEP, "--help"]), 2 * REPEATS), bar=0.15)


def expand() -> Iterator[Figure]:
    """Time expansion, schema check and ids, without files; memory while all manifests are kept, as launch keeps them."""
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_expand.py"), "--repeats", str(REPEATS)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["figures"]
    for size, bar in (("10000", 0.3), ("100000", 3.0)):
        one = found[f"{size}_kept"]
        values = (one["min_s"], one["median_s"], one["max_s"])
        yield Figure(name=f"expand, validate, identify {int(size):,} configs", values=values, bar=bar)
    yield Figure(name="peak memory with 100,000 manifests", values=(found["100000_kept"]["peak_mb"],), unit="MB", bar=500)


def launch(*, cluster: bool = False) -> Iterator[Figure]:
    """Time the whole command, and apart what has a bar of its own or is not ours: expansion, manifest files, sbatch."""
    where = "on the Slurm test cluster" if cluster else "with recorded answers"
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        spent = [_launch_once(Path(folder, str(number)), cluster) for number in range(REPEATS + 1)][1:]

    def each(*less: str) -> tuple[float, ...]:
        return tuple(one["wall"] - sum(one.get(part, 0.0) for part in less) for one in spent)

    yield Figure(name=f"launch 10,000 runs {where}", values=each())
    yield Figure(name="  on top of sbatch, expansion and manifest files", values=each("sbatch", "expansion", "manifests"), bar=0.5)
    yield Figure(name="  its manifest files", values=tuple(one["manifests"] for one in spent), bar=1.0)
    yield Figure(name="  its sbatch", values=tuple(one["sbatch"] for one in spent))
    yield Figure(name="  files an array", values=tuple(one["files"] for one in spent), unit="", bar=5)


def _launch_once(folder: Path, cluster: bool) -> dict[str, float]:
    """Launch in a new folder. It is kept until the end: ext4 is slow to make files just after it deleted as many."""
    study = Study(folder, cluster=cluster)
    with drained() if cluster else nullcontext():
        spent = study.launch("slurm-test" if cluster else "slurm-cpu")
        files = study.files_per_array()
        if cluster:
            subprocess.run(study.mrsweep("cancel", NAME, "--yes"), cwd=study.folder, check=True, capture_output=True)
    return {**spent, "files": files}


@contextmanager
def drained() -> Iterator[None]:
    """Let no task start on any node of the test cluster."""
    update = ["scontrol", "update", "NodeName=ALL"]
    subprocess.run([*update, "State=DRAIN", "Reason=benchmark"], check=True)
    try:
        yield
    finally:
        subprocess.run([*update, "State=RESUME"], check=True)


def status() -> Iterator[Figure]:
    """Time `status` of 10,000 runs: waiting, ended and not yet recorded, ended and recorded."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        study = Study(Path(folder, "study"))
        study.launch()
        command = study.mrsweep("status", NAME)

        def measure() -> float:
            return wall_s(command, cwd=study.folder, env=study.environment)

        yield Figure(name="status of 10,000 queued runs", values=repeat(measure), bar=0.7)
        study.finish()
        yield Figure(name="status of 10,000 ended runs, nothing recorded", values=repeat(measure), bar=0.7)
        recording = wall_s(study.mrsweep("watch", NAME, "--once"), cwd=study.folder, env=study.environment)
        yield Figure(name="watch --once that records 10,000 ends", values=(recording,))
        yield Figure(name="status of 10,000 recorded runs", values=repeat(measure), bar=0.7)
        grid = open_grid(study.paths.dir)
        yield Figure(name="  in memory, from Python", values=repeat(lambda: _seconds(grid.status)))
        summary = study.mrsweep("summary", NAME, "-o", "summary.csv")
        yield Figure(name="summary.csv of 10,000 runs", values=repeat(lambda: wall_s(summary, cwd=study.folder, env=study.environment)))


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def worker() -> Iterator[Figure]:
    """Time 1,000 runs that do nothing, on 8 workers of this machine: from launch to the last end."""
    took = repeat(_no_op_runs)
    yield Figure(name=f"{NO_OP_RUNS:,} no-op runs on {WORKERS} workers", values=took)
    cores = min(WORKERS, len(os.sched_getaffinity(0)))
    per_run = tuple(1000 * cores * seconds / NO_OP_RUNS for seconds in took)
    yield Figure(name="  core time a run", values=per_run, unit="ms")


def _no_op_runs() -> float:
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as name:
        folder = Path(name)
        (folder / "entry.py").write_text("def run(config, run):\n    return {}\n")
        text = f"name: noop\nentry: entry:run\npreload: []\ngrid: {{x: {{range: [0, {NO_OP_RUNS}]}}}}\n"
        (folder / "grid.yaml").write_text(f"{text}resources: {{gpus: 0, mem_gb: 1, max_parallel: {WORKERS}}}\n")
        (folder / "bench.sh").write_text(f"#MRSWEEP scheduler=local workers={WORKERS}\n")
        began = time.perf_counter()
        command = [MRSWEEP, "launch", "grid.yaml", "--profile", "./bench.sh", "--yes"]
        subprocess.run(command, cwd=folder, env=plain_environment(), check=True, stdout=subprocess.DEVNULL)
        journals = folder / "runs" / "noop" / "submissions"
        while sum(path.read_bytes().count(b'"t":"left"') for path in journals.glob("*/worker-*.jsonl")) < WORKERS:
            time.sleep(0.05)
        took = time.perf_counter() - began
        done = len(list((folder / "runs" / "noop").glob("??/*/attempt-1/result.json")))
        assert done == NO_OP_RUNS, f"{done} of {NO_OP_RUNS} runs completed"
        return took


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "help": command_line,
    "expand": expand,
    "launch": launch,
    "status": status,
    "worker": worker,
    "metrics": metrics,
    "summary": summary,
    "many": summary_of_many,
    "report": report,
    "live": live,
    "loader": loader,
    "networks": networks,
    "rcan": rcan,
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts only, and write nothing")
    parser.add_argument("--slurm", action="store_true", help="also launch on the Slurm that SLURM_CONF names")
    options = parser.parse_args()
    parts = [PARTS[name] for name in options.only or PARTS]
    if options.slurm:
        parts.append(lambda: launch(cluster=True))
    about = machine()
    figures = []
    for part in parts:
        for figure in part():
            print("  ".join(figure.row), flush=True)
            figures.append(figure)
    print(f"\n{as_text(figures)}\n")
    if not options.only:
        print(f"written to {write(figures, ROOT / 'benchmarks' / 'results', about)}")
    sys.exit(any(figure.verdict == "MISSED" for figure in figures))


if __name__ == "__main__":
    main()
