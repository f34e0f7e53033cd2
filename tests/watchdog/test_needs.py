"""Runs that start from another grid's results: made when those are there, once, and never anew because others are better now."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.grid.spec import read_spec
from orchestrator.launch.apply import Draft, make_draft
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.runs import prune
from orchestrator.results.select import Selection
from orchestrator.store.events import Ended, Started
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records
from orchestrator.store.states import State
from orchestrator.watchdog.picture import take_picture
from orchestrator.watchdog.proposal import carry_out, propose
from orchestrator.watchdog.watch import Round, watch_once
from orchestrator.worker.outcome import Result, sha256
from tests.watchdog.study import Study

FROM_THE_BEST = ["needs: {weights: {grid: g, pick: best}}"]
FROM_TWO = [
    "cases:",
    "  one: {config: {start: first}, needs: {weights: {grid: g, where: 'seed=1'}}}",
    "  two: {config: {start: best}, needs: {weights: {grid: g, pick: best}}}",
]


class Follower:
    """A grid whose runs start from those of a study."""

    def __init__(self, study: Study, needs: Sequence[str] = FROM_THE_BEST, name: str = "next") -> None:
        self._study, self._needs, self._name = study, needs, name
        self.paths = GridPaths(study.folder / "runs" / name)

    def draft(self) -> Draft:
        file = self._study.folder / f"{self._name}.yaml"
        file.write_text("\n".join([f"name: {self._name}", "entry: study:train", "code: none", "grid: {x: [1]}", *self._needs, ""]))
        return make_draft(read_spec(file), self._study.folder / "runs", project=self._study.folder)

    def launch(self) -> None:
        carry_out(propose(self.draft(), self._study.site), self._study.folder, sleep=self._study.clock.wait)

    def watch(self) -> Round:
        return watch_once(self.grid, self._study.site, sleep=self._study.clock.wait)

    @property
    def grid(self) -> OpenGrid:
        return OpenGrid(self.paths)


def complete(study: Study, *seeds: int) -> None:
    """Let the ledger say that runs completed, a higher seed with a better value; their checkpoints lie on disk."""
    for seed in seeds:
        record = study.record(seed)
        checkpoint = study.paths.run(record.id).attempt(1).checkpoint
        checkpoint.mkdir(parents=True)
        (checkpoint / "last.pt").write_bytes(bytes([seed]))
        started = Started(at=1.0, run=record.id, attempt=1, token=record.token, index=record.index, host="node1")
        ended = Ended(at=2.0, run=record.id, attempt=1, state=State.COMPLETED, sha256="ab", best=float(seed))
        with study.pen() as pen:
            pen.write(started, ended)


def complete_unseen(paths: GridPaths, run: str) -> None:
    """Let a worker complete a run; nobody has recorded it."""
    token, attempt = read_records(paths).get(run).token, paths.run(run).attempt(1)
    attempt.checkpoint.mkdir(parents=True)
    attempt.result.write_bytes(msgspec.json.encode(Result(run=run, attempt=1)))
    started = Started(at=1.0, run=run, attempt=1, token=token, index=0, host="node1")
    ended = Ended(at=2.0, run=run, attempt=1, state=State.COMPLETED, sha256=sha256(attempt.result.read_bytes()), best=1.0)
    with paths.submission(token).journal(0).open("ab") as stream:
        stream.writelines(msgspec.json.encode(line) + b"\n" for line in (started, ended))


def prune_run(study: Study, seed: int) -> None:
    quiet = Snapshot(taken_at=study.clock(), queue_ok=True, accounting_ok=True, tasks={})
    with study.pen() as pen:
        assert prune(pen, study.grid, {study.manifest(seed).id: "by hand"}, quiet, by="ada") == []


def needed(study: Study, follower: Follower) -> list[int]:
    """Return the seeds whose results the follower's runs start from."""
    seeds = {manifest.id: manifest.config["seed"] for manifest in study.grid.manifests.values()}
    return [seeds[manifest.needs["weights"].run] for manifest in follower.grid.manifests.values()]


@pytest.fixture
def waiting(study: Study) -> Follower:
    """A follower that was launched before the runs that it needs had completed."""
    study.launch(1, 2)
    follower = Follower(study)
    follower.launch()
    return follower


def test_run_that_waited_is_made_and_submitted_in_the_round_that_finds_its_need_met(study: Study, waiting: Follower) -> None:
    complete(study, 1, 2)
    watched = waiting.watch()
    assert watched.told == ("1 run has now what was waited for",)
    assert needed(study, waiting) == [2]
    assert len(study.scheduler.jobs) == 2
    assert [record.state for record in watched.look.records.runs.values()] == [State.QUEUED]


def test_round_in_which_a_need_is_not_met_tells_of_it_and_writes_nothing(study: Study, waiting: Follower) -> None:
    complete(study, 1)
    before = sorted(path.name for path in waiting.paths.dir.rglob("*"))
    watched = waiting.watch()
    assert (watched.told, watched.waiting) == ((), ("1 run waits for results of g",))
    assert sorted(path.name for path in waiting.paths.dir.rglob("*")) == before


def test_result_of_a_grid_that_nobody_watches_is_enough(study: Study, waiting: Follower) -> None:
    study.end(1, 2)
    for seed in (1, 2):
        study.paths.run(study.manifest(seed).id).attempt(1).checkpoint.mkdir()
    assert study.states(1, 2) == [State.QUEUED, State.QUEUED]
    assert waiting.watch().told == ("1 run has now what was waited for",)


def test_grids_that_need_each_other_in_turn_can_all_be_launched_before_the_first_has_results(study: Study, waiting: Follower) -> None:
    last = Follower(study, ["needs: {weights: {grid: next, where: 'x=1'}}"], name="last")
    last.launch()
    assert (last.watch().waiting, dict(last.grid.manifests)) == (("1 run waits for results of next",), {})
    complete(study, 1, 2)
    waiting.watch()
    assert last.watch().waiting == ("1 run waits for results of next",)
    [manifest] = waiting.grid.manifests.values()
    complete_unseen(waiting.paths, manifest.id)
    assert last.watch().told == ("1 run has now what was waited for",)


def test_status_says_what_a_grid_without_runs_waits_for(study: Study, waiting: Follower) -> None:
    told = "Its runs start from results of g; they are made when these are there, by: mrsweep watch next"
    assert take_picture(waiting.grid, study.site, Selection()).notes == (told,)
    complete(study, 1, 2)
    waiting.watch()
    assert take_picture(waiting.grid, study.site, Selection()).notes == ()


def test_run_is_not_made_anew_when_another_result_is_now_the_best(study: Study) -> None:
    study.launch(1, 2)
    complete(study, 1, 2)
    follower = Follower(study)
    follower.launch()
    study.launch(1, 2, 3)
    complete(study, 3)
    jobs = len(study.scheduler.jobs)
    assert follower.watch().told == ()
    assert (needed(study, follower), len(study.scheduler.jobs)) == ([2], jobs)


def test_pruned_runs_that_nothing_started_from_are_neither_waited_for_nor_chosen(study: Study) -> None:
    study.launch(1, 2, 3)
    complete(study, 1, 3)
    study.end(2, state=State.FAILED)
    study.watch()
    prune_run(study, 2)
    prune_run(study, 3)
    follower = Follower(study)
    follower.launch()
    assert needed(study, follower) == [1]


def test_nothing_starts_from_a_grid_whose_runs_are_all_in_the_trash(study: Study) -> None:
    study.launch(1)
    complete(study, 1)
    prune_run(study, 1)
    assert len(Follower(study).draft().waiting) == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_prune_of_a_result_changes_no_run_that_was_made_from_it_or_from_another(study: Study, seed: int) -> None:
    study.launch(1, 2)
    complete(study, 1, 2)
    follower = Follower(study, FROM_TWO)
    follower.launch()
    assert needed(study, follower) == [1, 2]
    prune_run(study, seed)
    assert [manifest.needs["weights"].run for manifest in follower.draft().today] == [study.manifest(1).id, study.manifest(2).id]


def test_interrupted_run_goes_out_again_though_the_grid_that_it_started_from_is_gone(study: Study) -> None:
    study.launch(1)
    complete(study, 1)
    follower = Follower(study)
    follower.launch()
    study.paths.dir.rename(study.folder / "archived")
    study.scheduler.move(study.scheduler.jobs[-1], state=TaskState.ENDED, word="NODE_FAIL")
    [sentence] = follower.watch().told
    assert "requeued as attempt 2 (never_started" in sentence
    assert len(study.scheduler.jobs) == 3
