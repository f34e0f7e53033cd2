"""Runs that are commands: shell scripts and programs that know nothing of mrsweep."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.grid.objective import Objective
from orchestrator.store.states import Cause, State
from orchestrator.worker.commands import prepare_argv, signal_number
from tests.worker.conftest import poll

TRAIN = """
import json, sys
out, rate = sys.argv[1], float(sys.argv[2])
with open(out + "/metrics.jsonl", "a") as stream:
    for step in range(4):
        stream.write(json.dumps({"step": step, "loss": rate / (step + 1)}) + "\\n")
"""


def test_a_plain_program_reports_through_a_file_and_never_through_a_shell(farm: Any) -> None:
    farm.write("train.py", TRAIN)
    odd = "$(touch pwned); `id` 'x' \n"
    command = ("python", "train.py", "$MRSWEEP_RUN_DIR", "0.5", odd)
    ended = farm.compute("", command=command, submit={"objective": Objective(name="loss", mode="min")})
    assert (ended.state, ended.best, ended.best_step, ended.last) == (State.COMPLETED, 0.125, 3, 0.125)
    assert not list(farm.project.glob("pwned*"))


def test_a_shell_script_finds_its_folder_config_and_checkpoint(farm: Any) -> None:
    script = """
    set -e
    cat "$MRSWEEP_CONFIG" > "$MRSWEEP_RUN_DIR/seen.json"
    echo "attempt $MRSWEEP_ATTEMPT resume ($MRSWEEP_RESUME_FROM) slurm ($SLURM_JOB_ID)"
    echo '{"step": 7, "q": NaN}' >> "$MRSWEEP_RUN_DIR/metrics.jsonl"
    echo '{"step": 8, "q": 0.5}' >> "$MRSWEEP_RUN_DIR/metrics.jsonl"
    touch "$MRSWEEP_CHECKPOINT_DIR/model"
    """
    farm.write("train.sh", script)
    ended = farm.compute("", command=("bash", "train.sh"), config={"a": {"b": 1}}, submit={"objective": Objective(name="q")})
    assert (ended.state, ended.best, ended.best_step) == (State.COMPLETED, 0.5, 8)
    assert json.loads((farm.attempt().dir / "seen.json").read_text()) == {"a": {"b": 1}}
    assert "attempt 1 resume () slurm ()" in farm.log()
    assert (farm.attempt().checkpoint / "model").exists()


@pytest.mark.parametrize(
    ("script", "objective", "cause", "message"),
    [
        ("exit 0", Objective(name="q"), Cause.SILENT_EXIT, "no finite q"),
        ('echo \'{"step": 1, "q": NaN}\' > $MRSWEEP_RUN_DIR/metrics.jsonl', Objective(name="q"), Cause.SILENT_EXIT, "no finite q"),
        ("echo some words; exit 3", None, Cause.ERROR, "exited with code 3: some words"),
        ("echo 'RuntimeError: CUDA out of memory. Tried to allocate 3 GB'; echo bye; exit 1", None, Cause.GPU_OOM, "CUDA out of memory"),
        ("python3 -c 'import no_such_module'", None, Cause.IMPORT_ERROR, "no_such_module"),
        ("kill -SEGV $$", None, Cause.ERROR, "SIGSEGV"),
    ],
)
def test_a_command_that_fails_is_judged_by_its_exit_and_its_log(
    farm: Any, script: str, objective: Objective | None, cause: Cause, message: str
) -> None:
    farm.write("train.sh", script)
    ended = farm.compute("", command=("sh", "train.sh"), submit={"objective": objective})
    assert (ended.state, ended.cause) == (State.FAILED, cause), ended.message
    assert message in ended.message


def test_a_command_that_ends_well_needs_no_metric_where_none_is_named(farm: Any) -> None:
    assert farm.compute("", command=("true",)).state is State.COMPLETED


def test_a_command_that_does_not_exist_is_told(farm: Any) -> None:
    ended = farm.compute("", command=("no-such-program", "x"))
    assert (ended.state, "no-such-program" in ended.message) == (State.FAILED, True)


@pytest.mark.parametrize(("name", "state"), [("USR1", State.INTERRUPTED), ("", State.INTERRUPTED)])
def test_a_command_is_warned_only_by_the_signal_that_it_names(farm: Any, name: str, state: State) -> None:
    script = """
    trap 'echo warned; touch "$MRSWEEP_RUN_DIR/warned"; exit 1' USR1
    touch "$MRSWEEP_RUN_DIR/ready"
    while :; do sleep 0.1; done
    """
    farm.write("train.sh", script)
    run = farm.add(command=("bash", "train.sh"))
    farm.submit(signal=name)
    worker = farm.start()
    poll((farm.attempt().dir / "ready").exists)
    worker.send_signal(signal.SIGUSR1)
    if not name:
        run.stop.write_text('{"wish": "requeue"}')  # it heard nothing, and is ended by a wish
    worker.wait(30)
    assert farm.ended()[0].state is state
    assert (farm.attempt().dir / "warned").exists() == bool(name)


def test_the_script_comes_from_the_snapshot_and_python_is_this_interpreter(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    (tmp_path / "sub").mkdir()
    snapshot = str(tmp_path / "train.py")
    table = [
        (("python", "train.py", "train.py"), [sys.executable, snapshot, "train.py"]),
        (("python3", "-u", "train.py"), [sys.executable, "-u", snapshot]),
        (("train.py",), [snapshot]),
        (("bash", "other.sh", "sub"), ["bash", "other.sh", "sub"]),
        (("torchrun", "--nproc", "2", "train.py"), ["torchrun", "--nproc", "2", snapshot]),
        (("python", "/abs/train.py", "../train.py", "", "x" * 5000), [sys.executable, "/abs/train.py", "../train.py", "", "x" * 5000]),
        (("run", "$MRSWEEP_A/$MRSWEEP_UNKNOWN", "$HOME"), ["run", "value/$MRSWEEP_UNKNOWN", "$HOME"]),
    ]
    for argv, expected in table:
        assert prepare_argv(argv, tmp_path, {"MRSWEEP_A": "value"}) == expected
    assert prepare_argv(("train.py",), None, {}) == ["train.py"]


def test_names_of_signals() -> None:
    assert [signal_number(name) for name in ("USR1", "sigterm", "", "NOPE")] == [signal.SIGUSR1, signal.SIGTERM, None, None]
