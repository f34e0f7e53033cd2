"""The Slurm scheduler on the real cluster: submission, states, fences, limits, and a controller that does not answer."""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path

import pytest

from orchestrator.cluster.profile import load_profile, parse_profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest, TaskState
from orchestrator.cluster.slurm import SlurmScheduler
from orchestrator.store.errors import ProfileError, SubmitRefused, SubmitUnknown

WAITING, RUNNING, ENDED = TaskState.WAITING, TaskState.RUNNING, TaskState.ENDED
SMALL = Resources(mem_gb=0.1, time_min=5)
OUTCOMES = """
import os, signal, sys
index = int(os.environ["SLURM_ARRAY_TASK_ID"])
if index == 1: sys.exit(3)
if index == 2: sys.exit(137)
if index == 3: os.kill(os.getpid(), signal.SIGKILL)
if index == 4: bytearray(400 * 1024 ** 2)
"""


class Desk:
    """Submits small arrays under names of their own, and cancels them in the end."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None, profile: str = "") -> None:
        read = parse_profile(profile, name="p", path="p.sh") if profile else load_profile("slurm-test")
        self.scheduler = SlurmScheduler(read, environment=environment)
        self.folder = folder
        self.tokens: list[str] = []
        self.since = time.time()

    def request(self, program: str, *, token: str = "", tasks: int = 1, **changes: object) -> ArrayRequest:
        token = token or f"sched-{uuid.uuid4().hex[:12]}"
        self.tokens.append(token)
        folder = self.folder / token
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "program.py").write_text(program)
        values = {"throttle": tasks, "resources": SMALL, "command": (sys.executable, str(folder / "program.py"))} | changes
        return ArrayRequest(token=token, tasks=tasks, folder=folder, **values)

    def submit(self, program: str, **values: object) -> str:
        request = self.request(program, **values)
        self.scheduler.submit(request)
        return request.token

    def look(self, *tokens: str):
        return self.scheduler.snapshot(tokens, since=self.since, now=time.time())

    def wait(self, token: str, truth, within_s: float = 180.0):
        """Return index → row as soon as `truth` holds of it."""
        deadline = time.monotonic() + within_s
        while not truth(rows := self.look(token).tasks.get(token, {})):
            assert time.monotonic() < deadline, rows
            time.sleep(0.3)
        return rows

    def log(self, token: str, index: int = 0) -> str:
        """What the program wrote, without the lines that slurmstepd may put beside it."""
        path = self.folder / token / "logs" / f"worker-{index}.log"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return "".join(line for line in lines if not line.startswith("slurmstepd"))

    def clear(self) -> None:
        snapshot = self.look(*self.tokens)
        rows = [row for tasks in snapshot.tasks.values() for row in tasks.values()] + list(snapshot.twins)
        self.scheduler.cancel(row for row in rows if row.state is not ENDED)


@pytest.fixture
def desk(slurm, tmp_path):
    desk = Desk(tmp_path / "it's a 100% folder")
    yield desk
    desk.clear()


def all_ended(number):
    return lambda rows: len(rows) == number and all(row.state is ENDED and row.exit_code is not None for row in rows.values())


def test_an_array_runs_with_a_gpu_each_and_its_logs_lie_in_an_odd_folder(desk):
    program = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ.get('SLURM_NTASKS'))"
    token = desk.submit(program, tasks=3, throttle=2, resources=Resources(gpus=1, mem_gb=0.1, time_min=5))
    rows = desk.wait(token, all_ended(3))
    assert {row.word for row in rows.values()} == {"COMPLETED"}
    assert all(desk.log(token, index).split()[0] in ("0", "1") for index in range(3))
    assert all(desk.log(token, index).split()[1] == "None" for index in range(3))


def test_each_end_is_told_as_it_was(slurm, desk):
    rows = desk.wait(desk.submit(OUTCOMES, tasks=5), all_ended(5))
    assert [rows[index].word for index in range(4)] == ["COMPLETED", "FAILED", "FAILED", "FAILED"]
    assert [(rows[index].exit_code, rows[index].signal) for index in range(4)] == [(0, 0), (3, 0), (9, 0), (0, 9)]
    assert rows[4].oom == slurm.memory_limits
    assert all(row.node and row.submitted_at and row.ended_at for row in rows.values())


def test_the_warning_reaches_python_and_its_exit_code_is_that_of_the_task(desk):
    program = (
        "import signal, sys, time\n"
        "def warned(number, frame): print('warned', flush=True); sys.exit(7)\n"
        "signal.signal(signal.SIGUSR1, warned); time.sleep(100)"
    )
    early = Desk(desk.folder, profile="#MRSWEEP warning_s=26\n")  # slurmctld looks every 30 s, so it comes 4 to 34 s after the start
    token = early.submit(program, resources=Resources(mem_gb=0.1, time_min=1))
    rows = early.wait(token, all_ended(1))
    assert (rows[0].word, rows[0].exit_code, early.log(token)) == ("FAILED", 7, "warned\n")


def test_a_second_job_of_the_same_name_waits_and_is_known_as_a_twin(desk):
    token = desk.submit("import time; time.sleep(60)", tasks=2)
    desk.wait(token, lambda rows: {row.state for row in rows.values()} == {RUNNING})
    desk.submit("", token=token, tasks=2)
    snapshot = desk.look(token)
    assert {row.state for row in snapshot.tasks[token].values()} == {RUNNING}
    assert [twin.state for twin in snapshot.twins] == [WAITING, WAITING]
    desk.scheduler.cancel(snapshot.twins)
    assert all(twin.state is ENDED for twin in desk.look(token).twins)
    assert {row.state for row in desk.look(token).tasks[token].values()} == {RUNNING}


def test_tasks_are_cancelled_one_by_one(desk):
    token = desk.submit("import time; time.sleep(60)", tasks=5, throttle=1)
    rows = desk.wait(token, lambda rows: len(rows) == 5 and rows[0].state is RUNNING)
    desk.scheduler.cancel([rows[index] for index in (1, 2, 4)])
    desk.wait(token, lambda rows: {index for index, row in rows.items() if row.state is not ENDED} == {0, 3})
    desk.scheduler.cancel([rows[0]])
    ended = desk.wait(token, lambda rows: rows[0].state is ENDED and rows[0].source == "sacct")
    assert (ended[0].word, ended[0].reason) == ("CANCELLED", f"by {os.getuid()}")


def test_a_requeued_task_waits_again_and_counts_its_restart(slurm, desk):
    program = (
        "import os, time; print(os.environ.get('SLURM_RESTART_COUNT'), flush=True)\n"
        "time.sleep(1 if 'SLURM_RESTART_COUNT' in os.environ else 60)"
    )
    token = desk.submit(program)
    rows = desk.wait(token, lambda rows: 0 in rows and rows[0].state is RUNNING and desk.log(token))
    slurm.command("scontrol", "requeue", f"{rows[0].job_id}_0")
    desk.wait(token, lambda rows: rows[0].state is WAITING)
    rows = desk.wait(token, all_ended(1))
    assert (rows[0].word, rows[0].restarts) == ("COMPLETED", 1)
    lines = [line for line in desk.log(token).splitlines() if line in ("None", "1")]
    assert lines == ["None", "1"]  # one log, appended to


def test_a_held_array_shows_every_task(desk):
    token = desk.submit("", tasks=700, throttle=7, begin_in_s=600)
    desk.scheduler.hold(desk.look(token).tasks[token].values())
    rows = desk.look(token).tasks[token]
    assert sorted(rows) == list(range(700))
    assert {(row.state, row.reason) for row in rows.values()} == {(WAITING, "JobHeldUser")}


def test_a_job_waits_for_another_and_is_removed_when_that_fails(desk):
    first = desk.request("import sys, time; time.sleep(2); sys.exit(1)")
    job_id = desk.scheduler.submit(first).job_id
    token = desk.submit("", after=(job_id,))
    desk.wait(token, lambda rows: 0 in rows and rows[0].reason == "Dependency")
    desk.wait(first.token, all_ended(1))
    deadline = time.monotonic() + 180
    while (row := desk.look(token).task(token, 0)) and row.state is not ENDED:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert row is None or (row.word, row.started_at) == ("CANCELLED", None)


def test_a_task_on_two_nodes_starts_a_worker_on_each(desk):
    program = "import os; print('node', os.environ['SLURM_NODEID'], flush=True)"
    token = desk.submit(program, resources=Resources(nodes=2, mem_gb=0.1, time_min=5))
    rows = desk.wait(token, all_ended(1))
    assert rows[0].word == "COMPLETED"
    assert [(desk.folder / token / "logs" / f"worker-0.{rank}.log").read_text() for rank in range(2)] == ["node 0\n", "node 1\n"]


def test_variables_of_an_enclosing_job_change_nothing(slurm, desk):
    leaks = {"SBATCH_PARTITION": "nowhere", "SBATCH_ARRAY_INX": "0-9", "SLURM_JOB_ID": "1", "SQUEUE_STATES": "FAILED", "MRSWEEP_INDEX": "5"}
    inside = Desk(desk.folder, environment=dict(os.environ) | leaks)
    token = inside.submit("import os; print(os.environ.get('MRSWEEP_INDEX'))")
    rows = inside.wait(token, all_ended(1))
    assert (list(rows), inside.log(token)) == ([0], "None\n")


def test_limits_and_shapes_are_those_of_the_cluster(desk):
    limits = desk.scheduler.limits()
    assert (limits.max_array_size, limits.partition_limit_min) == (1001, 1440.0)
    assert desk.scheduler.check(SMALL) == ()
    with pytest.raises(ProfileError, match=r"resources\.mem_gb is 900; .* 3\.9"):
        desk.scheduler.check(Resources(mem_gb=900))
    with pytest.raises(ProfileError, match=r"no such partition\. Did you mean high\?"):
        desk.scheduler.check(Resources(mem_gb=1, sbatch=(("partition", "hihg"),)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resources": Resources(mem_gb=900)}, "not available.*lower resources"),
        ({"resources": Resources(mem_gb=0.1, sbatch=(("partition", "nowhere"),))}, "Invalid partition.*sinfo -s"),
        ({"tasks": 1002}, "Invalid job array specification.*MaxArraySize"),
    ],
)
def test_a_refusal_is_certain_and_leaves_no_job(desk, changes, words):
    request = desk.request("", **changes)
    with pytest.raises(SubmitRefused, match=words):
        desk.scheduler.submit(request)
    rows = desk.look(request.token).tasks.get(request.token, {}).values()
    assert all((row.word, row.reason, row.started_at) == ("FAILED", "BadConstraints", None) for row in rows)  # a trace, no task


def test_a_limit_on_submissions_is_read_and_refused_beyond(slurm_alone, desk):
    slurm_alone.limit_submissions(3)
    try:
        assert desk.scheduler.limits().max_submit == 3
        with pytest.raises(SubmitRefused, match=r"submit limit.*Launch again"):
            desk.submit("", tasks=4)
    finally:
        slurm_alone.limit_submissions(None)


def test_a_controller_that_does_not_answer_leaves_a_submission_unknown_until_it_is_found(slurm_alone, desk):
    """A frozen controller carries the request out when it thaws: sbatch has failed by then."""
    request = desk.request("")
    slurm_alone.freeze("slurmctld")
    try:
        with pytest.raises(SubmitUnknown, match="Socket timed out"):
            desk.scheduler.submit(request)
        snapshot = desk.look(request.token)
        assert (snapshot.queue_ok, snapshot.accounting_ok) == (False, True)
    finally:
        slurm_alone.thaw("slurmctld")
    assert desk.wait(request.token, all_ended(1))[0].word == "COMPLETED"


def test_without_accounting_the_queue_tells_what_it_knows(slurm_alone, desk):
    slurm_alone.stop("slurmdbd")
    try:
        token = desk.submit("")
        rows = desk.wait(token, lambda rows: rows and rows[0].state is ENDED)
        assert (rows[0].word, rows[0].source) == ("COMPLETED", "squeue")
        snapshot = desk.look(token)
        assert (snapshot.queue_ok, snapshot.accounting_ok) == (True, False)
        assert "sacct failed" in snapshot.notes[0]
    finally:
        slurm_alone.start("slurmdbd")


def test_doctor_finds_a_healthy_cluster(slurm, desk):
    facts = {fact.name: fact for fact in desk.scheduler.facts()}
    assert facts["accounting"].value == "slurmdbd, answers"
    assert facts["tasks of an array"].value == "1001"
