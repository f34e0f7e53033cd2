"""A study of many runs on disk, laid down by the real launch, with Slurm's commands replaced by recorded answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.bench_expand import GRID, PRODUCT_OF_THE_OTHERS, SCHEMA
from benchmarks.figures import ROOT, plain_environment
from orchestrator.store.events import Arrived, Ended, Left, Started
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.store.states import State
from orchestrator.worker.outcome import End, Result, sha256
from orchestrator.worker.submission import Row

RECORDED = ROOT / "tests" / "recorded" / "slurm"
RUNS = 10_000
NAME = "bench"
METRICS = {"val/ssim": 0.912345, "val/psnr": 34.5, "val/nmse": 0.0123, "test/ssim": 0.904, "test/psnr": 34.1, "test/nmse": 0.0131}
OUTCOME: dict[str, Any] = {"metrics": METRICS, "best": 0.912345, "best_step": 40, "last": 0.91, "runtime_s": 60.0}


class Study:
    """A project with one grid of `runs`. `cluster`: use the real Slurm that SLURM_CONF names, not the recorded one."""

    def __init__(self, folder: Path, *, runs: int = RUNS, cluster: bool = False) -> None:
        folder.mkdir()
        self.folder = folder
        self.paths = GridPaths(folder / "runs" / NAME)
        self.environment = plain_environment()
        (folder / "bench_schema.py").write_text(SCHEMA + "\ndef run(config, run): return {}\n")
        grid = GRID.format(seeds=runs // PRODUCT_OF_THE_OTHERS).replace("mem_gb: {by: data.kind, brain: 64, knee: 32}", "mem_gb: 1")
        (folder / "grid.yaml").write_text(f"{grid.strip()}\npreload: []\nmetrics: {{objective: val/ssim, mode: max}}\n")
        if not cluster:
            self.environment["PATH"] = f"{self._stand_ins()}:{os.environ['PATH']}"

    def _stand_ins(self) -> Path:
        folder = self.folder / "bin"
        folder.mkdir()
        config = (RECORDED / "scontrol_config.txt").read_text() + (RECORDED / "scontrol_partition.txt").read_text()
        answers = {"scontrol": config, "sinfo": (RECORDED / "sinfo.txt").read_text(), "sbatch": "4711\n"}
        for command in ("scontrol", "sinfo", "sbatch", "squeue", "sacct", "sacctmgr", "scancel"):
            (folder / f"{command}.txt").write_text(answers.get(command, ""))
            (folder / command).write_text(f"#!/bin/sh\nexec cat '{folder / command}.txt'\n")
            (folder / command).chmod(0o755)
        return folder

    def launch(self, profile: str = "slurm-cpu") -> dict[str, float]:
        """Launch all runs; return the wall time, and how much of it each command and the manifests took [s]."""
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.timed", "launch", "grid.yaml", "--profile", profile, "--yes"],
            cwd=self.folder,
            env={**self.environment, "PYTHONPATH": str(ROOT)},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"the launch that was to be measured failed: {done.stderr}")
        wall = time.perf_counter() - began
        spent: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
        return {**spent, "wall": wall}

    def mrsweep(self, *arguments: str) -> list[str]:
        """Return the command line of a verb."""
        return [str(Path(sys.executable).with_name("mrsweep")), *arguments]

    def forget_reports(self) -> None:
        """Remove what was kept of the runs' reports."""
        for derived in (self.paths.reported, self.paths.shown):
            derived.unlink(missing_ok=True)

    def files_per_array(self) -> float:
        """Return how many files a submission has on disk."""
        folders = list(self.paths.submissions.iterdir())
        return sum(path.is_file() for folder in folders for path in folder.rglob("*")) / len(folders)

    def finish(self) -> None:
        """Write what workers leave behind when all runs completed, a task a run: journals and results."""
        for folder in self.paths.submissions.iterdir():
            for index, row in enumerate(self._rows(folder)):
                self._complete(SubmissionPaths(folder), index, row)

    def _rows(self, folder: Path) -> Iterator[Row]:
        return (msgspec.json.decode(line, type=Row) for line in SubmissionPaths(folder).table.read_bytes().splitlines())

    def _complete(self, submission: SubmissionPaths, index: int, row: Row) -> None:
        attempt = self.paths.run(row.run).attempt(row.attempt)
        attempt.dir.mkdir(parents=True)
        proof = msgspec.json.encode(Result(run=row.run, attempt=row.attempt, token=submission.dir.name, **OUTCOME))
        end = End(
            at=160.0,
            run=row.run,
            attempt=row.attempt,
            state=State.COMPLETED,
            sha256=sha256(proof),
            peak_mem_gb=1.5,
            host="node1",
            **OUTCOME,
        )
        attempt.end.write_bytes(msgspec.json.encode(end))
        attempt.result.write_bytes(proof)
        arrived = Arrived(at=99.0, host="node1", boot_id="b", pid=1, start_time=1.0, index=index)
        started = Started(at=100.0, run=row.run, attempt=row.attempt, token=submission.dir.name, index=index, host="node1", job_id="4711")
        lines = (arrived, started, msgspec.convert(end, Ended, from_attributes=True), Left(at=161.0, reason="computed its runs"))
        submission.journal(index).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
