"""What goes wrong around a campaign: dead and hanging controllers, lost and drained nodes, preemption, admins, people, killed workers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import psutil

from tests.slurm.cluster import Cluster
from tests.slurm.cluster_config import NODES
from tests.slurm.cluster_process import ClusterDown
from tests.slurm.project import Project


class Nemesis:
    """Lets things befall the cluster, one after the other, and mends each."""

    def __init__(self, cluster: Cluster, project: Project, *, may_cancel: Callable[[str], bool] = lambda run: True) -> None:
        """may_cancel: says of which runs a person may cancel the task."""
        self.cluster, self.project = cluster, project
        self._may_cancel = may_cancel
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
        """scancel one task that computes a run of which we know how it would end."""
        for job, index, run in self._computing():
            if self._may_cancel(run):
                self.cluster.command("scancel", f"{job}_{index}")
                self.cancelled.add(run)
                return

    def worker_is_killed(self) -> None:
        """Kill a worker and all its runs: nobody tells what became of them but the scheduler."""
        for _, _, run in self._computing():
            start = self.project.start_of(run)
            with contextlib.suppress(psutil.Error):
                worker = psutil.Process(start["pid"])
                for process in (*worker.children(recursive=True), worker):
                    process.kill()
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
