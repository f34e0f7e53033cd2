"""The grid, the model of Slurm, the people and the faults as one state machine; what comes next is Hypothesis's choice."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.cluster.scheduler import TaskState
from orchestrator.store.files import read_lines
from orchestrator.worker.submission import decode_row
from tests.faults.acts import CALLS, DISK, Fault, Mode
from tests.faults.model import Job, Task
from tests.faults.promises import read_evidence
from tests.faults.world import World

SEEDS = (1, 2, 3, 4)
seeds = st.sets(st.sampled_from(SEEDS), min_size=1).map(sorted)
one_seed = st.sampled_from(SEEDS)
choice = st.integers(0, 11)
hosts = st.sampled_from(("login1", "login2"))
yes_or_no = st.booleans()
mostly = st.sampled_from((True, True, True, True, False))
seldom = mostly.map(lambda value: not value)

GRIDS = (
    (),
    ("resources: {mem_gb: {by: seed, 1: 1, 2: 1, 3: 2, 4: 2}, max_parallel: 2}",),
    ("pack: {per_task: 3, per_gpu: 2}",),
    ("resources: {max_parallel: 2}",),
)
disk_faults = st.builds(Fault, st.integers(1, 60), st.sampled_from((*DISK, Mode.TORN, Mode.HOLLOW)), st.just(""))
call_faults = st.sampled_from([Fault(number, mode, call) for call, modes in CALLS.items() for mode in modes for number in (1, 2)])
faults = st.one_of(disk_faults, call_faults)
VERBS = {
    "watch": ("watch", "g", "--once"),
    "launch": ("launch", "g.yaml", "--yes"),
    "requeue": ("requeue", "g", "--yes"),
    "cancel": ("cancel", "g", "--yes", "--where", "seed=3"),
    "prune": ("prune", "g", "--yes", "--state", "failed", "--state", "cancelled"),
    "restore": ("restore", "g", "--yes"),
}


class Machine(RuleBasedStateMachine):
    """One grid from its launch until all is at rest."""

    steps = 0
    """Of all examples together."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._folder = Path(tempfile.mkdtemp(prefix="mrsweep-model-"))

    @initialize(more=st.sampled_from(GRIDS), asked=seeds, small=yes_or_no)
    def begin(self, more, asked, small):
        self.world = World(self._folder / "a project", self._patch, more=more)
        self.world.max_array = 2 if small else 1001
        self.world.cluster.capacity = 2 if small else 6
        self.world.launch(*asked)
        self.world.pass_time(1.0)

    @rule(asked=seeds)
    def launch(self, asked):
        self.world.launch(*asked)

    @rule(host=hosts)
    def watch(self, host):
        self.world.watch(host=host)

    @rule(seed=one_seed)
    def cancel(self, seed):
        self._hear_of_a_cancel()
        self.world.run("cancel", "g", "--yes", "--where", f"seed={seed}")

    @rule(verb=st.sampled_from(("requeue", "prune", "restore")))
    def ask_for(self, verb):
        self.world.run(*VERBS[verb])

    @rule(verb=st.sampled_from(sorted(VERBS)), fault=faults)
    def break_a_verb(self, verb, fault):
        if verb == "cancel":
            self._hear_of_a_cancel()
        self.world.run(*VERBS[verb], fault=fault)

    @rule(fault=faults)
    def break_a_round(self, fault):
        self.world.watch(fault=fault)

    @rule(seconds=st.sampled_from((1, 5, 11, 31, 120)))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    @rule(seconds=st.sampled_from((5, 11, 31)))
    def pass_time_watched(self, seconds):
        self.world.cluster.controller_up = True
        for _ in range(3):
            self.world.pass_time(seconds)
            self.world.watch()

    @precondition(lambda self: self._running())
    @rule(chosen=choice, requeue=yes_or_no, zombie=yes_or_no, seen=yes_or_no)
    def lose_a_node(self, chosen, requeue, zombie, seen):
        job, task = self._hit(chosen)
        self.world.cluster.lose_node(job, task, requeue=requeue, zombie=zombie)
        self._look(seen)

    @precondition(lambda self: self._running())
    @rule(chosen=choice, requeue=yes_or_no, warned=yes_or_no, seen=yes_or_no)
    def preempt(self, chosen, requeue, warned, seen):
        job, task = self._hit(chosen)
        self.world.cluster.preempt(job, task, requeue=requeue, warned=warned)
        self._look(seen)

    @precondition(lambda self: self._running())
    @rule(chosen=choice)
    def reach_the_time_limit(self, chosen):
        self.world.cluster.time_out(self._hit(chosen)[1])

    @precondition(lambda self: self._running())
    @rule(chosen=choice)
    def run_out_of_memory(self, chosen):
        _, task = self._hit(chosen)
        self.world.failed |= self._computed_by(task)
        self.world.cluster.kill_for_memory(task)

    @precondition(lambda self: self._running())
    @rule(chosen=choice)
    def raise_an_error(self, chosen):
        _, task = self._hit(chosen)
        self.world.failed |= self._computed_by(task)
        task.worker.fail(self.world.cluster.now)

    @precondition(lambda self: self._running())
    @rule(chosen=choice, requeue=yes_or_no)
    def die_between_proof_and_journal(self, chosen, requeue):
        job, task = self._hit(chosen)
        task.worker.prove_and_vanish(self.world.cluster.now)
        self.world.cluster.lose_node(job, task, requeue=requeue, zombie=False)

    @precondition(lambda self: self._alive())
    @rule(chosen=choice, whole=yes_or_no)
    def scancel(self, chosen, whole):
        alive = self._alive()
        job, task = alive[chosen % len(alive)]
        tasks = job.tasks if whole else [task]
        for each in tasks:
            self.world.cancelled |= self._held_by(job, each)
        self.world.cluster.scancel(job, None if whole else {task.index})

    @precondition(lambda self: self._untouched())
    @rule(chosen=choice, stranger=yes_or_no)
    def forget_a_job(self, chosen, stranger):
        jobs = self._untouched()
        job = jobs[chosen % len(jobs)]
        for task in job.tasks:
            self.world.hits.update(self._held_by(job, task))
        self.world.cluster.forget(job, stranger=stranger)

    @rule(lag=st.sampled_from((0.0, 5.0, 20.0)), cut=seldom, queue=mostly, accounting=mostly)
    def change_what_is_told(self, lag, cut, queue, accounting):
        cluster = self.world.cluster
        cluster.lag_s, cluster.cut_lists, cluster.controller_up, cluster.accounting_up = lag, cut, queue, accounting

    @precondition(lambda self: self._alive())
    @rule(chosen=choice)
    def tear_the_accounting(self, chosen):
        alive = self._alive()
        job, task = alive[chosen % len(alive)]
        self.world.cluster.torn.add((job.id, task.index))
        self.world.watch()

    @invariant()
    def promises_hold(self):
        type(self).steps += 1
        if hasattr(self, "world") and self.world.paths.applied_versions():
            assert_kept(self.world.check())

    def teardown(self):
        try:
            if hasattr(self, "world") and self.world.paths.applied_versions():
                cluster = self.world.cluster
                cluster.controller_up = cluster.accounting_up = True
                cluster.cut_lists, cluster.lag_s = False, 0.0
                assert_kept(self.world.settle())
        finally:
            self._patch.undo()
            shutil.rmtree(self._folder)

    def _running(self) -> list[tuple[Job, Task]]:
        return [(job, task) for job, task in self.world.cluster.running() if task.worker is not None]

    def _alive(self) -> list[tuple[Job, Task]]:
        return [*self._running(), *self.world.cluster.waiting()]

    def _untouched(self) -> list[Job]:
        """Return the jobs of which nothing has run yet; only what was submitted in the last seconds is forgotten."""
        return [job for job in self.world.cluster.jobs if all(task.state is TaskState.WAITING and not task.alone for task in job.tasks)]

    def _hit(self, chosen: int) -> tuple[Job, Task]:
        running = self._running()
        job, task = running[chosen % len(running)]
        self.world.hits.update(self._held_by(job, task))
        return job, task

    def _computed_by(self, task: Task) -> set[str]:
        return {start.run for start in task.worker.computing} if task.worker else set()

    def _held_by(self, job: Job, task: Task) -> set[str]:
        """Return the runs that a task computes or could take."""
        rows = list(read_lines(job.folder / "table.jsonl", decode_row))
        packed = any(line.startswith("pack") for line in self.world.more)
        return {row.run for row in (rows if packed else rows[task.index : task.index + 1])}

    def _look(self, seen: bool) -> None:
        """Let a round see what has just happened."""
        if seen:
            self.world.watch()

    def _hear_of_a_cancel(self) -> None:
        """From now on any run may be cancelled: a person spoke."""
        if self.world.paths.applied_versions():
            self.world.cancelled |= read_evidence(self.world.paths).manifests


def assert_kept(broken: list[str]) -> None:
    """Fail with the sentences of the promises that are broken."""
    if broken:
        raise AssertionError("; ".join(broken))
