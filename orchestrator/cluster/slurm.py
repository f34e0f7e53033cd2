"""Asks Slurm: submits arrays, looks at queue and accounting, cancels tasks, reads limits."""

from __future__ import annotations

import os
import pwd
import re
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from orchestrator.cluster.command import FORMATS, Answer, Running, clean_environment, run_command
from orchestrator.cluster.facts import Accounting, site_facts
from orchestrator.cluster.merge import merge
from orchestrator.cluster.options import grant, origins
from orchestrator.cluster.profile import Profile
from orchestrator.cluster.reply import is_no, judge
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.sacct import SACCT_FIELDS, SQUEUE_FORMAT, Listing, read_sacct, read_squeue
from orchestrator.cluster.scheduler import Accepted, ArrayRequest, Fact, Limits, Snapshot, TaskRow, TaskState
from orchestrator.cluster.site import (
    ASSOC_FIELDS,
    QOS_FIELDS,
    SINFO_FORMAT,
    Site,
    read_config,
    read_limits,
    read_partitions,
    read_shapes,
    refuse_impossible,
)
from orchestrator.store.errors import ChangeRefused, ClusterError

if TYPE_CHECKING:
    from orchestrator.cluster.executor import ArrayExecutor

MAX_ARRAY_VARIABLE = "MRSWEEP_MAX_ARRAY"
"""Environment variable that lowers the size of arrays below what the cluster accepts."""

_SBATCH_S, _SQUEUE_S, _SACCT_S, _OTHER_S, _FENCE_S = 150.0, 30.0, 60.0, 30.0, 10.0
"""Deadlines. sbatch itself retries for two minutes before it gives up (src/sbatch/sbatch.c)."""

_CLOCK_SLACK_S = 3600.0
"""How far the controller's clock may be behind ours, for the question of since when accounting is searched [s]."""

_NAMES_AT_MOST = 50
"""More tokens than this are filtered here and not by sacct: a long list makes its query slow."""

_ANY_STATE = "BF,CA,CD,DL,F,NF,OOM,PD,PR,R,RQ,RS,RV,S,TO"
"""Every state, named: without --state sacct leaves out what was cancelled before it was eligible, singletons among it."""

_INDEX_CHARACTERS = 400
_IDS_A_CALL = 200


class SlurmScheduler:
    """A Slurm cluster, asked through its commands. `environment`: what they see, by default that of this process."""

    name = "slurm"

    def __init__(self, profile: Profile, *, environment: Mapping[str, str] | None = None) -> None:
        self.profile = profile
        given = os.environ if environment is None else environment
        self._max_array = given.get(MAX_ARRAY_VARIABLE, "")
        self._environment = clean_environment(given)
        self._accounting_off = False
        self._asked: tuple[Running, ...] = ()
        self._calls: Counter[str] = Counter()

    def take_calls(self) -> dict[str, int]:
        """Return which commands were called how often since this was asked last."""
        calls, self._calls = dict(self._calls), Counter()
        return calls

    def limits(self) -> Limits:
        """Read what the cluster accepts; once per object."""
        return self._limits

    def ask_ahead(self) -> None:
        """Ask for what `limits` and `check` need, and wait for it there: sacctmgr takes a quarter of a second to say two lines."""
        if not self._asked:
            self._asked = tuple(self._start(*argv) for argv in self._questions())

    def check(self, resources: Resources) -> tuple[str, ...]:
        """Raise ProfileError for what no node can give; return notes for the plan: profile lines that are overruled."""
        options, notes = grant(self.profile, resources)
        asked = msgspec.structs.replace(resources, gpus=0) if self.profile.gpu == "none" else resources
        refuse_impossible(self.site, asked, wanted=options, where=self._origin("partition", resources))
        return notes

    def preview(self, request: ArrayRequest) -> str:
        """Return the script, byte for byte as it would be submitted."""
        return self._executor(request).text()

    def submit(self, request: ArrayRequest) -> Accepted:
        """Submit; raise SubmitRefused when Slurm said no, SubmitUnknown when it did not say."""

        def call(argv: Sequence[str]) -> Answer:
            self._calls[argv[0]] += 1
            answer = run_command(argv, environment=self._environment, deadline_s=_SBATCH_S)
            if problem := judge(answer, token=request.token, asked=origins(self.profile, request.resources)):
                raise problem
            return answer

        job_id, cluster = self._executor(request).submit_with(call)
        return Accepted(job_id=job_id, cluster=cluster)

    def snapshot(
        self, tokens: Iterable[str], *, since: float, now: float, open_tasks: Mapping[str, Collection[int]] | None = None
    ) -> Snapshot:
        """Look once: one squeue, and one sacct where a task whose end is not known is not alive in the queue."""
        wanted = frozenset(tokens)
        notes: list[str] = []
        queue = self._look_at_queue(wanted, notes)
        asked = bool(wanted) and _needs_accounting(queue, open_tasks)
        accounting = self._look_at_accounting(wanted, since, notes) if asked else None
        return merge(queue, accounting, taken_at=now, notes=notes, asked=asked)

    def count_queued(self) -> int:
        """Return how many tasks of this user are in the queue, of other grids and other programs too."""
        argv = ("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i")
        return len(_text(self._ask(*argv), argv).splitlines())

    def cancel(self, tasks: Iterable[TaskRow]) -> None:
        """End these tasks, named one by one; those that have ended already are passed over."""
        ids = list(_task_ids(tasks))
        for start in range(0, len(ids), _IDS_A_CALL):
            answer = self._ask("scancel", "--quiet", *ids[start : start + _IDS_A_CALL])
            if not answer.ok and not re.search(r"invalid job id|already complet", answer.err, re.IGNORECASE):
                raise ClusterError(f"scancel failed: {answer.complaint()}. The tasks may go on; cancel again.")

    def hold(self, tasks: Iterable[TaskRow]) -> None:
        """Keep these waiting tasks from starting; one that has started meanwhile goes on."""
        for task in _task_ids(tasks):
            answer = self._ask("scontrol", "uhold", task)
            if not answer.ok and not re.search(r"invalid job id|not pending|already|disabled", answer.err + answer.out, re.IGNORECASE):
                raise ClusterError(f"scontrol uhold failed: {answer.complaint()}. The next round of watch tries again.")

    def lift_fences(self, jobs: Mapping[str, tuple[str, ...]]) -> None:
        """Take -d singleton from jobs (id → what they wait for besides); a twin keeps its own, and waits.

        While an array has a dependency Slurm looks at each of its tasks twice before it starts: slots stay empty for a scheduling cycle.
        """
        for after in dict.fromkeys(jobs.values()):
            alike = ",".join(job_id for job_id, other in jobs.items() if other == after)
            dependency = f"afterok:{':'.join(after)}" if after else ""
            self._ask("scontrol", "update", f"JobId={alike}", f"Dependency={dependency}", deadline_s=_FENCE_S)

    def set_throttle(self, job_id: str, tasks: int) -> None:
        """Let so many tasks of an array run at once from now on; an array that has ended is passed over.

        Raises ChangeRefused when Slurm said no, ClusterError when it did not say: the throttle may be the new one then.
        """
        answer = self._ask("scontrol", "update", f"JobId={job_id}", f"ArrayTaskThrottle={tasks}")
        if not answer.ok and not re.search(r"invalid job id|already finish|already complet", answer.err + answer.out, re.IGNORECASE):
            if is_no(answer):
                raise ChangeRefused(f"scontrol update failed: {answer.complaint()}. The array goes on with the throttle that it had.")
            raise ClusterError(f"scontrol update failed: {answer.complaint()}. The array goes on with the old throttle or the new one.")

    def facts(self) -> tuple[Fact, ...]:
        """Return what doctor says of the cluster."""
        began = time.monotonic()
        answer = self._ask("sacct", "-nXP", "-o", "JobID", "-S", "now-1hours", deadline_s=_SACCT_S)
        accounting = Accounting(
            complaint="" if answer.ok else answer.complaint(),
            took_s=time.monotonic() - began,
            associations=self._told[1].out if self._told[1].ok else None,
        )
        return site_facts(self.site, self.limits(), self.profile, accounting)

    @property
    def site(self) -> Site:
        """What the cluster says of itself; asked once."""
        return self._told[0]

    @cached_property
    def _told(self) -> tuple[Site, Answer, Answer]:
        """The cluster, the user's associations and the qos; asked side by side, and asked anew after a failure."""
        self.ask_ahead()
        asked, self._asked = self._asked, ()
        *about, associations, qos = [one.answer(_OTHER_S) for one in asked]
        config, partitions, shapes = map(_text, about, self._questions())
        return Site(config=read_config(config), partitions=read_partitions(partitions), shapes=read_shapes(shapes)), associations, qos

    def _questions(self) -> tuple[tuple[str, ...], ...]:
        user = f"user={pwd.getpwuid(os.getuid()).pw_name}"  # sacctmgr takes no number here
        return (
            ("scontrol", "show", "config"),
            ("scontrol", "-o", "show", "partition"),
            ("sinfo", "--noheader", "--exact", "--all", "-o", SINFO_FORMAT),
            ("sacctmgr", "-nP", "show", "assoc", "where", user, f"format={ASSOC_FIELDS}"),
            ("sacctmgr", "-nP", "show", "qos", f"format={QOS_FIELDS}"),
        )

    @cached_property
    def _limits(self) -> Limits:
        site, associations, qos = self._told
        wanted, _ = grant(self.profile, Resources())
        return read_limits(
            site,
            associations=associations.out if associations.ok else "",
            qos=qos.out if qos.ok else "",
            wanted=wanted,
            max_array=self._max_array,
        )

    def _executor(self, request: ArrayRequest) -> ArrayExecutor:
        from orchestrator.cluster.executor import ArrayExecutor  # imports submitit, which only a submission needs

        options, _ = grant(self.profile, request.resources)
        return ArrayExecutor(request, options=options, setup=self.profile.setup, warning_s=self.profile.warning_s)

    def _origin(self, option: str, resources: Resources) -> str:
        line = self.profile.option(option)
        return "resources.sbatch" if option in dict(resources.sbatch) or line is None else f"{self.profile.path}:{line.line}"

    def _look_at_queue(self, tokens: frozenset[str], notes: list[str]) -> Listing | None:
        """One line an array, all states: what ended within MinJobAge shows as well."""
        user = str(os.getuid())
        answer = self._ask("squeue", "--noheader", "--states=all", f"--user={user}", f"--format={SQUEUE_FORMAT}", deadline_s=_SQUEUE_S)
        if not _is_whole(answer):
            notes.append(f"squeue failed: {answer.complaint()}")
            return None
        return read_squeue(answer.out, tokens)

    def _look_at_accounting(self, tokens: frozenset[str], since: float, notes: list[str]) -> Listing | None:
        if self._accounting_off:
            notes.append("accounting is switched off on this cluster")
            return None
        start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since - _CLOCK_SLACK_S))
        names = [f"--name={','.join(sorted(tokens))}"] if len(tokens) <= _NAMES_AT_MOST else []
        answer = self._ask(
            *("sacct", "--noheader", "--parsable2", "--duplicates", f"--user={os.getuid()}"),
            *(f"--starttime={start}", "--endtime=now", f"--state={_ANY_STATE}", f"--format={SACCT_FIELDS}", *names),
            deadline_s=_SACCT_S,
        )
        if not _is_whole(answer):
            self._accounting_off = "is disabled" in answer.err
            notes.append(f"sacct failed: {answer.complaint()}")
            return None
        return read_sacct(answer.out, tokens)

    def _ask(self, *argv: str, deadline_s: float = _OTHER_S) -> Answer:
        self._calls[argv[0]] += 1
        return run_command(argv, environment=self._environment | FORMATS, deadline_s=deadline_s)

    def _start(self, *argv: str) -> Running:
        self._calls[argv[0]] += 1
        return Running(argv, environment=self._environment | FORMATS)


def _text(answer: Answer, argv: Sequence[str]) -> str:
    """Return what a command said; raise ClusterError when it failed."""
    if not answer.ok:
        raise ClusterError(f"{answer.command} failed: {answer.complaint()}. Try again when '{' '.join(argv[:3])}' works by hand.")
    return answer.out


def _is_whole(answer: Answer) -> bool:
    """An exit code of 0 is not enough: some versions print an error and what they had until then."""
    return answer.ok and "error:" not in answer.err


def _needs_accounting(queue: Listing | None, open_tasks: Mapping[str, Collection[int]] | None) -> bool:
    if queue is None or open_tasks is None:
        return True
    alive = {(row.token, row.index) for row in queue.rows if row.state is not TaskState.ENDED}
    return any((token, index) not in alive for token, indexes in open_tasks.items() for index in indexes)


def _task_ids(tasks: Iterable[TaskRow]) -> Iterator[str]:
    """Yield 12_[1,3-5] for the tasks of each job: never a whole job, which might hold others than these."""
    by_job: dict[str, set[int]] = defaultdict(set)
    for task in tasks:
        by_job[task.job_id].add(task.index)
    for job_id, indexes in by_job.items():
        part = ""
        for text in _ranges(sorted(indexes)):
            if len(part) + len(text) > _INDEX_CHARACTERS:
                yield f"{job_id}_[{part}]"
                part = ""
            part = f"{part},{text}" if part else text
        yield f"{job_id}_[{part}]"


def _ranges(indexes: Sequence[int]) -> Iterator[str]:
    first = last = indexes[0]
    for index in [*indexes[1:], -1]:
        if index == last + 1:
            last = index
            continue
        yield str(first) if first == last else f"{first}-{last}"
        first = last = index
