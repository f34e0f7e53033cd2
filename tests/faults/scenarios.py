"""The commands that the campaign breaks: how the world stands before, what is asked, and what must have become of the runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.store.ledger import read_records
from orchestrator.store.states import State
from tests.faults.acts import Fault, Mode
from tests.faults.promises import read_evidence
from tests.faults.world import World

TWO_CLASSES = ("resources: {mem_gb: {by: seed, 1: 1, 2: 1, 3: 2, 4: 2, 5: 2}}",)
NARROW = (TWO_CLASSES[0].replace("{mem", "{max_parallel: 2, mem"),)
PACKED = ("pack: {per_task: 3, per_gpu: 2}",)
C, F, X, P = State.COMPLETED, State.FAILED, State.CANCELLED, State.PRUNED


@dataclass(frozen=True)
class Scenario:
    """One command in one situation."""

    verb: str
    situation: str
    prepare: Callable[[World], object]
    argv: tuple[str, ...]
    ends: dict[int, tuple[State, ...]]
    """Seed → the states that its run may have in the end."""
    more: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.verb} {self.situation}"


def launched(world: World, *seeds: int, seconds: float = 2.0) -> None:
    world.launch(*(seeds or (1, 2, 3, 4)))
    world.pass_time(seconds)


def new(world: World) -> None:
    world.write_grid(1, 2, 3, 4)


def changed(world: World) -> None:
    launched(world)
    world.watch()
    world.write_grid(2, 3, 4, 5)


def interrupted(world: World) -> None:
    launched(world)
    world.watch()
    for job, task in list(world.cluster.running())[:2]:
        world.cluster.lose_node(job, task, requeue=False, zombie=False)
    world.pass_time(11.0)


def unanswered(how: Mode) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.write_grid(1, 2, 3, 4)
        before = world.keep()
        points = world.run("launch", "g.yaml", "--yes").act.points
        number = next(point.number for point in points if point.operation == "sbatch")
        world.bring_back(before)
        world.run("launch", "g.yaml", "--yes", fault=Fault(number, how))
        world.pass_time(2.0)

    return prepare


def drained(world: World) -> None:
    """Of two arrays the first is done, and the second is held back by its throttle."""
    world.cluster.run_s = 1e6
    world.launch(1, 2, 3, 4, 5)
    first = world.cluster.jobs[0]
    while first.lives:
        for task in first.tasks:
            if task.worker:
                task.worker.run_s = 0.0
        world.pass_time(1.0)
    world.cluster.run_s = 10.0
    for _, task in world.cluster.running():
        if task.worker:
            task.worker.run_s = 10.0


def fixed(world: World) -> None:
    """As drained, and the cluster allows nobody to change a throttle."""
    drained(world)
    before = world.keep()
    points = world.watch().act.points
    number = next(point.number for point in points if point.operation == "scontrol")
    world.bring_back(before)
    world.watch(fault=Fault(number, Mode.NO))


def failed(world: World) -> None:
    launched(world)
    for _, task in list(world.cluster.running())[:2]:
        if task.worker:
            world.failed |= {start.run for start in task.worker.computing}
            task.worker.fail(world.cluster.now)
    for _ in range(3):
        world.pass_time(11.0)
        world.watch()


def to_cancel(world: World) -> None:
    world.cluster.capacity = 2
    launched(world)
    world.watch()
    world.cancelled |= read_evidence(world.paths).manifests


def pruned(world: World) -> None:
    failed(world)
    world.run("prune", "g", "--state", "failed", "--yes")
    assert sum(record.state is P for record in read_records(world.paths).runs.values()) >= 1


ALL = dict.fromkeys((1, 2, 3, 4), (C,))
ALL_FIVE = dict.fromkeys((1, 2, 3, 4, 5), (C,))
LAUNCH = ("launch", "g.yaml", "--yes")
WATCH = ("watch", "g", "--once")
FIRST_TWO = {1: (F,), 2: (F,), 3: (C,), 4: (C,)}

SCENARIOS = (
    Scenario("launch", "of a new grid", new, LAUNCH, ALL, TWO_CLASSES),
    Scenario("launch", "of packed runs", new, LAUNCH, ALL, PACKED),
    Scenario("launch", "of a changed grid", changed, LAUNCH, ALL_FIVE),
    Scenario("watch", "that requeues", interrupted, WATCH, ALL),
    Scenario("watch", "that requeues packed runs", interrupted, WATCH, ALL, PACKED),
    Scenario("watch", "that settles what was taken", unanswered(Mode.LOST), WATCH, ALL, TWO_CLASSES),
    Scenario("watch", "that settles what was never heard", unanswered(Mode.SILENCE), WATCH, ALL, TWO_CLASSES),
    Scenario("watch", "that raises a throttle", drained, WATCH, ALL_FIVE, NARROW),
    Scenario("watch", "that moves runs", fixed, WATCH, ALL_FIVE, NARROW),
    Scenario("requeue", "of failed runs", failed, ("requeue", "g", "--state", "failed", "--yes"), ALL),
    Scenario("requeue", "of packed failed runs", failed, ("requeue", "g", "--state", "failed", "--yes"), ALL, PACKED),
    Scenario("cancel", "of some", to_cancel, ("cancel", "g", "--where", "seed>1", "--yes"), {1: (C,), 2: (X, C), 3: (X,), 4: (X,)}),
    Scenario(
        "cancel",
        "of some packed runs",
        to_cancel,
        ("cancel", "g", "--where", "seed>1", "--yes"),
        {1: (C,), 2: (X, C), 3: (X, C), 4: (X, C)},
        PACKED,
    ),
    Scenario("prune", "of failed runs", failed, ("prune", "g", "--state", "failed", "--yes"), {1: (P,), 2: (P,), 3: (C,), 4: (C,)}),
    Scenario("restore", "of failed runs", pruned, ("restore", "g", "--yes"), FIRST_TWO),
)
