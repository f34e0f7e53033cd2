"""The looks at a cluster are bounded for all commands of a user on a host, and nothing fails for it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from orchestrator.cluster.budgeted import BudgetedSlurm, calls_fact
from orchestrator.cluster.call_budget import AT_ONCE, MOST_DEBT, Bucket, CallBudget, charge, count_calls, open_budget, refill, state_folder
from orchestrator.cluster.choose import open_scheduler, spent_calls
from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState, Verdict

ROOT = Path(__file__).parents[2]
START = 1_800_000_000.0


class Clock:
    """A time of day that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def budget(folder, clock, **values):
    return CallBudget(folder, "host-1", **({"refill_s": 60.0, "clock": clock} | values))


def grants(one, tries):
    return [one.try_look() for _ in range(tries)].count(0.0)


def test_in_the_long_run_one_look_in_refill_s_is_granted(tmp_path, clock):
    one = budget(tmp_path, clock)
    granted = 0
    for _ in range(360):  # an hour of a wish every ten seconds
        clock.now += 10
        granted += grants(one, 1)
    assert granted in (AT_ONCE + 59, AT_ONCE + 60)  # sums of sixtieths are a hair short


def test_two_commands_draw_on_one_bucket(tmp_path, clock):
    both = budget(tmp_path, clock), budget(tmp_path, clock)
    assert sum(grants(one, 8) for one in both) == AT_ONCE
    clock.now += 59
    assert both[1].try_look() == pytest.approx(1.0)


def test_who_acts_always_looks_and_who_shows_waits_until_the_debt_is_paid(tmp_path, clock):
    one = budget(tmp_path, clock)
    for _ in range(1000):
        one.look()
    assert one.try_look() == pytest.approx(60 * (1 + MOST_DEBT))
    clock.now += 60 * (1 + MOST_DEBT)
    assert one.try_look() == 0.0


def test_a_clock_that_is_set_neither_stops_nor_frees_the_looks(tmp_path, clock):
    one = budget(tmp_path, clock)
    grants(one, 20)
    clock.now -= 3600  # back an hour: the wait is no longer than it was
    assert 0 < one.try_look() <= 60
    clock.now += 60
    assert one.try_look() == 0.0
    clock.now += 86400 * 365  # forward a year: no more than the bucket holds
    assert grants(one, 100) == AT_ONCE


def test_levels_that_nobody_wrote_are_brought_back_into_bounds():
    assert refill(Bucket(level=1e9, at=START), START, 60).level == AT_ONCE
    assert refill(Bucket(level=-1e9, at=START), START, 60).level == -MOST_DEBT
    assert refill(Bucket(level=0, at=START), START + 1, 0.0).level == AT_ONCE  # poll_s=0


def test_calls_are_counted_by_command_for_an_hour_and_a_day():
    bucket = charge(Bucket(), START, 0.0, {"squeue": 2})
    bucket = charge(bucket, START + 1800, 0.0, {"squeue": 1, "sbatch": 1})
    assert count_calls(bucket, START + 1800, 6) == {"sbatch": 1, "squeue": 3}
    assert count_calls(bucket, START + 5400, 6) == {}
    assert count_calls(bucket, START + 5400, 144) == {"sbatch": 1, "squeue": 3}
    assert len(charge(bucket, START + 90_000, 0.0, {"sacct": 1}).calls) == 1  # a day later the others are gone
    assert count_calls(charge(bucket, START - 3600, 0.0, {}), START, 144) == {}  # set back: those of a time to come


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 99, b'{"level": "much"}', b"[]", b'{"level": 1e400}'])
def test_a_damaged_file_is_a_full_bucket(tmp_path, clock, content):
    one = budget(tmp_path, clock)
    grants(one, 20)
    (tmp_path / "calls-host-1.json").write_bytes(content)
    assert grants(one, 20) == AT_ONCE


def test_without_a_folder_everything_is_granted_and_nothing_is_written(clock):
    one = budget(None, clock, note="no home")
    assert (grants(one, 99), one.spent().hour, one.spent().note) == (99, {}, "no home")
    assert calls_fact(one.spent()).verdict is Verdict.NOTE


def test_a_frozen_process_that_holds_the_lock_delays_a_command_for_half_a_second_only(tmp_path, clock):
    one = budget(tmp_path, clock)
    with open(tmp_path / "calls-host-1.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert one.try_look() == 0.0
    assert "held by another process" in one.spent().note


def test_a_folder_that_went_away_is_no_error(tmp_path, clock):
    one = budget(tmp_path / "gone", clock)
    one.count({"squeue": 1})
    assert (one.try_look(), "not counted" in one.spent().note) == (0.0, True)


def test_the_state_lies_in_a_folder_of_the_user_alone(tmp_path):
    folder, note = state_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert (folder, note, folder.stat().st_mode & 0o777) == (tmp_path / "mrsweep", "", 0o700)
    nowhere = str(tmp_path / "nowhere")
    assert state_folder({"XDG_RUNTIME_DIR": nowhere, "XDG_STATE_HOME": str(tmp_path / "s")})[0] == tmp_path / "s" / "mrsweep"
    assert state_folder({"XDG_RUNTIME_DIR": nowhere, "HOME": str(tmp_path)})[0] == tmp_path / ".local" / "state" / "mrsweep"
    assert state_folder({"XDG_RUNTIME_DIR": nowhere})[0] is None


@pytest.mark.parametrize(
    ("spoil", "told"), [("open", "chmod 700"), ("link", "or a link"), ("file", "cannot be made"), ("foreign", "belongs to user")]
)
def test_a_state_folder_that_others_could_use_is_left_alone(tmp_path, spoil, told, monkeypatch):
    folder = tmp_path / "mrsweep"
    if spoil == "link":
        (tmp_path / "other").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "other")
    elif spoil == "file":
        folder.write_text("")
    else:
        folder.mkdir(mode=0o700)
    if spoil == "open":
        folder.chmod(0o770)
    if spoil == "foreign":
        monkeypatch.setattr(os, "getuid", lambda: 54321)
    found, note = state_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert found is None
    assert note.startswith(f"{folder}: ")
    assert told in note
    assert note.endswith("looks are not counted")


def test_clusters_and_hosts_have_buckets_of_their_own(tmp_path, monkeypatch):
    base = {"XDG_RUNTIME_DIR": str(tmp_path)}
    for environment, clusters in ((base, ""), (base | {"SLURM_CONF": "/a"}, ""), (base | {"SLURM_CONF": "/a"}, "other")):
        open_budget(environment, clusters=clusters, refill_s=60).look()
    monkeypatch.setattr("socket.gethostname", lambda: "login2")
    open_budget(base, clusters="", refill_s=60).look()
    assert len(list((tmp_path / "mrsweep").glob("calls-*.json"))) == 4


def test_processes_that_look_at_the_same_time_never_get_more_than_there_are(tmp_path):
    program = (
        "import sys, pathlib; from orchestrator.cluster.call_budget import CallBudget\n"
        "one = CallBudget(pathlib.Path(sys.argv[1]), 'x', refill_s=1e9)\n"
        "print(sum(one.try_look() == 0 for _ in range(5)))"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    assert sum(int(racer.communicate()[0]) for racer in racers) == AT_ONCE


class Queue:
    """Stands in for Slurm: one task of each token runs; counts how often it is asked."""

    name = "slurm"

    def __init__(self) -> None:
        self.looks = 0
        self.ok = True

    def snapshot(self, tokens, *, since, now, open_tasks=None):
        self.looks += 1
        rows = {token: {3: TaskRow(token=token, job_id="7", index=3, state=TaskState.RUNNING, word="RUNNING")} for token in tokens}
        return Snapshot(taken_at=now, queue_ok=self.ok, accounting_ok=True, tasks=rows if self.ok else {})

    def take_calls(self):
        return {"squeue": 1}


class Desk:
    """One cluster, asked by commands that act and by commands that only show."""

    def __init__(self, folder, clock) -> None:
        self.queue, self.clock, self.folder = Queue(), clock, folder

    def look(self, *tokens, reading, grid="g"):
        one = BudgetedSlurm(self.queue, budget(self.folder, self.clock), submissions=Path("/r", grid), reading=reading)
        return one.snapshot(tokens, since=0, now=self.clock.now, open_tasks={})

    def drain(self, *tokens):
        for _ in range(20):
            self.look(*tokens, reading=False)


@pytest.fixture
def desk(tmp_path, clock):
    return Desk(tmp_path, clock)


def test_who_only_shows_gets_the_last_answer_with_its_age_while_no_look_is_free(desk, clock):
    desk.drain("a")
    clock.now += 43
    seen = desk.look("a", reading=True)
    assert (seen.tasks["a"][3].state, seen.queue_ok, seen.taken_at) == (TaskState.RUNNING, True, START)
    assert "as it was 43 s ago" in seen.notes[-1]
    assert "one in 60 s, the next is free in 317 s" in seen.notes[-1]  # 6 looks of 60 s, 43 s of them past
    assert desk.queue.looks == 20


def test_who_acts_is_never_given_an_old_answer(desk, clock):
    desk.drain("a")
    clock.now += 1
    assert (desk.look("a", reading=False).taken_at, desk.queue.looks) == (clock.now, 21)


def test_an_old_answer_that_does_not_speak_of_all_is_not_taken_for_their_absence(desk):
    desk.drain("a")
    seen = desk.look("a", "b", reading=True)
    assert (seen.queue_ok, seen.accounting_ok, list(seen.tasks)) == (False, False, ["a"])


def test_an_old_answer_of_another_grid_or_about_other_tasks_is_not_shown(desk):
    desk.drain("a", "other")
    assert list(desk.look("a", reading=True).tasks) == ["a"]
    never = desk.look("a", reading=True, grid="h")
    assert (never.tasks, never.queue_ok, "was not asked" in never.notes[0]) == ({}, False, True)


def test_an_answer_that_failed_does_not_replace_a_good_one(desk):
    desk.drain("a")
    desk.queue.ok = False
    desk.look("a", reading=False)
    assert desk.look("a", reading=True).tasks["a"][3].word == "RUNNING"


def test_answers_about_grids_that_nobody_looks_at_are_forgotten(desk, clock):
    clock.now = time.time()  # files know no other
    desk.look("a", reading=False, grid="old")
    desk.look("a", reading=False, grid="young")
    old, young = sorted(desk.folder.glob("seen-*"), key=lambda path: path.stat().st_mtime_ns)
    os.utime(old, (clock.now, clock.now - 8 * 86400))
    os.utime(young, (clock.now, clock.now - 6 * 86400))
    desk.look("a", reading=False, grid="new")
    assert (old.exists(), young.exists(), len(list(desk.folder.glob("seen-*")))) == (False, True, 2)


def test_an_old_answer_of_tomorrow_is_of_now(desk, clock):
    desk.drain("a")
    clock.now -= 86400
    assert "as it was 0 s ago" in desk.look("a", reading=True).notes[-1]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"tokens": 3}', b"\xff"])
def test_a_damaged_answer_is_none(desk, content):
    desk.drain("a")
    (kept,) = desk.folder.glob("seen-*")
    kept.write_bytes(content)
    assert "was not asked" in desk.look("a", reading=True).notes[0]


def test_a_profile_of_slurm_is_asked_within_the_budget_and_this_machine_without(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    slurm, local = (parse_profile(f"#MRSWEEP scheduler={word} poll_s=7\n", name="p", path="p") for word in ("slurm", "local"))
    assert isinstance(open_scheduler(slurm, submissions=tmp_path), BudgetedSlurm)
    assert not isinstance(open_scheduler(local, submissions=tmp_path), BudgetedSlurm)
    assert (spent_calls(slurm).refill_s, spent_calls(local)) == (7.0, None)


def test_doctor_says_what_was_spent(tmp_path, clock):
    one = budget(tmp_path, clock)
    one.count({"squeue": 2, "sbatch": 1})
    one.look()
    fact = calls_fact(one.spent())
    assert fact.value == "1 sbatch, 2 squeue in the last hour; 3 in a day; 9 looks free, one more in 60 s"
    assert msgspec.to_builtins(one.spent())["hour"] == {"sbatch": 1, "squeue": 2}
