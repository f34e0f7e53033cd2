"""The labelled failures: nearly all are recognised, and none is ever called a success."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.states import State
from tests.faults.corpus import ORIGINS, Labelled, diagnosed, read_case, read_cases, score, untold
from tests.faults.programs import PROGRAMS

ROOT = Path(__file__).parents[1]
CASES = read_cases()
ELSEWHERE = {"stalled", "cancelled_before_start", "never_started"}
"""Causes that are no end of an attempt, and are told without a diagnosis."""


def test_nearly_all_failures_are_recognised_and_none_is_called_a_success() -> None:
    found = score(CASES)
    assert not found.successes
    assert found.right >= 0.95 * found.cases, "\n" + "\n".join((found.summary(), *found.wrong))


def test_the_corpus_is_large_and_shows_each_cause_and_origin() -> None:
    assert len(CASES) >= 120
    assert untold(CASES) == ELSEWHERE
    assert {case.origin for case in CASES} == set(ORIGINS)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_says_where_it_comes_from(case: Labelled) -> None:
    if case.origin == "thread":
        assert case.source.startswith("https://")
    else:
        assert (ROOT / case.source).exists()
    assert len(case.log) < 12_000


def test_a_wrong_diagnosis_is_listed_and_counted() -> None:
    wrong = read_case("cause: gpu_oom\norigin: thread\nsource: x\n---\nKeyError: 3", "odd")
    found = score([wrong, wrong])
    assert (found.right, found.cases) == (0, 2)
    assert found.wrong[0] == "odd: gpu_oom, diagnosed as error"
    assert "gpu_oom taken for error: 2" in found.summary()


@pytest.mark.parametrize(
    "log", ["All 30 epochs done, val/ssim 0.93", "WARNING: CUDA out of memory, falling back to micro_batch=1\ndone", "slurm: COMPLETED 0:0"]
)
@pytest.mark.parametrize("more", ["exit: code 0", "row: sacct COMPLETED 0:0", "row: none"])
def test_a_log_that_sounds_like_success_proves_nothing(log: str, more: str) -> None:
    state, cause = diagnosed(read_case(f"cause: x\norigin: thread\nsource: x\n{more}\n---\n{log}", "fine"))
    assert state is not State.COMPLETED
    assert cause in ("silent_exit", "lost")


def test_each_program_that_fails_has_its_case() -> None:
    assert {case.name for case in CASES if case.origin == "raised"} == {f"raised-{program.name}" for program in PROGRAMS}


@pytest.mark.slow
def test_what_is_really_raised_now_is_recognised_as_what_was_recorded(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tests.faults.raise_failures", str(tmp_path)], cwd=ROOT, check=True)
    found = score(read_cases(tmp_path))
    assert (found.cases, found.wrong) == (len(PROGRAMS), ())
