"""What a failed sbatch means: a certain no, or nobody knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.cluster.command import Answer
from orchestrator.cluster.reply import judge
from orchestrator.store.errors import SubmitRefused, SubmitUnknown

RECORDED = (Path(__file__).parents[1] / "recorded" / "slurm" / "sbatch_failures.txt").read_text()
FAILURES = {label: (text, int(code)) for label, text, code in re.findall(r"### (?!rc)(.*?)\n(.*?)### rc (-?\d+)\n", RECORDED, re.DOTALL)}
NO_ANSWER = {"frozen sbatch", "down sbatch"}


def answer(err, code=1, out=""):
    return Answer(command="sbatch", code=code, out=out, err=err)


@pytest.mark.parametrize("label", sorted(FAILURES))
def test_a_recorded_failure_is_judged(label):
    text, code = FAILURES[label]
    problem = judge(answer(text, code), token="t-1")
    assert type(problem) is (SubmitUnknown if label in NO_ANSWER else SubmitRefused)
    assert str(problem).startswith("t-1: sbatch") and "\n" not in str(problem)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("-p nowhere", ["Invalid partition name specified", "sinfo -s"]),
        ("--mem=900G", ["Requested node configuration is not available", "lower resources"]),
        ("--account=none", ["Invalid account", "--account="]),
        ("MaxSubmitJobs=3 --array=0-9", ["job submit limit", "Launch again"]),
        ("--array=0-5000", ["Invalid job array specification", "MRSWEEP_MAX_ARRAY"]),
    ],
)
def test_a_refusal_holds_slurms_words_and_the_way_out(label, words):
    message = str(judge(answer(*FAILURES[label]), token="t"))
    assert all(word in message for word in words), message


def test_a_refusal_names_the_value_it_speaks_of_and_where_that_was_written():
    asked = {"account": "account=none in p.sh:3", "qos": "qos=long in p.sh:4", "constraint": "constraint=a100 in resources.sbatch"}
    refused = "sbatch refused: Invalid account or account/partition combination specified (account=none in p.sh:3). "
    assert refused in str(judge(answer(*FAILURES["--account=none"]), token="t", asked=asked))
    assert " specification (constraint=a100 in resources.sbatch). " in str(judge(answer(*FAILURES["-C a100"]), token="t", asked=asked))
    assert "(" not in str(judge(answer(*FAILURES["-p nowhere"]), token="t", asked=asked)).partition(".")[0]


@pytest.mark.parametrize(
    ("err", "code"),
    [
        ("", 1),
        ("", None),
        ("", -9),
        ("sbatch: error: Invalid partition", None),  # ran out of time: whatever it said before
        ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", 1),
        ("sbatch: error: Batch job submission failed: Unexpected message received", 1),
        ("sbatch: error: Invalid credential, munge is not there", 1),
        ("Segmentation fault", 1),
        ("\u202eodd words of a plugin", 1),
    ],
)
def test_what_is_no_certain_no_is_unknown(err, code):
    assert isinstance(judge(answer(err, code), token="t"), SubmitUnknown)


def test_chatter_on_stderr_is_no_failure():
    assert judge(answer("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.", 0, "7"), token="t") is None
