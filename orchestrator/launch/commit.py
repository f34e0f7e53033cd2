"""Carry out a plan: table and intent on disk first, then sbatch, then the answer; every step can be taken up again."""

from __future__ import annotations

import math
import os
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.cluster.resources import Resources, task_resources
from orchestrator.cluster.scheduler import Accepted, ArrayRequest, Scheduler, Snapshot
from orchestrator.launch.arrays import ArrayPlan
from orchestrator.store.errors import ClusterError, SubmitRefused, SubmitUnknown
from orchestrator.store.events import Intent, Refused, Submitted
from orchestrator.store.files import create_exclusive, fsync_dir, make_dir, write_new
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.store.ledger import Pen
from orchestrator.store.records import SubmissionRecord
from orchestrator.worker.submission import Submission

PREPARE = "prepare "
"""Begins the reason of an intent that holds a prepare command's job; the hash follows."""


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What all submissions of one launch share."""

    template: Submission
    """Token, resources and list are filled in for each array."""
    reason: str = "launch"
    exclude: tuple[str, ...] = ()
    """Nodes to avoid."""


def new_token(grid: str, now: float) -> str:
    """Return a fresh name for a submission: the grid, the date, and 8 random hex digits."""
    return f"{grid[:60].replace('@', '.')}-{time.strftime('%y%m%d', time.localtime(now))}-{uuid.uuid4().hex[:8]}"


def submit_arrays(pen: Pen, arrays: Sequence[ArrayPlan], scheduler: Scheduler, common: Common, prepare_jobs: dict[str, str]) -> list[str]:
    """Submit every array, one after the other; returns the tokens.

    What was submitted before an error stays submitted and recorded, the rest stays as it was. Raises SubmitRefused or
    SubmitUnknown with the scheduler's words; in the second case the intent stays open and is settled by the next look.
    """
    tokens = []
    taken: dict[str, tuple[str, ...]] = {}
    refused: list[SubmitRefused] = []
    for array in arrays:
        request = _write_submission(pen, array, scheduler, common, prepare_jobs)
        try:
            taken[send(pen, request, scheduler).job_id] = request.after
        except SubmitRefused as error:  # what one class asks for is not what the next does
            refused.append(error)
            continue
        tokens.append(request.token)
    scheduler.lift_fences(taken)  # their names are new: each is the first of its name, and a twin keeps its own fence
    if refused:
        raise refused[0]
    return tokens


def _write_submission(pen: Pen, array: ArrayPlan, scheduler: Scheduler, common: Common, prepare_jobs: dict[str, str]) -> ArrayRequest:
    """Put everything a task needs on disk, then the intent into the ledger."""
    token = new_token(pen.paths.name, pen.clock())
    paths = pen.paths.submission(token)
    submission = msgspec.structs.replace(common.template, token=token, resources=array.resources)
    after = tuple(filter(None, [prepare_jobs.get(array.prepare, "")]))
    request = array_request(paths, submission, array, limit_min=scheduler.limits().partition_limit_min, after=after)
    request = msgspec.structs.replace(request, exclude=common.exclude)
    table = b"".join(msgspec.json.encode(row) + b"\n" for row in array.rows)
    _write_request(paths, request, scheduler, {paths.table: table, paths.submission: msgspec.json.encode(submission)})
    intent = Intent(
        at=pen.clock(),
        token=token,
        runs=tuple((row.run, row.attempt) for row in array.rows),
        tasks=array.tasks,
        max_parallel=array.max_parallel,
        at_a_time=array.at_a_time,
        listed=submission.listed,
        resources=msgspec.to_builtins(array.resources),
        overrides={row.run: row.config for row in array.rows if row.config},
        exclude=common.exclude,
        reason=common.reason,
    )
    pen.write(intent)
    return request


def _write_request(paths: SubmissionPaths, request: ArrayRequest, scheduler: Scheduler, others: Mapping[Path, bytes]) -> None:
    """Put a submission's folder on disk: what is asked of the scheduler, and the `others` that its tasks read."""
    make_dir(paths.logs)
    asked = {paths.request: msgspec.json.encode(request, enc_hook=str), paths.script: scheduler.preview(request).encode()}
    for path, content in {**others, **asked}.items():
        write_new(path, content)
    fsync_dir(paths.dir)


def array_request(
    paths: SubmissionPaths, submission: Submission, array: ArrayPlan, *, limit_min: float | None, after: tuple[str, ...] = ()
) -> ArrayRequest:
    """Return what is asked of the scheduler for one array."""
    return ArrayRequest(
        token=submission.token,
        tasks=array.tasks,
        throttle=array.throttle,
        resources=task_resources(array.resources, submission.pack, partition_limit_min=limit_min or math.inf),
        folder=paths.dir,
        command=worker_command("orchestrator.worker", paths.dir),
        after=after,
    )


def submit_prepare(pen: Pen, digest: str, resources: Resources, scheduler: Scheduler) -> str:
    """Submit the job of one prepare command; returns its job id, for the arrays that depend on it."""
    token = new_token(pen.paths.name, pen.clock())
    paths = pen.paths.submission(token)
    command = worker_command("orchestrator.worker.prepare", pen.paths.prepare(digest).dir)
    request = ArrayRequest(token=token, tasks=1, throttle=1, resources=resources, folder=paths.dir, command=command)
    _write_request(paths, request, scheduler, {})
    pen.write(Intent(at=pen.clock(), token=token, runs=(), tasks=1, max_parallel=0, reason=PREPARE + digest))
    return send(pen, request, scheduler).job_id


def worker_command(module: str, folder: Path) -> tuple[str, ...]:
    """Return the command line of a worker: this interpreter, without the current folder on its path."""
    return (sys.executable, "-P", "-m", module, str(folder))


def send(pen: Pen, request: ArrayRequest, scheduler: Scheduler) -> Accepted:
    """Submit one array whose intent is recorded, at most once at a time, and record the answer."""
    if not _may_act(pen.paths, request.token):
        raise ClusterError(f"{request.token}: another process is submitting this array. Look again with: mrsweep status {pen.paths.name}")
    pen.check()
    try:
        accepted = scheduler.submit(request)
    except SubmitRefused as error:
        pen.write(Refused(at=pen.clock(), token=request.token, message=str(error)))
        raise
    except SubmitUnknown as error:
        raise SubmitUnknown(f"{error} Whether {request.token} was taken is found out by the next launch or watch.") from error
    pen.write(Submitted(at=pen.clock(), token=request.token, job_id=accepted.job_id, cluster=accepted.cluster))
    return accepted


def _may_act(paths: GridPaths, token: str) -> bool:
    """Create the act's file; a second try of the same intent, under a later pen, has a number of its own."""
    make_dir(paths.acts)
    tries = sum(1 for _ in paths.acts.glob(f"{token}.*")) + paths.act(token).exists()
    name = f"{token}.{tries}" if tries else token
    return create_exclusive(paths.act(name), f"{os.getpid()}\n".encode())


def open_intents(submissions: Iterable[SubmissionRecord]) -> list[SubmissionRecord]:
    """Return the submissions whose answer never came."""
    return [submission for submission in submissions if submission.is_open]


def take_up(pen: Pen, snapshots: Sequence[Snapshot], scheduler: Scheduler) -> list[str]:
    """Settle open intents: adopt the arrays that exist, submit the others again under the same token, if a run waits for them.

    `snapshots` are at least two looks, some seconds apart, both from a healthy queue: what neither of them names
    was never taken. A late twin waits behind `-d singleton`, finds its runs claimed and ends.
    Returns a sentence for each intent.
    """
    told = []
    for submission in open_intents(list(pen.records.submissions.values())):
        job_id = next(iter(_job_ids(snapshots, submission.token)), None)
        if job_id is not None:
            pen.write(Submitted(at=pen.clock(), token=submission.token, job_id=job_id))
            told.append(f"{submission.token}: was taken as job {job_id}")
        elif not (len(snapshots) > 1 and all(snapshot.queue_ok for snapshot in snapshots)):
            told.append(f"{submission.token}: not clear yet whether it was taken")
        elif submission.runs and not any(pen.records.waiting_in(submission, row) for row in range(len(submission.runs))):
            pen.write(Refused(at=pen.clock(), token=submission.token, message="none of its runs waits any more", withdrawn=True))
            told.append(f"{submission.token}: had not been taken, and none of its runs waits for it any more")
        else:
            told.append(_submit_again(pen, submission, scheduler))
    return told


def _job_ids(snapshots: Sequence[Snapshot], token: str) -> list[str]:
    return [row.job_id for snapshot in snapshots for row in snapshot.tasks.get(token, {}).values()]


def _submit_again(pen: Pen, record: SubmissionRecord, scheduler: Scheduler) -> str:
    content = pen.paths.submission(record.token).request.read_bytes()
    request = msgspec.json.decode(content, type=ArrayRequest, dec_hook=lambda kind, text: kind(text))
    accepted = send(pen, request, scheduler)
    return f"{record.token}: had not been taken, submitted as job {accepted.job_id}"
