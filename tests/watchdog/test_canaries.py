"""Canaries: which runs go first, when the others follow, and who lets them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from orchestrator.grid.manifest import Manifest
from orchestrator.launch.canary import Verdict, choose_canaries, judge_canaries
from orchestrator.store import files
from orchestrator.store.records import Record
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.proposal import Canary, carry_out, propose
from tests.watchdog.study import Study


def manifest(number: int, **varying: Any) -> Manifest:
    return Manifest(id=f"{number:016x}", version=1, config=varying, varying=varying)


GRID = [
    manifest(number, blocks=blocks, lr=lr, seed=seed)
    for number, (blocks, lr, seed) in enumerate(product((1, 5, 10), (1e-3, 1e-4), (0, 1, 2)))
]


def test_canaries_cover_the_values_of_every_axis_first() -> None:
    chosen = [one for one in GRID if one.id in choose_canaries(GRID, 3)]
    assert {one.varying["blocks"] for one in chosen} == {1, 5, 10}
    assert {one.varying["seed"] for one in chosen} == {0, 1, 2}
    assert {one.varying["lr"] for one in chosen} == {1e-3, 1e-4}


@pytest.mark.parametrize(("count", "chosen"), [(0, 0), (1, 1), (18, 18), (99, 18)])
def test_never_more_canaries_than_runs_and_none_twice(count: int, chosen: int) -> None:
    ids = choose_canaries(GRID, count)
    assert len(ids) == len(set(ids)) == chosen


def test_grid_without_runs_has_no_canary() -> None:
    assert choose_canaries([], 3) == ()


RUNNING, DONE, BAD = (Record(id=word, state=state) for word, state in (("r", State.RUNNING), ("d", State.COMPLETED), ("f", State.FAILED)))
VERDICTS = [
    ([DONE, DONE], {}, None, Verdict.PASSED),
    ([DONE, RUNNING], {"r": 100}, None, Verdict.OPEN),
    ([DONE, RUNNING], {"r": 10}, 10, Verdict.PASSED),
    ([DONE, RUNNING], {"r": 9}, 10, Verdict.OPEN),
    ([DONE, RUNNING], {"r": None}, 10, Verdict.OPEN),
    ([DONE, BAD], {}, 10, Verdict.FAILED),
    ([RUNNING, BAD], {"r": 100}, 10, Verdict.FAILED),
    ([DONE, Record(id="c", state=State.CANCELLED)], {}, None, Verdict.FAILED),
    ([DONE, Record(id="b", state=State.BLOCKED)], {}, None, Verdict.FAILED),
]


@pytest.mark.parametrize(("canaries", "steps", "enough", "verdict"), VERDICTS)
def test_canaries_are_through_when_each_has_completed_or_passed_the_step(
    canaries: list[Record], steps: dict[str, int | None], enough: int | None, verdict: Verdict
) -> None:
    assert judge_canaries(canaries, steps, enough) is verdict


def launch_with_canaries(study: Study, count: int, *seeds: int, step: int | None = None) -> None:
    proposal = propose(study.draft(*seeds), study.site, canary=Canary(count=count, step=step))
    carry_out(proposal, study.folder, sleep=study.clock.wait)


def test_only_the_canaries_are_submitted_and_the_others_follow_when_these_completed(study: Study) -> None:
    launch_with_canaries(study, 2, 1, 2, 3, 4)
    assert (study.submitted(), study.states(3, 4)) == ([[1, 2]], [State.HELD, State.HELD])
    study.finish(1)
    assert study.watch().is_open
    assert study.submitted() == [[1, 2]]
    study.finish(2)
    assert study.watch().told[0] == "the canaries are through: 2 runs follow"
    assert study.submitted() == [[1, 2], [3, 4]]
    assert study.watch().told == ()


def test_others_follow_at_the_step_that_was_named(study: Study) -> None:
    launch_with_canaries(study, 1, 1, 2, step=5)
    study.start(1)
    study.watch()
    attempt = study.paths.run(study.record(1).id).attempt(1)
    attempt.dir.mkdir(parents=True)
    attempt.metrics.write_text('{"step": 4, "loss": 1}\n')
    study.watch()
    assert study.submitted() == [[1]]
    attempt.metrics.write_text('{"step": 5, "loss": 1}\n')
    study.watch()
    assert study.submitted() == [[1], [2]]


def test_failed_canary_keeps_the_others_held_until_a_person_decides(study: Study) -> None:
    launch_with_canaries(study, 1, 1, 2, 3)
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    watched = study.watch()
    assert (study.states(2, 3), watched.is_open) == ([State.HELD, State.HELD], False)
    assert study.record(2).reason == f"canary {study.record(1).id[:8]} is failed (error)"
    assert watched.told == (f"{study.record(2).reason}: 2 runs stay held; let them go with: mrsweep launch g --resume",)
    assert study.watch().told == ()
    carry_out(propose(study.draft(1, 2, 3), study.site, resume_by="ada"), study.folder, resume_by="ada", sleep=study.clock.wait)
    assert study.submitted() == [[1], [2, 3]]


def test_launch_without_canaries_leaves_those_that_wait_for_the_earlier_ones(study: Study) -> None:
    launch_with_canaries(study, 1, 1, 2)
    study.launch(1, 2, 3)
    assert (study.submitted(), study.states(2)) == ([[1], [3]], [State.HELD])
    study.finish(1, 3)
    study.watch()
    assert study.submitted() == [[1], [3], [2]]


def test_canary_that_is_tried_again_has_not_failed(study: Study) -> None:
    launch_with_canaries(study, 1, 1, 2, 3)
    study.end(1, state=State.FAILED, cause=Cause.HOST_OOM)
    [sentence] = study.watch().told
    assert "requeued as attempt 2 (host_oom" in sentence
    assert study.record(2).reason == "waits for the canaries"


def test_launch_that_was_cut_off_once_it_counts_lets_only_the_canaries_go(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[Path | str] = []

    def die_once_launched(operation: str, path: Path | str) -> None:
        if study.paths.settings.exists() and not died:
            died.append(path)
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "check_point", die_once_launched)
    with pytest.raises(KeyboardInterrupt):
        launch_with_canaries(study, 1, 1, 2, 3)
    study.watch()
    assert (study.submitted(), study.states(2, 3)) == ([[1]], [State.HELD] * 2)
