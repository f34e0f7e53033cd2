"""Local workers: detached from everything, known by their journals and by /proc."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from orchestrator.cluster.choose import open_scheduler
from orchestrator.cluster.local import LocalScheduler
from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest, TaskState
from orchestrator.store.errors import InputError, SubmitRefused
from orchestrator.store.events import Arrived, Left
from orchestrator.store.files import Journal
from orchestrator.store.layout import SubmissionPaths
from orchestrator.store.process import current_process

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker_for_tests.py")
RUNNING, ENDED, UNCLEAR = TaskState.RUNNING, TaskState.ENDED, TaskState.UNCLEAR


def profile(constants="workers=2 kill_wait_s=20"):
    return parse_profile(f"#MRSWEEP scheduler=local {constants}\n", name="local", path="local.sh")


def wait_for(truth, within_s=20.0):
    deadline = time.monotonic() + within_s
    while not (found := truth()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


class Place:
    """A folder of submissions, and the workers in it."""

    def __init__(self, folder: Path, constants: str = "workers=2 kill_wait_s=20") -> None:
        self.submissions = folder
        self.scheduler = LocalScheduler(profile(constants), folder, environment=dict(os.environ, PYTHONPATH=str(ROOT)))

    def request(self, behaviour="polite", token="t-1", **changes):
        folder = self.submissions / token
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        command = (sys.executable, str(WORKER), behaviour, str(folder))
        values = {"token": token, "tasks": 5, "throttle": 2, "folder": folder, "command": command, "resources": Resources()}
        return ArrayRequest(**(values | changes))

    def rows(self, token="t-1"):
        return self.scheduler.snapshot([token], since=0, now=time.time()).tasks.get(token, {})

    def words(self, token="t-1"):
        return {index: row.word for index, row in sorted(self.rows(token).items())}

    def arrived(self, token="t-1"):
        return [path for path in (self.submissions / token).glob("worker-*.jsonl") if path.stat().st_size]


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "it's a 100% folder" / "submissions")
    yield place
    for token in os.listdir(place.submissions) if place.submissions.exists() else ():
        pids = {int(row.job_id.rpartition("-")[2]) for row in place.rows(token).values() if row.state is RUNNING}
        for pid in pids - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_workers_run_and_leave(place):
    accepted = place.scheduler.submit(place.request("short"))
    wait_for(lambda: place.words() == {0: "COMPLETED", 1: "COMPLETED"})
    row = place.rows()[0]
    assert (row.job_id, row.state, row.source) == (accepted.job_id, ENDED, "proc")
    assert SubmissionPaths(place.submissions / "t-1").log(1).read_text() == "gpus=\n"


def test_a_worker_that_has_written_nothing_yet_is_found_by_its_command_line(place):
    place.scheduler.submit(place.request("silent"))
    assert place.words() == {0: "RUNNING", 1: "RUNNING"}
    assert place.arrived() == []


def test_a_second_submit_of_the_same_intent_starts_nobody_twice(place):
    first = place.scheduler.submit(place.request())
    pids = {row.job_id for row in place.rows().values()}
    other = Place(place.submissions)  # as after kill -9 of launch: nobody remembers
    assert other.scheduler.submit(other.request()) == first
    assert {row.job_id for row in other.rows().values()} == pids


def test_a_worker_whose_program_is_just_being_loaded_is_found(place, monkeypatch):
    """Popen has returned, and for a moment /proc shows neither arguments nor environment."""
    place.scheduler.submit(place.request("silent"))
    read, looks = psutil.Process.cmdline, Counter()

    def cmdline(process):
        looks[process.pid] += 1
        return [] if looks[process.pid] == 1 else read(process)

    monkeypatch.setattr(psutil.Process, "cmdline", cmdline)
    assert place.words() == {0: "RUNNING", 1: "RUNNING"}


def test_a_killed_worker_is_gone_and_not_completed(place):
    place.scheduler.submit(place.request())
    wait_for(lambda: len(place.arrived()) == 2)
    os.kill(int(place.rows()[1].job_id.rpartition("-")[2]), signal.SIGKILL)
    assert wait_for(lambda: place.words() == {0: "RUNNING", 1: "GONE"})
    assert place.rows()[1].state is ENDED


def test_cancel_lets_a_worker_end_by_itself(place):
    place.scheduler.submit(place.request("polite"))
    wait_for(lambda: len(place.arrived()) == 2)
    place.scheduler.cancel([place.rows()[0]])
    assert place.words() == {0: "COMPLETED", 1: "RUNNING"}


def test_cancel_ends_a_deaf_worker_and_its_children_by_force(tmp_path):
    place = Place(tmp_path, "workers=1 kill_wait_s=0.2")
    place.scheduler.submit(place.request("deaf"))
    wait_for(place.arrived)
    family = wait_for(lambda: psutil.Process(int(place.rows()[0].job_id.rpartition("-")[2])).children())
    place.scheduler.cancel(place.rows().values())
    assert wait_for(lambda: place.words() == {0: "GONE"})
    wait_for(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family))


def test_cancelling_what_has_ended_does_nothing(place):
    place.scheduler.submit(place.request("short"))
    wait_for(lambda: place.words() == {0: "COMPLETED", 1: "COMPLETED"})
    place.scheduler.cancel(place.rows().values())


LAUNCH = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.cluster.test_local import Place
place = Place(Path(sys.argv[1]))
print(place.scheduler.submit(place.request()).job_id)
"""


def test_launch_through_a_pipe_returns_at_once(place):
    """A worker that held the pipe open would keep `mrsweep launch | tee` waiting until it ends."""
    program = [sys.executable, "-c", LAUNCH.format(root=str(ROOT)), str(place.submissions)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.startswith("local-")
    wait_for(lambda: place.words() == {0: "RUNNING", 1: "RUNNING"})


def test_workers_survive_the_end_of_the_terminal(place):
    """The end of an ssh session closes its terminal, and the kernel sends SIGHUP to the session that it leads."""
    pid, terminal = pty.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs these tests may have chosen to outlive the terminal (nohup)
            program = LAUNCH.format(root=str(ROOT)) + "\nimport time; time.sleep(60)"
            os.execv(sys.executable, [sys.executable, "-c", program, str(place.submissions)])
        os._exit(1)
    wait_for(lambda: len(place.arrived()) == 2)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGHUP
    assert place.words() == {0: "RUNNING", 1: "RUNNING"}


def test_a_request_waits_for_the_one_before_it(place):
    first = place.scheduler.submit(place.request("polite", "t-0", tasks=1))
    place.scheduler.submit(place.request("short", "t-1", tasks=1, after=(first.job_id,)))
    wait_for(lambda: place.arrived("t-0"))
    assert place.words("t-1") == {0: "RUNNING"}
    assert place.arrived("t-1") == []
    place.scheduler.cancel(place.rows("t-0").values())
    wait_for(lambda: place.words("t-1") == {0: "COMPLETED"})


def test_waiting_for_a_job_that_is_no_process_of_this_machine_is_refused(place):
    with pytest.raises(SubmitRefused, match="no process of this machine"):
        place.scheduler.submit(place.request(after=("77",)))


@pytest.mark.parametrize("token", ["a b", "a'b", "a\nb", "../b", "$(id)", "\u202eb", "x" * 300])
def test_an_odd_name_starts_nothing(place, token):
    request = ArrayRequest(token=token, tasks=1, throttle=1, folder=place.submissions, command=("true",), resources=Resources())
    with pytest.raises(InputError):
        place.scheduler.submit(request)


def test_a_command_that_is_not_there_is_refused(place):
    with pytest.raises(SubmitRefused, match="no worker can be started here"):
        place.scheduler.submit(place.request(command=("/no/such/python", str(place.submissions))))


def journal(place, *, left=False, **identity):
    me = current_process()
    values = {"host": me.host, "boot_id": me.boot_id, "pid": me.pid, "start_time": me.start_time} | identity
    folder = place.submissions / "t-1"
    folder.mkdir(parents=True)
    lines = [Arrived(at=1.0, index=0, **values), *([Left(at=2.0, reason="done")] if left else [])]
    Journal(SubmissionPaths(folder).journal(0)).append(*lines)


@pytest.mark.parametrize(
    ("identity", "left", "word", "state"),
    [
        ({}, False, "RUNNING", RUNNING),
        ({}, True, "RUNNING", RUNNING),  # says good-bye, still there
        ({"start_time": 1.0}, False, "GONE", ENDED),  # its pid was given to another process
        ({"boot_id": "another"}, False, "NODE_FAIL", ENDED),
        ({"host": "elsewhere"}, False, "ELSEWHERE", UNCLEAR),
        ({"host": "elsewhere"}, True, "COMPLETED", ENDED),
    ],
)
def test_a_worker_is_judged_by_who_it_was(place, identity, left, word, state):
    journal(place, left=left, **identity)
    assert (place.rows()[0].word, place.rows()[0].state) == (word, state)


def test_a_torn_journal_has_no_worker_yet_and_a_damaged_one_is_told(place):
    journal(place)
    path = SubmissionPaths(place.submissions / "t-1").journal(0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert place.rows() == {}
    path.write_bytes(b"garbage\n" + whole + whole)
    snapshot = place.scheduler.snapshot(["t-1"], since=0, now=1.0)
    assert not snapshot.queue_ok and "worker-0.jsonl:1" in snapshot.notes[0]


@pytest.mark.parametrize(
    ("constants", "resources", "request_changes", "workers"),
    [
        ("workers=3", {}, {"throttle": 9}, 3),
        ("workers=3", {}, {"throttle": 2}, 2),
        ("workers=3", {}, {"throttle": 9, "tasks": 1}, 1),
        ("visible_gpus=0,1,2", {"gpus": 1}, {"throttle": 99, "tasks": 99}, min(3, len(os.sched_getaffinity(0)))),
        ("visible_gpus=0,1,2", {"gpus": 2}, {"throttle": 99, "tasks": 99}, 1),
        ("", {"cpus": 10_000}, {}, 1),
        ("", {}, {"throttle": 99, "tasks": 99}, len(os.sched_getaffinity(0))),
    ],
)
def test_as_many_workers_as_grid_profile_and_machine_allow(tmp_path, constants, resources, request_changes, workers):
    place = Place(tmp_path, constants)
    assert place.scheduler.workers(place.request(resources=Resources(**resources), **request_changes)) == workers


@pytest.mark.parametrize(
    ("constants", "gpus", "shares"),
    [
        ("workers=3 visible_gpus=0,1,2", 1, ["0", "1", "2"]),
        ("workers=3 visible_gpus=0,1", 1, ["0", "1", "0"]),
        ("workers=2 visible_gpus=4,5,6,7", 2, ["4,5", "6,7"]),
        ("workers=2 visible_gpus=0", 2, ["0", "0"]),
        ("workers=2 visible_gpus=0,1", 0, ["", ""]),
        ("workers=1 visible_gpus=", 1, [""]),
    ],
)
def test_each_worker_sees_its_share_of_the_gpus(tmp_path, constants, gpus, shares):
    place = Place(tmp_path, constants)
    preview = place.scheduler.preview(place.request(throttle=9, resources=Resources(gpus=gpus)))
    assert [line.split("CUDA_VISIBLE_DEVICES=")[1].split(" ")[0] for line in preview.splitlines()] == shares


def test_nothing_is_refused_for_being_too_large_but_it_is_told(place):
    notes = place.scheduler.check(Resources(gpus=99, mem_gb=1e6, nodes=2))
    assert [note.split(" is ")[0] for note in notes] == ["resources.nodes", "resources.mem_gb", "resources.gpus"]
    assert place.scheduler.check(Resources(mem_gb=0.1)) == ()


def test_the_profile_chooses_the_scheduler(tmp_path):
    assert open_scheduler(profile(), submissions=tmp_path).name == "local"
    assert open_scheduler(parse_profile("", name="p", path="p"), submissions=tmp_path).name == "slurm"
