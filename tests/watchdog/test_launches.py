"""Launching again and again: what is on its way stays so, what is new goes out, and only what was launched is watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.store.states import State
from orchestrator.watchdog.proposal import expand_only
from orchestrator.worker.starting import read_manifest
from tests.watchdog.study import Study


def test_launch_submits_every_run_once(study: Study) -> None:
    study.launch(1, 2, 3)
    assert study.submitted() == [[1, 2, 3]]
    assert study.states(1, 2, 3) == [State.QUEUED] * 3


def test_second_launch_submits_nothing(study: Study) -> None:
    study.launch(1, 2, 3)
    again = study.launch(1, 2, 3)
    assert (again.tokens, study.submitted()) == ((), [[1, 2, 3]])


def test_launch_after_an_edit_submits_only_what_is_new(study: Study) -> None:
    study.launch(1, 2)
    study.launch(1, 2, 3)
    assert study.submitted() == [[1, 2], [3]]


def test_waiting_run_that_an_edit_left_out_is_submitted_only_when_it_is_asked_for_again(study: Study) -> None:
    study.scheduler.max_array_size = 1
    study.more = ["resources: {max_parallel: 1}"]
    study.launch(1, 2)
    study.launch(1)
    study.finish(1)
    study.watch()
    assert study.submitted() == [[1]]
    study.launch(1, 2)
    assert study.submitted() == [[1], [2]]


def test_interrupted_run_goes_out_again_with_the_next_attempt_number(study: Study) -> None:
    study.launch(1, 2)
    study.lose(1)
    study.launch(1, 2)
    assert study.submitted() == [[1, 2], [1]]
    assert study.record(1).attempt == 2


def test_interrupted_run_whose_task_lives_is_left_to_slurm_by_launch(study: Study) -> None:
    study.launch(1)
    study.end(1, state=State.INTERRUPTED)
    study.launch(1)
    assert study.submitted() == [[1]]


def test_watch_leaves_alone_what_was_only_expanded_since_the_launch(study: Study) -> None:
    study.launch(1)
    expand_only(study.draft(1, 2))
    study.finish(1)
    watched = study.watch()
    assert study.submitted() == [[1]]
    assert not watched.is_open


def test_launch_submits_what_was_only_expanded_before(study: Study) -> None:
    study.launch(1)
    expand_only(study.draft(1, 2))
    study.launch(1, 2)
    study.finish(1)
    watched = study.watch()
    assert study.submitted() == [[1], [2]]
    assert watched.is_open


@pytest.fixture
def shorter(study: Study) -> Study:
    """A study of three runs that go out one after the other, of which an expand since the launch leaves out the last."""
    study.scheduler.max_array_size = 1
    study.more = ["resources: {max_parallel: 1}"]
    study.launch(1, 2, 3)
    expand_only(study.draft(1, 2))
    return study


def test_what_was_launched_goes_on_though_a_file_without_it_was_expanded_since(shorter: Study) -> None:
    for seed in (1, 2):
        shorter.finish(seed)
        shorter.watch()
    assert shorter.submitted() == [[1], [2], [3]]
    assert shorter.records.orphans == set()


def test_launch_of_a_file_that_was_expanded_before_leaves_out_what_the_file_leaves_out(shorter: Study) -> None:
    shorter.launch(1, 2)
    for seed in (1, 2):
        shorter.finish(seed)
        shorter.watch()
    assert shorter.submitted() == [[1], [2]]
    assert shorter.records.orphans == {shorter.manifest(3).id}


def test_workers_read_the_truth_after_a_launch_that_was_killed_between_it_and_the_folders_of_runs(study: Study) -> None:
    def die(file: Path) -> None:
        raise KeyboardInterrupt

    study.more = ["config: {micro: 4}", "runtime: [micro]"]
    study.launch(1)
    study.lose(1)
    study.more = ["config: {micro: 8}", "runtime: [micro]", "resources: {mem_gb: 8}"]
    run_id = study.manifest(1).id
    study.at_next("write", study.paths.run(run_id).dir, die)
    with pytest.raises(KeyboardInterrupt):
        study.launch(1)
    study.launch(1)
    manifest = read_manifest(study.paths, run_id)
    assert manifest is not None and (manifest.config["micro"], manifest.resources.mem_gb) == (8, 8.0)
    assert manifest == study.grid.manifests[run_id]


def test_launch_with_nothing_to_submit_still_makes_its_file_the_one_that_counts(study: Study) -> None:
    study.launch(1, 2)
    study.more = ["resources: {max_parallel: 7}"]
    study.launch(1, 2)
    assert study.submitted() == [[1, 2]]
    assert study.grid.spec.max_parallel == 7


def test_until_the_next_launch_the_launched_file_counts_and_not_one_that_was_only_expanded(study: Study) -> None:
    study.launch(1)
    before = study.grid.spec.max_parallel
    study.more = ["resources: {max_parallel: 7}"]
    expand_only(study.draft(1))
    assert study.grid.spec.max_parallel == before != 7
