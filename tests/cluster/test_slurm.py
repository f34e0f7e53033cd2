"""The Slurm scheduler at the command line, where stand-ins say what a healthy cluster cannot be made to say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Accepted, ArrayRequest, TaskRow, TaskState
from orchestrator.cluster.slurm import SlurmScheduler
from orchestrator.store.errors import ChangeRefused, ClusterError, ProfileError, SubmitRefused, SubmitUnknown

RECORDED = Path(__file__).parents[1] / "recorded" / "slurm"
SINCE, NOW = 1795206700.0, 1795206900.0


class CommandLine:
    """A folder of programs with Slurm's names; each notes how it was called and answers with a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": f"{folder}:{os.environ['PATH']}", "SQUEUE_STATES": "RUNNING", "SLURM_JOB_ID": "1"}

    def says(self, name: str, out: str | Path = "", *, err: str | Path = "", code: int = 0) -> None:
        texts = [text.read_text() if isinstance(text, Path) else text for text in (out, err)]
        for suffix, text in zip(("out", "err"), texts, strict=True):
            (self.folder / f"{name}.{suffix}").write_text(text)
        program = self.folder / name
        calls = f'printf "%s " "$SLURM_TIME_FORMAT" "$SLURM_JOB_ID" "$@" >> {self.folder}/{name}.calls; echo >> {self.folder}/{name}.calls'
        program.write_text(f"#!/bin/sh\n{calls}\ncat {program}.err >&2; cat {program}.out; exit {code}\n")
        program.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        path = self.folder / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def line(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    line = CommandLine(folder)
    for command in ("squeue", "sacct", "sacctmgr", "scontrol", "sinfo"):  # never one of this machine
        line.says(command)
    return line


@pytest.fixture
def scheduler(line):
    return SlurmScheduler(parse_profile("#SBATCH --partition=gpu\n", name="p", path="p.sh"), environment=line.environment)


def look(scheduler, *tokens, **values):
    return scheduler.snapshot(tokens or ("rec-mixed",), since=SINCE, now=NOW, **values)


def request(folder, **changes):
    values = {"token": "t-1", "tasks": 3, "throttle": 2, "folder": folder, "command": ("python",), "resources": Resources()}
    return ArrayRequest(**(values | changes))


def test_a_look_is_one_squeue_and_one_sacct_whatever_the_number_of_tokens(scheduler, line):
    line.says("squeue", RECORDED / "squeue_alive.txt")
    line.says("sacct", RECORDED / "sacct_alive.txt")
    snapshot = look(scheduler, "rec-mixed", "rec-held", *(f"t{number}" for number in range(300)))
    assert (len(line.calls("squeue")), len(line.calls("sacct"))) == (1, 1)
    assert snapshot.task("rec-mixed", 4).oom and len(snapshot.tasks["rec-held"]) == 21
    assert snapshot.queue_ok and snapshot.accounting_ok
    assert "--name=" not in line.calls("sacct")[0]


def test_commands_see_no_variable_of_an_enclosing_job_and_tell_times_in_seconds(scheduler, line):
    look(scheduler)
    assert line.calls("squeue")[0].startswith("%s  --noheader --states=all")


@pytest.mark.parametrize(
    ("open_tasks", "asked"),
    [
        ({"rec-mixed": [7]}, 0),  # runs
        ({"rec-held": [0, 40], "rec-mixed": [7]}, 0),
        ({"rec-mixed": [7, 1]}, 1),  # has ended: how?
        ({"rec-mixed": [99]}, 1),  # nobody knows it
        ({}, 0),
        (None, 1),
    ],
)
def test_the_accounting_is_asked_only_for_tasks_that_the_queue_does_not_know_alive(scheduler, line, open_tasks, asked):
    line.says("squeue", RECORDED / "squeue_alive.txt")
    snapshot = look(scheduler, "rec-mixed", "rec-held", open_tasks=open_tasks)
    assert len(line.calls("sacct")) == asked
    assert snapshot.accounting_ok


def test_a_frozen_controller_makes_the_queue_untrusted_and_the_accounting_is_asked(scheduler, line):
    line.says("squeue", err=RECORDED / "squeue_frozen_stderr.txt", code=1)
    line.says("sacct", RECORDED / "sacct_alive.txt")
    snapshot = look(scheduler, open_tasks={})
    assert (snapshot.queue_ok, snapshot.accounting_ok) == (False, True)
    assert snapshot.notes == ("squeue failed: slurm_load_jobs error: Socket timed out on send/recv operation",)
    assert snapshot.task("rec-mixed", 1).exit_code == 3


def test_half_an_answer_with_exit_code_zero_is_not_trusted(scheduler, line):
    line.says("squeue", RECORDED / "squeue_alive.txt", err="slurm_load_jobs error: Unexpected message received\n")
    assert not look(scheduler).queue_ok


def test_accounting_that_is_down_is_told_and_asked_again(scheduler, line):
    line.says("sacct", err=RECORDED / "sacct_down_stderr.txt", code=1)
    assert not look(scheduler).accounting_ok
    line.says("sacct")
    assert look(scheduler).accounting_ok


def test_accounting_that_is_switched_off_is_asked_once(scheduler, line):
    line.says("squeue", RECORDED / "squeue_alive.txt")
    line.says("sacct", err="Slurm accounting storage is disabled\n", code=1)
    for _ in range(3):
        snapshot = look(scheduler)
    assert len(line.calls("sacct")) == 1
    assert (snapshot.queue_ok, snapshot.accounting_ok) == (True, False)
    assert snapshot.task("rec-mixed", 1).word == "FAILED"


def test_no_tokens_need_no_accounting(scheduler, line):
    assert scheduler.snapshot([], since=SINCE, now=NOW).tasks == {}
    assert line.calls("sacct") == []


def test_a_submission_is_accepted_refused_or_unknown(scheduler, line, tmp_path):
    line.says("sbatch", "77;alpha\n", err="sbatch: error: retrying\n")
    assert scheduler.submit(request(tmp_path)) == Accepted(job_id="77", cluster="alpha")
    line.says("sbatch", err="sbatch: error: Batch job submission failed: Invalid qos specification\n", code=1)
    with pytest.raises(SubmitRefused, match="Invalid qos"):
        scheduler.submit(request(tmp_path))
    line.says("sbatch", err="sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", code=1)
    with pytest.raises(SubmitUnknown, match="Socket timed out"):
        scheduler.submit(request(tmp_path))


def tasks(job_id, *indexes):
    return [TaskRow(token="t", job_id=job_id, index=index, state=TaskState.RUNNING, word="RUNNING") for index in indexes]


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (tasks("7", 0), "7_[0]"),
        (tasks("7", 5, 1, 2, 3), "7_[1-3,5]"),
        (tasks("7", 1) + tasks("9", 4, 4), "7_[1] 9_[4]"),
    ],
)
def test_tasks_are_cancelled_by_name_never_the_whole_job(scheduler, line, rows, ids):
    line.says("scancel")
    scheduler.cancel(rows)
    assert line.calls("scancel") == [f"%s  --quiet {ids} "]


def test_a_thousand_scattered_tasks_are_cancelled_in_words_of_bounded_length(scheduler, line):
    line.says("scancel")
    scheduler.cancel(tasks("7", *range(0, 2000, 2)))
    words = " ".join(line.calls("scancel")).split()[2:]
    assert max(map(len, words)) < 420
    assert sum(word.count(",") + 1 for word in words) == 1000


def test_nothing_to_cancel_calls_nothing(scheduler, line):
    line.says("scancel")
    scheduler.cancel([])
    assert line.calls("scancel") == []


def test_a_cancel_that_did_not_arrive_is_an_error_and_one_that_came_late_is_not(scheduler, line):
    line.says("scancel", err="scancel: error: Kill job error on job id 7_1: Unable to contact slurm controller (connect failure)\n", code=8)
    with pytest.raises(ClusterError, match="Unable to contact"):
        scheduler.cancel(tasks("7", 1))
    line.says("scancel", err="scancel: error: Kill job error on job id 7_1: Invalid job id specified\n", code=1)
    scheduler.cancel(tasks("7", 1))


@pytest.fixture
def site(line):
    line.says("scontrol", f"{(RECORDED / 'scontrol_config.txt').read_text()}{(RECORDED / 'scontrol_partition.txt').read_text()}")
    line.says("sinfo", RECORDED / "sinfo.txt")
    line.says("sacctmgr", RECORDED / "sacctmgr_assoc.txt")
    return line


def test_limits_are_read_once(scheduler, site):
    assert scheduler.limits() == scheduler.limits()
    assert scheduler.limits().max_array_size == 1001
    assert (len(site.calls("scontrol")), len(site.calls("sinfo")), len(site.calls("sacctmgr"))) == (2, 1, 2)


def test_arrays_can_be_made_smaller_than_the_cluster_asks_for(site):
    environment = site.environment | {"MRSWEEP_MAX_ARRAY": "5"}
    assert SlurmScheduler(parse_profile("", name="p", path="p.sh"), environment=environment).limits().max_array_size == 5


def test_a_partition_that_does_not_exist_is_refused_with_its_line(site):
    scheduler = SlurmScheduler(parse_profile("\n#SBATCH -p gpuu\n", name="p", path="p.sh"), environment=site.environment)
    with pytest.raises(ProfileError, match=r"p\.sh:2: partition is 'gpuu'.*Did you mean gpu\?"):
        scheduler.check(Resources(mem_gb=1))
    with pytest.raises(ProfileError, match=r"resources\.sbatch: partition is 'hihg'.*Did you mean high\?"):
        scheduler.check(Resources(mem_gb=1, sbatch=(("partition", "hihg"),)))


def test_a_question_that_was_asked_ahead_is_not_asked_again(scheduler, site):
    scheduler.ask_ahead()
    scheduler.limits()
    assert (len(site.calls("scontrol")), len(site.calls("sinfo")), len(site.calls("sacctmgr"))) == (2, 1, 2)


def test_a_cluster_that_did_not_answer_is_asked_again(scheduler, site):
    site.says("sinfo", err="Unable to contact slurm controller", code=1)
    with pytest.raises(ClusterError, match="sinfo failed"):
        scheduler.limits()
    site.says("sinfo", RECORDED / "sinfo.txt")
    assert scheduler.limits().max_array_size > 1


def test_a_cluster_that_does_not_answer_is_an_error_of_one_line(scheduler, line):
    line.says("scontrol", err="slurm_load_ctl_conf error: Unable to contact slurm controller\n", code=1)
    with pytest.raises(ClusterError, match="scontrol failed: slurm_load_ctl_conf error"):
        scheduler.limits()


def test_fences_are_lifted_in_one_call_for_all_that_wait_for_the_same(scheduler, line):
    line.says("scontrol", err="slurm_update error: Job has already finished", code=1)
    scheduler.lift_fences({"12": (), "13": ("7", "8"), "14": ()})
    words = [call.split(maxsplit=1)[1].strip() for call in line.calls("scontrol")]  # the first word is the time format
    assert words == ["update JobId=12,14 Dependency=", "update JobId=13 Dependency=afterok:7:8"]


def test_a_throttle_that_cannot_be_changed_is_an_error_and_an_array_that_ended_is_not(scheduler, line):
    line.says("scontrol", err="Job/step already completing or completed", code=1)
    scheduler.set_throttle("12", 5)
    assert line.calls("scontrol")[0].endswith("update JobId=12 ArrayTaskThrottle=5 ")
    line.says("scontrol", err="Access/permission denied", code=1)
    with pytest.raises(ChangeRefused, match="permission denied"):
        scheduler.set_throttle("12", 5)


def test_a_throttle_of_which_nobody_knows_whether_it_was_changed_is_not_called_refused(scheduler, line):
    line.says("scontrol", err="slurm_update error: Unable to contact slurm controller (connect failure)", code=1)
    with pytest.raises(ClusterError, match="the old throttle or the new one") as raised:
        scheduler.set_throttle("12", 5)
    assert not isinstance(raised.value, ChangeRefused)


def test_tasks_of_others_count_among_the_queued(scheduler, line):
    line.says("squeue", "12_1\n12_2\n13\n")
    assert scheduler.count_queued() == 3
