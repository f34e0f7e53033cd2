"""Finds local workers: in the journals that they write, and in /proc while they have not written yet."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

from orchestrator.cluster.job_ids import local_job_id, read_job_id
from orchestrator.cluster.scheduler import TaskRow, TaskState
from orchestrator.store.errors import StoreError
from orchestrator.store.events import Arrived, JournalLine, Left, decode_journal_line
from orchestrator.store.files import read_lines
from orchestrator.store.process import Identity, boot_id, identify, is_alive, is_here

INDEX_VARIABLE = "MRSWEEP_INDEX"
"""Tells a local worker which of the submission's workers it is."""

_LOADING_S, _LOADING_LOOKS = 0.1, 20
"""How long, and how often, a process without arguments is looked at: it may be about to get them."""

T = TypeVar("T")

_JOURNAL = re.compile(r"worker-(\d+)(?:\.(\d+))?\.jsonl\Z")


def journalled_workers(folder: Path, token: str, notes: dict[str, None]) -> Iterator[TaskRow]:
    """Yield a row for each worker of the submission in `folder` whose journal has a first line."""
    for path in sorted(folder.glob("worker-*.jsonl")):
        if not _JOURNAL.match(path.name):
            continue
        try:
            lines = list(read_lines(path, decode_journal_line))
        except StoreError as error:
            notes[str(error)] = None
            continue
        arrived = [line for line in lines if isinstance(line, Arrived)]
        if arrived:
            yield _row(token, arrived[-1], lines)


def _row(token: str, arrived: Arrived, lines: list[JournalLine]) -> TaskRow:
    identity = Identity(host=arrived.host, boot_id=arrived.boot_id, pid=arrived.pid, start_time=arrived.start_time)
    state, word, reason = _judge(identity, left=isinstance(lines[-1], Left))
    return TaskRow(
        token=token,
        job_id=local_job_id(arrived.host, arrived.pid),
        index=arrived.index,
        state=state,
        word=word,
        reason=reason,
        node=arrived.host,
        started_at=arrived.at,
        ended_at=lines[-1].at if state is TaskState.ENDED else None,
        restarts=arrived.restart,
        source="proc",
    )


def _judge(identity: Identity, *, left: bool) -> tuple[TaskState, str, str]:
    """Return state, word and reason. The words are Slurm's where it has one for the case; GONE is ours."""
    alive = is_alive(identity)
    if alive:
        return TaskState.RUNNING, "RUNNING", ""
    if left:
        return TaskState.ENDED, "COMPLETED", ""
    if alive is None:
        return TaskState.UNCLEAR, "ELSEWHERE", f"runs on {identity.host}; look from there"
    if is_here(identity) and identity.boot_id != boot_id():
        return TaskState.ENDED, "NODE_FAIL", f"{identity.host} was started anew"
    return TaskState.ENDED, "GONE", "the process ended without a word"


def live_workers(folders: Mapping[str, Path]) -> Iterator[TaskRow]:
    """Yield a row for each live worker of the submissions in `folders`, token → folder, whatever it has written.

    A worker leads its session, has the submission's folder among its arguments and its index in its environment. The
    runs that it forked look the same but for their parent.
    """
    found = {process.pid: (process, token, index) for process in _session_leaders() for token, index in _task_of(process, folders)}
    for process, token, index in found.values():
        try:
            if process.ppid() not in found:
                yield _live(token, index, process)
        except psutil.NoSuchProcess:
            continue


def _session_leaders() -> Iterator[psutil.Process]:
    """Yield this user's processes that lead a session; the owner is read first, as a login node has thousands of others."""
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid() and os.getsid(int(entry.name)) == int(entry.name):
                yield psutil.Process(int(entry.name))
        except (psutil.Error, OSError):  # it ended while we looked
            continue


def _task_of(process: psutil.Process, folders: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """Yield token and index of a worker; the whole path must fit: another runs folder may hold a submission of the same name."""
    try:
        arguments = _once_begun(process, process.cmdline)
        named = {name: Path(argument) for argument in arguments if (name := Path(argument).name) in folders}
        token = next((name for name, folder in named.items() if folder == folders[name]), None)
        index = _once_begun(process, process.environ).get(INDEX_VARIABLE, "") if token else ""
    except (psutil.Error, OSError):
        return
    if token and index.isdigit():
        yield token, int(index)


def _once_begun(process: psutil.Process, read: Callable[[], T]) -> T:
    """Return what /proc says of a process, when it says anything.

    A program that is just being loaded has neither arguments nor environment for a moment, though whoever started it
    was told already that it began (execve(2) closes the files that are to be closed before it fills them in).
    """
    for _ in range(_LOADING_LOOKS):
        found = read()
        if found or process.status() == psutil.STATUS_ZOMBIE:
            return found
        time.sleep(_LOADING_S / _LOADING_LOOKS)
    return read()


def _live(token: str, index: int, process: psutil.Process) -> TaskRow:
    host = os.uname().nodename
    return TaskRow(
        token=token,
        job_id=local_job_id(host, process.pid),
        index=index,
        state=TaskState.RUNNING,
        word="RUNNING",
        node=host,
        started_at=process.create_time(),
        source="proc",
    )


def identity_of(row: TaskRow, folder: Path) -> Identity | None:
    """Return the living process that a row of this host names, None for any other row, or when another has its pid."""
    named = read_job_id(row.job_id)
    if named is None or named[0] != os.uname().nodename:
        return None
    try:
        works = any(_task_of(psutil.Process(named[1]), {row.token: folder}))
        return identify(named[1]) if works else None
    except (psutil.Error, ProcessLookupError):
        return None
