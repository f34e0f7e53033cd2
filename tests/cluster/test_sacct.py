"""What squeue and sacct print, recorded from a real cluster and written by hand for the odd forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster.sacct import WORDS, read_exit, read_id, read_sacct, read_squeue, read_time, read_word
from orchestrator.cluster.scheduler import TaskState

RECORDED = Path(__file__).parents[1] / "recorded" / "slurm"
JOBS = frozenset({"rec-mixed", "rec-cancel", "rec-held", "rec-odd", "rec-requeue", "rec-twin", "rec-preempt", "rec-high"})
WAITING, RUNNING, ENDED, UNCLEAR = TaskState.WAITING, TaskState.RUNNING, TaskState.ENDED, TaskState.UNCLEAR


def squeue(name):
    return read_squeue((RECORDED / f"squeue_{name}.txt").read_text(), JOBS)


def sacct(name):
    return read_sacct((RECORDED / f"sacct_{name}.txt").read_text(), JOBS)


def task(listing, token, index):
    (row,) = [row for row in listing.rows if (row.token, row.index) == (token, index)]
    return row


@pytest.mark.parametrize(
    ("text", "word", "state"),
    [
        ("COMPLETED", "COMPLETED", ENDED),
        ("CANCELLED by 1000", "CANCELLED", ENDED),
        ("CANCELLED+", "CANCELLED", ENDED),
        ("OUT_OF_ME+", "OUT_OF_MEMORY", ENDED),
        ("RE+", "RE", UNCLEAR),  # REQUEUED, RESIZING, REVOKED …
        ("RUNNING+", "RUNNING", RUNNING),
        ("+", "", UNCLEAR),
        ("PD", "PENDING", WAITING),
        ("CG", "COMPLETING", RUNNING),
        ("SUSPENDED", "SUSPENDED", RUNNING),
        ("REQUEUED", "REQUEUED", WAITING),
        ("SPECIAL_EXIT", "SPECIAL_EXIT", WAITING),
        ("NODE_FAIL", "NODE_FAIL", ENDED),
        ("completed", "completed", UNCLEAR),
        ("FINISHED_BY_A_NEW_SLURM", "FINISHED_BY_A_NEW_SLURM", UNCLEAR),
        ("?", "?", UNCLEAR),
        ("", "", UNCLEAR),
    ],
)
def test_a_word_of_slurm_is_looked_up_in_one_table(text, word, state):
    assert read_word(text) == (word, state)


def test_no_word_that_slurm_documents_as_going_on_is_an_end():
    ends = " ".join(sorted(word for word, state in WORDS.items() if state is ENDED))
    assert ends == "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT"


@pytest.mark.parametrize(
    ("text", "indexes", "complete"),
    [
        ("12", (0,), True),
        ("12_0", (0,), True),
        ("12_345", (345,), True),
        ("12_[3]", (3,), True),
        ("12_[0-3%2]", (0, 1, 2, 3), True),
        ("12_[0-10:5,14%7]", (0, 5, 10, 14), True),
        ("12_[1,3-5]", (1, 3, 4, 5), True),
        ("12_[2,9,22,...%7]", (2, 9, 22), False),
        ("12_[2,9,22,…]", (2, 9, 22), False),
        ("12_[2,9,22...]", (2, 9), False),
        ("12_[2,9,22...", (2, 9), False),
        ("12_[1,3,14", (1, 3), False),  # squeue cuts in the middle of a number: 14 may be 144
        ("12_[1-", (), False),
        ("12_[]", (), False),
        ("12_[0-99999999999]", (), False),
    ],
)
def test_an_id_names_its_tasks_and_says_when_it_was_cut_off(text, indexes, complete):
    ids = read_id(text)
    assert (ids.job_id, ids.indexes, ids.complete) == ("12", indexes, complete)


STEPS = [("12_3.batch", "batch", 0), ("12.0", "0", 0), ("12+1.extern", "extern", 1), ("12_3.12+0", "12+0", 0)]


@pytest.mark.parametrize(("text", "step", "part"), STEPS)
def test_an_id_names_its_step_and_component(text, step, part):
    ids = read_id(text)
    assert (ids.job_id, ids.step, ids.part) == ("12", step, part)


@pytest.mark.parametrize("text", ["", "x", "12_", "_3", "12_x", "12 13", "-1", "1\u0662\u0663a"])
def test_what_is_no_id_is_no_id(text):
    assert read_id(text) is None


@pytest.mark.parametrize(
    ("old", "new", "meaning"),
    [
        ("0:0", "0:0", (0, 0)),
        ("3:0", "3:0", (3, 0)),
        ("9:0", "137:0", (9, 0)),
        ("127:0", "255:0", (127, 0)),
        ("0:9", "0:9", (0, 9)),
        ("0:125", "0:125", (0, 125)),
        ("", "", (None, None)),
        ("?:?", "x", (None, None)),
    ],
)
def test_both_conventions_of_exit_codes_mean_the_same(old, new, meaning):
    assert read_exit(old) == read_exit(new) == meaning


@pytest.mark.parametrize("text", ["Unknown", "N/A", "None", "", "0", "2026-13-01T00:00:00"])
def test_a_time_that_is_not_known_is_none(text):
    assert read_time(text) is None


def test_times_are_read_alike_in_both_forms(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    assert read_time("2026-11-20T20:32:07") == read_time("1795206727") == 1795206727.0


def test_the_queue_of_a_real_cluster_is_read_whole():
    listing = squeue("alive")
    assert listing.complete and listing.notes == ()
    held = [row.index for row in listing.rows if row.token == "rec-held"]
    assert held == list(range(0, 41, 2))
    assert [row.index for row in listing.rows if row.token == "rec-odd"][-6:] == [611, 613, 620, 700, 800, 900]
    running = task(listing, "rec-mixed", 7)
    assert (running.state, running.node, running.ended_at) == (RUNNING, "n2", None)
    requeued = task(listing, "rec-requeue", 1)
    assert (requeued.state, requeued.reason, requeued.started_at) == (WAITING, "BeginTime", None)
    assert task(listing, "rec-mixed", 4).oom


def test_a_list_that_squeue_cut_off_is_told_and_not_guessed():
    listing = squeue("default_format")
    assert not listing.complete
    assert [row.index for row in listing.rows if row.token == "rec-odd"] == [1, 3, 5, 8, 13, 21, 34, 55]
    assert listing.notes == ("squeue cut off the list of tasks of job 2937202; those not named are left alone",)


@pytest.mark.parametrize(
    ("index", "word", "code", "signal", "oom"),
    [
        (0, "COMPLETED", 0, 0, False),
        (1, "FAILED", 3, 0, False),
        (2, "FAILED", 9, 0, False),  # exit 137
        (3, "FAILED", 0, 9, False),
        (4, "OUT_OF_MEMORY", 0, 125, True),
        (5, "FAILED", 127, 0, False),  # exit 255
        (6, "COMPLETED", 0, 0, True),  # the step that srun started was killed, the script went on
        (7, "RUNNING", None, None, False),
        (8, "CANCELLED", 0, 0, False),
    ],
)
def test_the_accounting_of_a_real_cluster_tells_how_each_task_ended(index, word, code, signal, oom):
    row = task(sacct("alive"), "rec-mixed", index)
    assert (row.word, row.exit_code, row.signal, row.oom) == (word, code, signal, oom)


def test_who_cancelled_is_kept_and_why_it_once_waited_is_not():
    assert task(sacct("alive"), "rec-mixed", 8).reason == "by 0"
    assert task(sacct("ended"), "rec-cancel", 2).reason == "by 0"
    assert task(sacct("ended"), "rec-mixed", 0).reason == ""


@pytest.mark.parametrize(
    "line",
    [
        "7_1|CANCELLED by 0|0:0|0:0|100|110|110|None assigned|None|t",  # in the queue
        "7_1|FAILED|1:0|0:0|100|100|100|None assigned|BadConstraints|t",  # sbatch was refused
    ],
)
def test_what_ended_without_a_node_has_not_begun(line):
    assert task(read_sacct(line, {"t"}), "t", 1).started_at is None


def test_a_time_limit_is_read_as_such():
    row = task(sacct("ended"), "rec-mixed", 7)
    assert (row.word, row.state, row.exit_code) == ("TIMEOUT", ENDED, 0)


def test_of_a_requeued_task_the_newest_record_counts():
    assert task(sacct("alive"), "rec-requeue", 1).state is WAITING  # REQUEUED, and nothing newer yet
    again = task(sacct("preempted"), "rec-requeue", 1)
    assert (again.state, again.restarts, again.node) == (RUNNING, 1, "n3")
    done = task(sacct("ended"), "rec-requeue", 1)
    assert (done.word, done.restarts) == ("COMPLETED", 1)


def test_a_preempted_task_that_started_again_has_not_ended_by_preemption():
    assert task(sacct("preempted"), "rec-requeue", 2).word == "PREEMPTED"
    again = task(sacct("ended"), "rec-requeue", 2)
    assert (again.word, again.restarts) == ("COMPLETED", 1)


HEAD = "|1:0|0:0|100|110|120|n1|None|"
WAITS = "|PENDING|0:0||{}|Unknown|Unknown|None assigned|None|t"


@pytest.mark.parametrize(
    ("lines", "word", "restarts", "oom"),
    [
        (["7_1|FAILED|1:0|0:0|100|110|120|n1|None|t"], "FAILED", 0, False),
        (["7_1|FAILED|1:0|0:125|100|110|120|n1|None|t"], "FAILED", 0, True),
        (["7_1|FAILED|1:0||100|110|120|n1|None|t", "7_1.0|OUT_OF_ME+|0:125||100|110|120|n1||python"], "FAILED", 0, True),
        (["7_1|FAILED|1:0||100|110|120|n1|None|t", "7_1.extern|OUT_OF_MEMORY|0:125||100|110|120|n1||extern"], "FAILED", 0, True),
        # a requeued task: the older record closed as NODE_FAIL, its steps belong to it
        (
            [
                "7_1|NODE_FAIL|0:0||100|110|120|n1|None|t",
                "7_1.batch|OUT_OF_MEMORY|0:125||100|110|120|n1||batch",
                "7_1|RUNNING|0:0||130|140|Unknown|n2|None|t",
                "7_1.batch|RUNNING|0:0||140|140|Unknown|n2||batch",
            ],
            "RUNNING", 1, False,
        ),
        # the same in the other order: the time of submission decides
        (["7_1|COMPLETED|0:0||130|140|150|n2|None|t", "7_1|PREEMPTED|0:0||100|110|120|n1|None|t"], "COMPLETED", 1, False),
        (["7_1|PREEMPTED|0:0||100|110|120|n1|None|t", "7_[1%4]" + WAITS.format(130)], "PENDING", 1, False),
        # not atomic: the task is still part of a range, and has a record of its own
        (["7_1|RUNNING|0:0||100|110|Unknown|n1|None|t", "7_[1-9]" + WAITS.format(100)], "RUNNING", 0, False),
        (["7_1|MELTED|0:0||100|110|120|n1|None|t"], "MELTED", 0, False),
    ],
)  # fmt: skip
def test_records_of_one_task_are_folded(lines, word, restarts, oom):
    row = task(read_sacct("\n".join(lines), {"t"}), "t", 1)
    assert (row.word, row.restarts, row.oom) == (word, restarts, oom)


def test_an_unknown_word_is_told_and_never_an_end():
    listing = read_sacct("7_1|MELTED|1:0|0:0|100|110|120|n1|None|t", {"t"})
    assert listing.rows[0].state is UNCLEAR
    assert listing.notes == ("sacct says 'MELTED', a state that is not known here; the task is left alone",)


def test_foreign_jobs_and_broken_lines_are_passed_over():
    lines = ["", "garbage", "8|FAILED|1:0||1|1|1|n1|None|a|b|t", f"9_1|FAILED{HEAD}other", f"7+1|FAILED{HEAD}t", f"7_1.batch|FAILED{HEAD}t"]
    assert read_sacct("\n".join(lines), {"t"}).rows == ()
    assert read_squeue("x\n1|PENDING|1|1|1|n|None|a|t\n", {"t"}).rows == ()


def test_steps_of_a_foreign_job_do_not_stick_to_ours():
    text = f"7_1|FAILED{HEAD}t\n7_1|FAILED{HEAD}foreign\n7_1.batch|OUT_OF_MEMORY|0:125||100|110|120|n1||batch"
    assert not task(read_sacct(text, {"t"}), "t", 1).oom


def test_an_id_of_ours_that_cannot_be_read_makes_the_listing_incomplete():
    listing = read_squeue("12@3|PENDING|1|N/A|N/A||None|t", {"t"})
    assert not listing.complete
    assert listing.notes == ("squeue names '12@3', an id that cannot be read",)
