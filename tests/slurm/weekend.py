"""A campaign on the real cluster that nobody looks after: runs that go wrong by themselves, and a cluster that goes wrong around them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from orchestrator.store.layout import parse_attempt_name
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.look import JANITORS, janitor_name
from tests.slurm.cluster import Cluster
from tests.slurm.cluster_config import NODES
from tests.slurm.cluster_process import ClusterDown
from tests.slurm.project import Project

ENTRY = Path(__file__).with_name("weekend_study.py")

EXPECTED: Mapping[str, tuple[State, frozenset[Cause]]] = {
    "none": (State.COMPLETED, frozenset()),
    "long": (State.COMPLETED, frozenset()),
    "host_oom": (State.COMPLETED, frozenset()),
    "gpu_oom": (State.COMPLETED, frozenset()),
    "diverged": (State.FAILED, frozenset({Cause.DIVERGED})),
    "bug": (State.FAILED, frozenset({Cause.ERROR})),
    "bad_input": (State.FAILED, frozenset({Cause.BAD_INPUT})),
    "silent": (State.FAILED, frozenset({Cause.SILENT_EXIT})),
    "killed": (State.FAILED, frozenset({Cause.UNKNOWN})),
    "crash": (State.FAILED, frozenset({Cause.ERROR, Cause.UNKNOWN})),
}
"""Kind of a run → how it ends, when the policy has done what it can, and why."""

GRID = """
entry: weekend_study:train
runtime: [micro_batch]
config: [{{micro_batch: 8, pause: {pause}}}]
zip: [{{kind: {kinds}, seed: {seeds}, steps: {steps}}}]
resources: {{gpus: 0, mem_gb: 0.15, time_min: {{by: kind, {minutes}}}, max_parallel: {at_once}}}
policy: {{gpu_oom: {{set: {{micro_batch: /2}}}}, breaker: {breaker}}}
metrics: {{objective: loss, mode: min}}
"""


class Mix(NamedTuple):
    """What a campaign is made of."""

    kinds: Mapping[str, int]
    """Kind of a run → how many."""
    at_once: int = 12
    steps: int = 8
    pause_s: float = 0.1
    long_steps: int = 900
    """Of a `long` run: more than a minute's time limit holds."""


def grid_text(mix: Mix) -> str:
    """Return the grid file: the kinds well mixed, so that no five failures follow each other without a success."""
    kinds = [kind for kind, count in mix.kinds.items() for _ in range(count)]
    random.Random(0).shuffle(kinds)
    return GRID.format(
        pause=mix.pause_s,
        kinds=kinds,
        seeds=list(range(len(kinds))),
        steps=[mix.long_steps if kind == "long" else mix.steps for kind in kinds],
        minutes=", ".join(f"{kind}: {1 if kind == 'long' else 10}" for kind in EXPECTED),
        at_once=mix.at_once,
        breaker=10,
    )


class Nemesis:
    """Lets things befall the cluster, one after the other, and mends each."""

    def __init__(self, cluster: Cluster, project: Project) -> None:
        self.cluster, self.project = cluster, project
        self.done: list[str] = []
        self.cancelled: set[str] = set()
        """Runs whose task a person cancelled."""
        self.faults: Sequence[Callable[[], None]] = (
            self.controller_dies,
            self.node_is_lost,
            self.jobs_are_preempted,
            self.accounting_stops,
            self.controller_hangs,
            self.node_is_drained,
            self.admin_requeues,
            self.person_cancels,
            self.worker_is_killed,
        )

    def strike(self, fault: Callable[[], None]) -> None:
        """Let one thing happen, what the cluster refuses just then does not; an administrator then brings back what Slurm has drained."""
        with contextlib.suppress(ClusterDown):
            fault()
            self.done.append(fault.__name__)
        with contextlib.suppress(ClusterDown):
            for node, word in self.cluster.node_states().items():
                if word.startswith(("drain", "down")):
                    self.cluster.return_node(node)

    def controller_dies(self) -> None:
        self.cluster.kill("slurmctld")
        time.sleep(2)
        self.cluster.start("slurmctld")

    def controller_hangs(self) -> None:
        self.cluster.freeze("slurmctld")
        time.sleep(12)
        self.cluster.thaw("slurmctld")

    def accounting_stops(self) -> None:
        self.cluster.stop("slurmdbd")
        time.sleep(6)
        self.cluster.start("slurmdbd")

    def node_is_lost(self) -> None:
        self.cluster.lose_node(NODES[2])
        time.sleep(4)
        self.cluster.return_node(NODES[2])

    def node_is_drained(self) -> None:
        self.cluster.drain_node(NODES[3])
        time.sleep(4)
        self.cluster.return_node(NODES[3])

    def jobs_are_preempted(self) -> None:
        options = ("-p", "high", "-N2", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
        self.cluster.command("sbatch", "--parsable", *options)
        time.sleep(4)

    def admin_requeues(self) -> None:
        task = self._running_task()
        if task:
            self.cluster.command("scontrol", "requeue", f"{task[0]}_{task[1]}")

    def person_cancels(self) -> None:
        """scancel one task that computes a run of the kind that goes well."""
        for job, index, run in self._computing():
            if self.project.kind_of(run) == "none":
                self.cluster.command("scancel", f"{job}_{index}")
                self.cancelled.add(run)
                return

    def worker_is_killed(self) -> None:
        """Kill a worker and all its runs: nobody tells what became of them but the scheduler."""
        for _, _, run in self._computing():
            start = self.project.start_of(run)
            with contextlib.suppress(ProcessLookupError):
                os.kill(start["pid"], 9)
            return

    def _running_task(self) -> tuple[str, str] | None:
        return next(((job, index) for job, index, state in self.project.queue() if state == "RUNNING"), None)

    def _computing(self) -> Iterator[tuple[str, str, str]]:
        """Yield job, index and run of running tasks that have claimed their run."""
        running = {(job, index) for job, index, state in self.project.queue() if state == "RUNNING"}
        for run in self.project.attempts():
            start = self.project.start_of(run)
            place = (start["job_id"], str(start["index"])) if start else ("", "")
            if place in running and not self.project.has_ended(run):
                yield *place, run


@contextlib.contextmanager
def struck(nemesis: Nemesis, *, every_s: float, choose: Callable[[int], Callable[[], None] | None]) -> Iterator[None]:
    """Let the nemesis work beside: `choose` names the n-th fault, or None when there are no more."""
    over = threading.Event()

    def work() -> None:
        for number in range(10_000):
            fault = choose(number)
            if fault is None or over.wait(every_s):
                return
            nemesis.strike(fault)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Campaign(Project):
    """A project whose runs are of several kinds."""

    def __init__(self, folder: Path, cluster: Cluster, mix: Mix) -> None:
        super().__init__(folder, cluster)
        self.mix = mix
        self.write("weekend_study.py", ENTRY.read_text())
        self.grid(grid_text(mix))

    def kind_of(self, run: str) -> str:
        return str(self._config(run)["kind"])

    def start_of(self, run: str) -> dict[str, object] | None:
        """Return start.json of the newest attempt of a run; None before any."""
        names = self.attempts().get(run)
        return self.read(run, "start.json", max(names, key=parse_attempt_name)) if names else None

    def has_ended(self, run: str) -> bool:
        names = self.attempts().get(run) or [""]
        return (self.paths.run(run).dir / max(names, key=parse_attempt_name) / "end.json").exists()

    def await_rest(self, *, within_s: float, show: Callable[[dict[str, int]], object] = lambda counts: None) -> None:
        """Look, and touch nothing, until no run is open any more and the janitor has left."""
        deadline = time.monotonic() + within_s
        final = {state.value for state in (State.COMPLETED, State.FAILED, State.CANCELLED)}
        while True:
            counts = self.status()["counts"]
            show(counts)
            if set(counts) <= final and not self.janitors():
                return
            assert time.monotonic() < deadline, (counts, self.queue())
            time.sleep(2.0)

    def janitors(self) -> list[str]:
        """Return the states of the jobs in the queue that watch this grid."""
        names = ",".join(janitor_name(self.paths, number) for number in JANITORS)
        return self.cluster.command("squeue", "-h", "-r", "-o", "%T", "-n", names).split()

    def _config(self, run: str) -> dict[str, object]:
        return dict(json.loads(self.paths.run(run).manifest.read_text())["config"])

    def wrong_ends(self, cancelled: set[str]) -> list[str]:
        """Return a sentence for each run that did not end as its kind must; a run that a person cancelled may be cancelled."""
        told = []
        for record in self.records().runs.values():
            kind = self.kind_of(record.id)
            state, causes = EXPECTED[kind]
            if record.id in cancelled and record.state is State.CANCELLED:
                continue
            if record.state is not state or (causes and record.cause not in causes):
                told.append(f"{record.id} ({kind}): {record.state.value} {record.cause and record.cause.value}: {record.reason}")
        return told

    def doubled(self) -> list[str]:
        """Return the runs with more than one attempt that left a result."""
        proofs = [path.parent.parent.name for path in self.paths.dir.glob("??/*/attempt-*/result.json")]
        return sorted({run for run in proofs if proofs.count(run) > 1})
