"""The script that sbatch gets: compared with a recorded one, and free of the user's text."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.cluster.command import Answer
from orchestrator.cluster.executor import ArrayExecutor
from orchestrator.cluster.options import grant
from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest
from orchestrator.store.errors import InputError, SubmitUnknown

RECORDED = Path(__file__).parents[1] / "recorded" / "slurm"
PROFILE = "#SBATCH --partition=gpu --exclusive\n#SBATCH -C 'a100|h100'\nmodule load cuda\n#MRSWEEP warning_s=90 gpu_type=a100\n"


def request(folder=Path("/runs/mtl_knee/submissions/mtl_knee-4f2a"), **changes):
    command = ("/opt/venv/bin/python", "-P", "-m", "orchestrator.worker", str(folder))
    resources = Resources(gpus=1, cpus=4, mem_gb=31.5, time_min=90.5, sbatch=(("qos", "long"),))
    values = {"token": "mtl_knee-4f2a", "tasks": 40, "throttle": 9, "folder": folder, "command": command, "resources": resources}
    return ArrayRequest(**(values | changes))


def executor(asked=None, profile=PROFILE):
    asked = asked or request()
    read = parse_profile(profile, name="p", path="p.sh")
    return ArrayExecutor(asked, options=grant(read, asked.resources)[0], setup=read.setup, warning_s=read.warning_s)


def lines(**changes):
    return executor(request(**changes)).text().splitlines()


def test_the_script_is_the_recorded_one():
    assert executor().text() == (RECORDED / "script.sh").read_text()


def test_a_task_on_two_nodes_is_started_by_srun():
    assert executor(request(resources=Resources(nodes=2, cpus=3, time_min=5))).text() == (RECORDED / "script_two_nodes.sh").read_text()


@pytest.mark.parametrize(("tasks", "throttle", "array"), [(1, 1, "0-0%1"), (3, 9, "0-2%3"), (1001, 64, "0-1000%64")])
def test_one_task_is_an_array_too(tasks, throttle, array):
    assert f"#SBATCH --array={array}" in lines(tasks=tasks, throttle=throttle)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "#SBATCH --dependency=singleton"),
        ({"after": ("12", "13")}, "#SBATCH --dependency=afterok:12:13,singleton"),
        ({"begin_in_s": 600}, "#SBATCH --begin=now+600"),
    ],
)
def test_what_a_request_waits_for_is_in_the_script(changes, line):
    assert line in lines(**changes)


@pytest.mark.parametrize("after", ["x", "1;id", "1\n#SBATCH --uid=0", "-1", ""])
def test_an_id_to_wait_for_that_is_none_is_refused(after):
    with pytest.raises(InputError, match="not the id of a job"):
        executor(request(after=(after,)))


@pytest.mark.parametrize("name", ["it's mine", 'a "b" c', "100% %a $(touch owned) `id`", "\u00fc\u4e2d"])
def test_bash_reads_an_odd_path_as_one_word(name, tmp_path):
    folder = tmp_path / name
    script = executor(request(folder=folder, command=("printf", "%s", str(folder)))).text().replace("module load cuda", "")
    done = subprocess.run(["bash"], input=script, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == str(folder)
    assert not (tmp_path / "owned").exists()


def test_what_is_submitted_is_the_preview_byte_for_byte_and_nothing_else_is_left(tmp_path):
    asked = request(folder=tmp_path)
    calls = []
    job = executor(asked).submit_with(lambda argv: calls.append(argv) or Answer(command="sbatch", code=0, out="77;alpha\n", err=""))
    assert job == ("77", "alpha")
    assert calls == [["sbatch", "--parsable", str(tmp_path / "script.sh")]]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"script.sh": executor(asked).text()}


@pytest.mark.parametrize(("out", "job"), [("77\n", ("77", "")), ("Welcome to 2026!\n\n78;c\nmotd\n", ("78", "c"))])
def test_the_job_id_is_found_among_banners(out, job, tmp_path):
    assert executor(request(folder=tmp_path)).submit_with(lambda _: Answer(command="sbatch", code=0, out=out, err="")) == job


@pytest.mark.parametrize("out", ["", "Submitted batch job 77\n", "77x\n"])
def test_a_reply_without_an_id_leaves_the_job_unknown(out, tmp_path):
    with pytest.raises(SubmitUnknown, match="may be queued"):
        executor(request(folder=tmp_path)).submit_with(lambda _: Answer(command="sbatch", code=0, out=out, err=""))
