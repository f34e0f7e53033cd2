"""The checkers see what they are there for: each is shown a grid in which its promise is broken."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable

import msgspec
import pytest

from orchestrator.cluster.scheduler import ArrayRequest
from orchestrator.store.events import Changed, Ended, Intent, LedgerEvent
from orchestrator.store.ledger import take_pen
from orchestrator.store.records import WATCH
from orchestrator.store.states import State
from orchestrator.worker.claim import StartFile
from orchestrator.worker.outcome import Result
from tests.faults.promises import MOST_ATTEMPTS, read_evidence
from tests.faults.world import World


def finished(world: World) -> str:
    """Compute two runs, and return the first."""
    world.launch(1, 2)
    assert world.settle() == []
    return min(read_evidence(world.paths).manifests)


def write(world: World, *events: LedgerEvent) -> None:
    with take_pen(world.paths) as pen:
        pen.write(*events)


def test_finished_grid_breaks_nothing(world: World) -> None:
    finished(world)
    assert world.check(at_rest=True) == []


def lose_manifest(world: World, run: str) -> None:
    lines = world.paths.manifest.read_text().splitlines(keepends=True)
    world.paths.manifest.write_text("".join(line for line in lines if run not in line))


def damage_proof(world: World, run: str) -> None:
    world.paths.run(run).attempt(1).result.write_text("{}")


def forge_proof(world: World, run: str) -> None:
    attempt = world.paths.run(run).attempt(1)
    attempt.end.unlink()
    attempt.result.write_bytes(msgspec.json.encode(Result(run=run, attempt=1, at=1.0)))


def begin_again(world: World, run: str) -> None:
    world.pass_time(10.0)
    shutil.copytree(world.paths.run(run).attempt(1).dir, world.paths.run(run).attempt(2).dir)
    start = world.paths.run(run).attempt(2).start
    later = msgspec.structs.replace(msgspec.json.decode(start.read_bytes(), type=StartFile), at=world.cluster.now)
    start.write_bytes(msgspec.json.encode(later))


def allot_again(world: World, run: str) -> None:
    write(world, Intent(at=world.cluster.now, token="again", runs=((run, 1),), tasks=1, max_parallel=1))


def delete_attempt(world: World, run: str) -> None:
    shutil.rmtree(world.paths.run(run).attempt(1).dir)


def copy_to_trash(world: World, run: str) -> None:
    shutil.copytree(world.paths.run(run).dir, world.paths.trash / run)


def call_cancelled(world: World, run: str) -> None:
    write(world, *(Changed(at=world.cluster.now, run=run, state=state) for state in (State.PRUNED, State.CANCELLED)))


def call_failed(world: World, run: str) -> None:
    write(world, Changed(at=world.cluster.now, run=run, state=State.PRUNED))
    write(world, Ended(at=world.cluster.now, run=run, attempt=1, state=State.FAILED))


def try_for_ever(world: World, run: str) -> None:
    tries = range(2, MOST_ATTEMPTS + 3)
    write(world, *(Intent(at=1.0, token=f"t{n}", runs=((run, n),), tasks=1, max_parallel=1, reason=WATCH) for n in tries))


def plan_again(world: World, run: str) -> None:
    write(world, *(Changed(at=world.cluster.now, run=run, state=state) for state in (State.PRUNED, State.PLANNED)))


def leave_twin(world: World, run: str) -> None:
    job = world.cluster.jobs[0]
    job.tasks[0].state = job.tasks[0].state.WAITING


BROKEN: list[tuple[Callable[[World, str], None], str]] = [
    (lose_manifest, "is lost: manifest.jsonl does not hold it"),
    (damage_proof, "is completed, and no result.json has its hash"),
    (forge_proof, "is completed, and no result.json has its hash"),
    (begin_again, "was done, and attempt 2.0 began later"),
    (begin_again, "was started and never allotted"),
    (allot_again, "was allotted 2 times"),
    (delete_attempt, "attempt-1 of run .* is gone"),
    (copy_to_trash, "lies in its place and in the trash"),
    (call_cancelled, "is cancelled, and nobody wished it"),
    (call_failed, "counts as failed, and did not fail"),
    (try_for_ever, "was tried 61 times and nobody asked"),
    (plan_again, "is planned, and nobody is busy with it"),
    (leave_twin, "is left over"),
]


@pytest.mark.parametrize(("harm", "sentence"), BROKEN)
def test_broken_promise_is_told(world: World, harm: Callable[[World, str], None], sentence: str) -> None:
    run = finished(world)
    harm(world, run)
    found = world.check(at_rest=True)
    assert any(re.search(sentence, told) for told in found), found


def request_of(world: World, token: str) -> ArrayRequest:
    content = world.paths.submission(token).request.read_bytes()
    return msgspec.json.decode(content, type=ArrayRequest, dec_hook=lambda kind, text: kind(text))


def test_two_living_attempts_of_a_run_are_told(world: World) -> None:
    world.launch(1, 2)
    world.pass_time(1.0)
    token = world.cluster.jobs[0].token
    shutil.copytree(world.paths.submission(token).dir, world.paths.submission("again").dir)
    table = world.paths.submission("again").table
    table.write_text(table.read_text().replace('"attempt":1', '"attempt":2'))
    again = msgspec.structs.replace(request_of(world, token), token="again", folder=world.paths.submission("again").dir)
    world.cluster.take(again)
    assert sum("has living attempts [1, 2]" in told for told in world.check()) == 2


def test_array_that_runs_twice_is_told(world: World) -> None:
    world.launch(1, 2)
    world.cluster.take(request_of(world, world.cluster.jobs[0].token)).fenced = False
    world.pass_time(1.0)
    assert any("ran at once" in told for told in world.check())


def test_job_of_a_stranger_that_was_cancelled_is_told(world: World) -> None:
    world.launch(1)
    job = world.cluster.jobs[0]
    world.cluster.forget(job, stranger=True)
    assert world.check() == []
    world.cluster.scancel(world.cluster.jobs[0])
    assert world.check() == ["a job of somebody else was cancelled"]
