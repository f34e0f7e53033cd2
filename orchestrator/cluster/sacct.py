"""Reads what squeue and sacct print: pure functions from text to task rows."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec

from orchestrator.cluster.scheduler import TaskRow, TaskState

_W, _R, _E = TaskState.WAITING, TaskState.RUNNING, TaskState.ENDED

WORDS = {
    "PENDING": _W, "REQUEUED": _W, "REQUEUE_FED": _W, "REQUEUE_HOLD": _W, "RESV_DEL_HOLD": _W, "SPECIAL_EXIT": _W, "EXPEDITING": _W,
    "RUNNING": _R, "SUSPENDED": _R, "COMPLETING": _R, "CONFIGURING": _R, "RESIZING": _R, "SIGNALING": _R, "STAGE_OUT": _R, "STOPPED": _R,
    "POWER_UP_NODE": _R,
    "BOOT_FAIL": _E, "CANCELLED": _E, "COMPLETED": _E, "DEADLINE": _E, "FAILED": _E, "NODE_FAIL": _E, "OUT_OF_MEMORY": _E, "PREEMPTED": _E,
    "REVOKED": _E, "TIMEOUT": _E,
}  # fmt: skip
"""Slurm's words for the state of a job (squeue(1), JOB STATE CODES) and what decisions need of them.

REQUEUED closes a record whose successor may not be written yet: the task waits. PREEMPTED and NODE_FAIL end a task
only as its newest record, and only where the queue does not know it as alive.
"""

_SHORT = {
    "BF": "BOOT_FAIL", "CA": "CANCELLED", "CD": "COMPLETED", "CF": "CONFIGURING", "CG": "COMPLETING", "DL": "DEADLINE", "F": "FAILED",
    "NF": "NODE_FAIL", "OOM": "OUT_OF_MEMORY", "PD": "PENDING", "PR": "PREEMPTED", "R": "RUNNING", "RD": "RESV_DEL_HOLD",
    "RF": "REQUEUE_FED", "RH": "REQUEUE_HOLD", "RQ": "REQUEUED", "RS": "RESIZING", "RV": "REVOKED", "S": "SUSPENDED", "SE": "SPECIAL_EXIT",
    "SI": "SIGNALING", "SO": "STAGE_OUT", "ST": "STOPPED", "TO": "TIMEOUT",
}  # fmt: skip

SQUEUE_FORMAT = "%i|%T|%V|%S|%e|%N|%r|%j"
SACCT_FIELDS = "JobID,State,ExitCode,DerivedExitCode,Submit,Start,End,NodeList,Reason,JobName"
"""The job's name comes last: those of foreign jobs may hold the separator."""

_ID = re.compile(r"(?P<job>\d+)(?:_(?:(?P<index>\d+)|\[(?P<list>[^\]]*\]?)))?(?:\+(?P<part>\d+))?(?:\.(?P<step>\S+))?\Z")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?\Z")
_LARGEST_INDEX = 4_000_001
"""Slurm's own bound of MaxArraySize."""

_OOM_SIGNAL = 125
"""Slurm writes exit code 0:125 where the kernel killed for memory."""


class JobIds(msgspec.Struct, frozen=True, kw_only=True):
    """What an id column names: tasks of a job, or a step of one."""

    job_id: str
    indexes: tuple[int, ...]
    step: str = ""
    part: int = 0
    """Component of a heterogeneous job."""
    complete: bool = True
    """False: the list of indexes was cut off; those that are named are right."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says of the wanted jobs."""

    rows: tuple[TaskRow, ...] = ()
    """One a task and job id, the newest of its records."""
    notes: tuple[str, ...] = ()
    complete: bool = True
    """False: an id list was cut off, so that a task may be there without being named."""


def read_word(text: str) -> tuple[str, TaskState]:
    """Return Slurm's full word and its meaning: `CANCELLED by 1000`, `CANCELLED+` and `CA` are all CANCELLED.

    A word that is not in the table, or a clipped one that fits several, is returned as it is, and UNCLEAR.
    """
    first = (text.split() or [""])[0]
    word = _SHORT.get(first, first)
    if word.endswith("+"):
        fitting = [known for known in WORDS if known.startswith(word[:-1])]
        word = fitting[0] if len(fitting) == 1 and len(word) > 1 else word.removesuffix("+")
    return word, WORDS.get(word, TaskState.UNCLEAR)


def read_id(text: str) -> JobIds | None:
    """Read `12`, `12_3`, `12_[0-10:2,14%7]`, `12_3.batch`, `12+1`, and lists that end in … ; None for anything else."""
    match = _ID.match(text.strip())
    if match is None:
        return None
    indexes, complete = ((int(match["index"] or 0),), True) if match["list"] is None else _read_list(match["list"])
    return JobIds(job_id=match["job"], indexes=indexes, step=match["step"] or "", part=int(match["part"] or 0), complete=complete)


def _read_list(text: str) -> tuple[tuple[int, ...], bool]:
    """Read the inside of [ ], the closing bracket included; where that is missing, the last number may be half a number."""
    indexes: list[int] = []
    complete = text.endswith("]")
    parts = text.removesuffix("]").partition("%")[0].split(",")
    for part in parts if complete else parts[:-1]:
        match = _RANGE.match(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, _LARGEST_INDEX)
        if match is None or last >= _LARGEST_INDEX:
            complete = False
            continue
        indexes += range(first, last + 1, max(1, int(match[3] or 1)))
    return tuple(indexes), complete


def read_exit(text: str) -> tuple[int | None, int | None]:
    """Read `exit:signal`. Exit codes above 128 are returned less 128, as sacct prints them up to Slurm 25.05.

    So 137 is told as 9 and 255 as 127 by every version; an exit with code 9 cannot be told from one with 137.
    """
    code, _, number = text.strip().partition(":")
    if not code.isdigit():
        return None, None
    exit_code = int(code)
    return exit_code - 128 if exit_code > 128 else exit_code, int(number) if number.isdigit() else 0


def read_time(text: str) -> float | None:
    """Read seconds since 1970, or local time as 2026-01-31T12:00:00; None for Unknown, N/A and the like."""
    text = text.strip()
    if text.isdigit():
        return float(text) or None
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def read_squeue(text: str, tokens: Collection[str]) -> Listing:
    """Read the output of squeue in SQUEUE_FORMAT; rows of jobs that are not named in `tokens` are passed over."""
    rows: list[TaskRow] = []
    notes: dict[str, None] = {}
    complete = True
    for line in text.splitlines():
        fields = line.split("|", maxsplit=7)
        if len(fields) < 8 or fields[7] not in tokens:
            continue
        ids = read_id(fields[0])
        complete = complete and ids is not None and ids.complete
        notes |= _notes("squeue", fields[0], fields[1], ids)
        rows += _rows(ids, _Line(*fields[1:]), "squeue") if ids and ids.indexes else ()
    return Listing(rows=tuple(rows), notes=tuple(notes), complete=complete)


def _notes(source: str, id_text: str, state_text: str, ids: JobIds | None) -> dict[str, None]:
    notes: dict[str, None] = {}
    word, state = read_word(state_text)
    if state is TaskState.UNCLEAR:
        notes[f"{source} says '{word[:40]}', a state that is not known here; the task is left alone"] = None
    if ids is None:
        notes[f"{source} names '{id_text[:40]}', an id that cannot be read"] = None
    elif not ids.complete:
        notes[f"{source} cut off the list of tasks of job {ids.job_id}; those not named are left alone"] = None
    return notes


class _Line(NamedTuple):
    """The columns that both sources have, in their order; exit_text only sacct has."""

    state: str
    submit: str
    start: str
    end: str
    node: str
    reason: str
    token: str
    exit_text: str = ""


def _rows(ids: JobIds, line: _Line, source: str) -> Iterator[TaskRow]:
    word, meaning = read_word(line.state)
    by = line.state.partition(" by ")[2]
    code, signal = read_exit(line.exit_text)
    ended = meaning is TaskState.ENDED
    node = "" if line.node in ("None assigned", "(null)") else line.node
    # An array cancelled in the queue, or refused for its constraints, ends with a time of start and without a node.
    began = meaning is not TaskState.WAITING and not (ended and not node)
    was_blocked = ended and source == "sacct" and began  # its Reason is why the task once waited
    row = TaskRow(
        token=line.token,
        job_id=ids.job_id,
        index=ids.indexes[0],
        state=meaning,
        word=word,
        reason=f"by {by}" if by else "" if line.reason == "None" or was_blocked else line.reason,
        exit_code=code if ended else None,
        signal=signal if ended else None,
        node=node,
        submitted_at=read_time(line.submit),
        started_at=read_time(line.start) if began else None,  # of a waiting task it is a forecast
        ended_at=read_time(line.end) if ended else None,  # of a running one it is its limit
        oom=word == "OUT_OF_MEMORY" or (ended and signal == _OOM_SIGNAL),
        source=source,
    )
    yield row
    for index in ids.indexes[1:]:
        yield msgspec.structs.replace(row, index=index)


class _Record:
    """Rows of one job line of sacct, to which its steps add what they know of memory."""

    def __init__(self, rows: Iterable[TaskRow], *, single: bool, order: int) -> None:
        self.rows = list(rows)
        self.single = single
        self.order = order

    def age(self) -> tuple[float, bool, int]:
        """What makes one record of a task newer than another: a requeue resets the time of submission."""
        return (self.rows[0].submitted_at or 0.0, self.single, self.order)

    def killed_for_memory(self) -> None:
        self.rows = [msgspec.structs.replace(row, oom=True) for row in self.rows]


def read_sacct(text: str, tokens: Collection[str]) -> Listing:
    """Read the output of `sacct -nP -D` with SACCT_FIELDS: the newest record of each task, and how many there were before.

    Steps (`.batch`, `.0`) follow their job's line and say whether memory was the end.
    """
    records: list[_Record] = []
    last: dict[str, _Record | None] = {}
    notes: dict[str, None] = {}
    complete = True
    for line in text.splitlines():
        fields = line.split("|", maxsplit=9)
        ids = read_id(fields[0]) if len(fields) == 10 else None
        if ids and ids.step:
            record = last.get(fields[0].partition(".")[0])
            if record and _says_oom(fields):
                record.killed_for_memory()
            continue
        if ids:
            last[fields[0]] = None  # steps that follow belong to this line, wanted or not
        if len(fields) < 10 or fields[9] not in tokens or (ids and ids.part):
            continue
        complete = complete and ids is not None and ids.complete
        notes |= _notes("sacct", fields[0], fields[1], ids)
        if ids and ids.indexes:
            records.append(_record(ids, fields, len(records)))
            last[fields[0]] = records[-1]
    return Listing(rows=tuple(_newest(records)), notes=tuple(notes), complete=complete)


def _record(ids: JobIds, fields: list[str], order: int) -> _Record:
    _, state, exit_text, _, submit, start, end, node, reason, token = fields
    rows = _rows(ids, _Line(state, submit, start, end, node, reason, token, exit_text), "sacct")
    record = _Record(rows, single=len(ids.indexes) == 1, order=order)
    if _says_oom(fields):
        record.killed_for_memory()
    return record


def _says_oom(fields: list[str]) -> bool:
    """Say whether state, exit code or the worst exit code of the steps is that of a kill for memory."""
    return fields[1].startswith(("OUT_OF_ME", "OOM")) or any(text.endswith(f":{_OOM_SIGNAL}") for text in fields[2:4])


def _newest(records: list[_Record]) -> Iterator[TaskRow]:
    """Yield the newest row of each task; records closed by a requeue count as restarts."""
    newest: dict[tuple[str, str, int], TaskRow] = {}
    for record in sorted(records, key=_Record.age):
        for row in record.rows:
            key = (row.token, row.job_id, row.index)
            before = newest.get(key)
            again = before is not None and (row.submitted_at or 0.0) > (before.submitted_at or 0.0)
            restarts = (before.restarts if before else 0) + (1 if again else 0)
            newest[key] = msgspec.structs.replace(row, restarts=restarts) if restarts else row
    yield from newest.values()
