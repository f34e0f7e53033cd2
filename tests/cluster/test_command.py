"""Commands of the scheduler: their deadline, their environment, and their end when we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.cluster.command import Running, clean_environment, run_command
from orchestrator.store.errors import ClusterError

ROOT = Path(__file__).parents[2]
PATH = {"PATH": os.environ["PATH"]}


def wait_for(truth, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_command_says_is_returned():
    answer = run_command(["sh", "-c", "echo out; echo 'first line' >&2; echo more >&2; exit 3"], environment=PATH, deadline_s=10)
    assert (answer.code, answer.out, answer.ok, answer.complaint()) == (3, "out\n", False, "first line")


def test_a_command_that_does_not_answer_is_killed_at_its_deadline():
    answer = run_command(["sh", "-c", "echo half; exec sleep 60"], environment=PATH, deadline_s=0.3)
    assert (answer.code, answer.out, answer.complaint()) == (None, "half\n", "sh gave no answer in time")


def test_output_that_is_no_text_does_not_break_the_reading():
    assert "\ufffd" in run_command(["printf", r"\377"], environment=PATH, deadline_s=10).out


def test_a_command_that_is_not_there_names_the_way_out():
    with pytest.raises(ClusterError, match=r"squeue was not found.*--profile local"):
        run_command(["squeue"], environment={"PATH": "/nowhere"}, deadline_s=1)


LEAKS = [
    *("SLURM_JOB_ID", "SLURMD_NODENAME", "SBATCH_PARTITION", "SBATCH_ARRAY_INX", "SBATCH_REQUEUE", "SBATCH_EXPORT", "SLURM_CLUSTERS"),
    *("SQUEUE_STATES", "SQUEUE_FORMAT", "SACCT_FORMAT", "SACCT_FEDERATION", "SCANCEL_INTERACTIVE", "SCANCEL_STATE", "SINFO_FORMAT"),
    *("SCONTROL_ALL", "SRUN_DEBUG", "SALLOC_QOS", "MRSWEEP_INDEX", "SUBMITIT_EXECUTOR", "PYTHONINSPECT", "PYTHONSTARTUP"),
]


@pytest.mark.parametrize("name", LEAKS)
def test_what_an_enclosing_job_would_leak_is_left_out(name):
    kept = {"HOME": "/h", "SLURM_CONF": "/c", "SLURM_JWT": "t", "PYTHONPATH": "/lib"}
    assert clean_environment({name: "1", **kept}) == kept


def test_nothing_of_this_process_changes_when_a_command_runs():
    before = dict(os.environ)
    assert run_command(["env"], environment={"A": "1", **PATH}, deadline_s=10).out.splitlines()[0].startswith(("A=", "PATH="))
    assert dict(os.environ) == before


def test_a_command_dies_with_the_process_that_called_it(tmp_path):
    """kill -9 of launch must not leave an sbatch that submits behind the back of the next launch."""
    program = (
        "import os, sys; from orchestrator.cluster.command import run_command\n"
        "run_command(['sh', '-c', 'echo $$ > $1; exec sleep 60', 'sh', sys.argv[1]], environment=dict(os.environ), deadline_s=60)"
    )
    caller = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "pid")], cwd=ROOT)
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_commands_that_were_started_together_wait_at_the_same_time():
    began = time.monotonic()
    started = [Running(["sh", "-c", f"sleep 1; echo {number}"], environment=PATH) for number in range(8)]
    assert [one.answer(30).out for one in started] == [f"{number}\n" for number in range(8)]
    assert time.monotonic() - began < 8
