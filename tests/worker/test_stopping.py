"""Warnings, wishes, restarts and violent ends, with real signals and real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.store.files import make_dir
from orchestrator.store.states import Cause, State
from orchestrator.worker.claim import StartFile, Wish
from orchestrator.worker.submission import Timing
from orchestrator.worker.telemetry import Heartbeat
from tests.worker.conftest import is_alive, poll

PATIENT = """
import os, time
def main(config, run):
    step = int((run.resume_from / "step").read_text()) if run.resume_from else 0
    (run.dir / "pid").write_text(str(os.getpid()))
    while step < 10 or config.get("forever"):
        step += 1
        run.report(step, q=step / 10)
        if step >= 3 and not run.resume_from and run.stop_requested:
            (run.checkpoint_dir / "step").write_text(str(step))
            raise run.Interrupted
        time.sleep(0.05 if not run.resume_from else 0)
    return {"steps": step}
"""

DEAF = """
import os, subprocess, time
def main(config, run):
    child = subprocess.Popen(["sleep", "600"])
    (run.dir / "pids").write_text(f"{os.getpid()} {child.pid}")
    try:
        time.sleep(600)
    finally:
        (run.dir / "unwound").touch()
"""


def begin(farm: Any, code: str, config: dict[str, Any] | None = None, **environ: str) -> Any:
    """Start a worker on one run of `code`; return the worker's process."""
    farm.write("entries.py", code)
    farm.add(entry="entries:main", config=config or {"forever": True})
    farm.submit()
    worker = farm.start(**environ)
    poll(lambda: farm.attempt().metrics.exists() or (farm.attempt().dir / "pids").exists())
    return worker


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM])
def test_a_warned_run_saves_its_checkpoint_and_is_interrupted(farm: Any, number: int) -> None:
    worker = begin(farm, PATIENT)
    poll(lambda: farm.attempt().metrics.read_text().count("\n") > 3)
    worker.send_signal(number)
    worker.wait(20)
    (ended,) = farm.ended()
    assert (ended.state, ended.cause) == (State.INTERRUPTED, Cause.PREEMPTED)
    assert (farm.attempt().checkpoint / "step").exists()
    assert worker.returncode == 0


def test_a_warning_near_the_end_of_the_task_is_its_time_limit(farm: Any) -> None:
    worker = begin(farm, PATIENT, SLURM_JOB_ID="5", SLURM_JOB_END_TIME=str(int(time.time() + 30)))
    worker.send_signal(signal.SIGUSR1)
    worker.wait(20)
    assert farm.ended()[0].cause is Cause.TIMEOUT


def test_a_restarted_task_continues_as_attempt_1_1_from_its_checkpoint_and_a_third_start_finds_it_done(farm: Any) -> None:
    task = {"SLURM_JOB_ID": "5", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "0"}
    slow = PATIENT.replace("0.05", "0.5")
    worker = begin(farm, slow, config={"n": 1}, **task)
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    farm.work(**task, SLURM_RESTART_COUNT="1")
    farm.work(**task, SLURM_RESTART_COUNT="2")
    first, second = farm.ended()
    assert [(first.attempt, first.restart), (second.attempt, second.restart)] == [(1, 0), (1, 1)]
    assert (first.state, second.state, second.metrics) == (State.INTERRUPTED, State.COMPLETED, {"steps": 10})
    start = msgspec.json.decode(farm.attempt(restart=1).start.read_bytes(), type=StartFile)
    assert (start.resume, start.restart) == ("attempt-1", 1)
    assert farm.journal(0, restart=2)[-1].reason == "nothing left to compute"


def test_a_task_killed_without_warning_is_continued_by_its_restart(farm: Any) -> None:
    task = {"SLURM_JOB_ID": "5", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "0"}
    worker = begin(farm, PATIENT.replace("0.05", "0.3"), config={"n": 1}, **task)
    worker.kill()
    worker.wait()
    farm.work(**task, SLURM_RESTART_COUNT="1")
    assert [(ended.restart, ended.state) for ended in farm.ended()] == [(1, State.COMPLETED)]


@pytest.mark.parametrize(
    ("wish", "state", "cause"), [("cancel", State.CANCELLED, Cause.CANCELLED), ("prune", State.CANCELLED, Cause.CANCELLED)]
)
def test_a_wish_ends_a_run_that_listens_to_nothing(farm: Any, wish: str, state: State, cause: Cause) -> None:
    worker = begin(farm, DEAF)
    farm.grid.run(farm.manifests[0].id).stop.write_bytes(msgspec.json.encode({"wish": wish, "by": "a"}))
    worker.wait(20)
    (ended,) = farm.ended()
    assert (ended.state, ended.cause) == (state, cause)
    assert (farm.attempt().dir / "unwound").exists()
    assert not any(is_alive(int(pid)) for pid in (farm.attempt().dir / "pids").read_text().split())


def test_a_requeue_wish_interrupts_and_the_other_runs_of_the_worker_go_on(farm: Any) -> None:
    farm.write("entries.py", PATIENT)
    farm.add(entry="entries:main", config={"forever": True})
    farm.add(entry="entries:main", config={"n": 2})
    farm.submit()
    worker = farm.start()
    poll(farm.attempt().metrics.exists)
    farm.grid.run(farm.manifests[0].id).stop.write_bytes(msgspec.json.encode(Wish(wish="requeue", by="a")))
    worker.wait(20)
    assert [ended.state for ended in farm.ended()] == [State.INTERRUPTED, State.COMPLETED]


def test_a_terminated_worker_ends_cancelled_what_somebody_cancelled(farm: Any) -> None:
    worker = begin(farm, DEAF)
    farm.grid.run(farm.manifests[0].id).stop.write_bytes(msgspec.json.encode(Wish(wish="cancel")))
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    assert [ended.state for ended in farm.ended()] == [State.CANCELLED]


def test_a_newer_attempt_fences_the_older_one(farm: Any) -> None:
    worker = begin(farm, PATIENT)
    make_dir(farm.attempt(number=2).dir)
    worker.wait(20)
    (ended,) = farm.ended()
    assert (ended.attempt, ended.state, ended.cause) == (1, State.INTERRUPTED, Cause.LOST)


def test_worker_that_was_taken_over_begins_no_further_run(farm: Any) -> None:
    """Its node counts as lost; another worker of the same list computes, and whatever this one took would be taken from it."""
    farm.write("entries.py", PATIENT)
    for seed in (1, 2):
        farm.add(entry="entries:main", config={"forever": True, "seed": seed})
    farm.submit()
    worker = farm.start()
    poll(lambda: farm.attempt().metrics.exists())
    make_dir(farm.attempt(number=2).dir)
    worker.wait(20)
    assert len(farm.ended()) == 1
    assert not farm.attempt(1).dir.exists()


def test_an_exception_after_the_warning_counts_as_the_warning(farm: Any) -> None:
    code = """
    import time
    def main(config, run):
        run.report(0)
        while not run.stop_requested:
            time.sleep(0.01)
        raise RuntimeError("DataLoader worker (pid 17) is killed by signal: Terminated.")
    """
    worker = begin(farm, code)
    worker.send_signal(signal.SIGUSR1)
    worker.wait(20)
    (ended,) = farm.ended()
    assert (ended.state, ended.cause) == (State.INTERRUPTED, Cause.PREEMPTED)
    assert "DataLoader worker" in ended.message


def test_a_run_that_completes_after_the_warning_is_complete(farm: Any) -> None:
    worker = begin(farm, "import time\ndef main(config, run):\n    run.report(0)\n    time.sleep(0.5)\n    return {'n': 1}")
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    assert farm.ended()[0].state is State.COMPLETED


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_killed_worker_leaves_no_process(farm: Any, start: str) -> None:
    farm.write("entries.py", DEAF)
    farm.write("tree.sh", "sh -c 'echo $$ > \"$MRSWEEP_RUN_DIR/pids\"; sleep 600' &\nwait\n")
    farm.add(entry="entries:main")
    farm.add(command=("sh", "tree.sh"))
    farm.submit(start=start, pack={"per_task": 2, "per_gpu": 2})
    worker = farm.start()
    files = [farm.attempt(place).dir / "pids" for place in range(2)]
    pids = [int(pid) for file in files for pid in poll(lambda file=file: file.exists() and file.read_text().split())]
    assert all(is_alive(pid) for pid in pids)
    worker.kill()
    poll(lambda: not any(is_alive(pid) for pid in pids), timeout_s=5)


def test_the_heartbeat_tells_step_memory_and_processor_time(farm: Any) -> None:
    worker = begin(farm, PATIENT)
    first = poll(lambda: farm.attempt().heartbeat.exists() and msgspec.json.decode(farm.attempt().heartbeat.read_bytes(), type=Heartbeat))
    later = poll(
        lambda: (beat := msgspec.json.decode(farm.attempt().heartbeat.read_bytes(), type=Heartbeat)).counter > first.counter + 2 and beat
    )
    assert later.step > 0
    assert later.metrics_bytes > 0
    assert later.pss_gb > 0
    worker.send_signal(signal.SIGTERM)


def test_a_run_that_hangs_in_its_exit_is_complete_and_does_not_hold_the_worker(farm: Any) -> None:
    code = """
    import threading, time
    def main(config, run):
        threading.Thread(target=time.sleep, args=(600,)).start()
        return {"n": 1}
    """
    farm.write("entries.py", code)
    farm.add(entry="entries:main")
    farm.submit(timing=Timing(heartbeat_s=0.1, visible_s=1.0, warning_s=0.5))
    assert farm.work(timeout_s=20) == 0
    assert farm.ended()[0].state is State.COMPLETED


def test_what_a_run_leaves_behind_dies_with_it(farm: Any) -> None:
    code = """
    import subprocess
    def main(config, run):
        return {"pid": subprocess.Popen(["sleep", "600"]).pid}
    """
    assert not is_alive(int(farm.compute(code).metrics["pid"]))


def test_signals_to_the_workers_own_process_group_reach_runs_only_as_warnings(farm: Any) -> None:
    worker = begin(farm, PATIENT)
    child = int((farm.attempt().dir / "pid").read_text())
    assert os.getpgid(child) == child != os.getpgid(worker.pid)
    os.kill(child, signal.SIGTERM)  # Slurm signals every process of a task
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    assert farm.ended()[0].state is State.INTERRUPTED
    assert Path(farm.attempt().checkpoint / "step").exists()
