"""The promises, checked over the files of a grid: each function returns one sentence for each place where a promise is broken (pure)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from orchestrator.grid.manifest import read_manifests
from orchestrator.store.events import Adopted, Changed, Ended, Intent, LedgerEvent, Refused
from orchestrator.store.files import read_json, read_lines
from orchestrator.store.layout import AttemptPaths, GridPaths, RunPaths, parse_attempt_name
from orchestrator.store.ledger import read_events, read_records
from orchestrator.store.records import WATCH, Records
from orchestrator.store.states import State
from orchestrator.worker.claim import StartFile, read_wish
from orchestrator.worker.outcome import End, Result
from orchestrator.worker.submission import Row, Submission, decode_row

MOST_ATTEMPTS = 60
"""More attempts than any policy allows without a person asking again."""

RESTS = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.PRUNED, State.BLOCKED, State.HELD, State.INTERRUPTED})
"""Where a run may stay when nobody is busy with it; INTERRUPTED once its tries are used up."""


class Proof(NamedTuple):
    """A result.json that names its run and attempt, and has the hash that end.json announces."""

    sha256: str
    at: float


class AttemptFiles(NamedTuple):
    """What one attempt left on disk."""

    start: StartFile | None
    end: End | None
    proof: Proof | None


class Task(NamedTuple):
    """A task that the scheduler has not ended."""

    token: str
    job_id: str
    index: int
    restarts: int
    runs: bool


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a grid, read anew; nothing that the product believes but its ledger."""

    manifests: frozenset[str]
    records: Records
    events: tuple[LedgerEvent, ...]
    attempts: Mapping[str, Mapping[tuple[int, int], AttemptFiles]]
    """Run → (number, restart) → what lies there, in the trash too."""
    places: Mapping[str, frozenset[str]]
    """Run → "place", "trash"."""
    forbidden: Mapping[str, int]
    """Run → the attempt up to which a wish keeps workers from starting it."""
    tables: Mapping[str, tuple[Row, ...]]
    listed: frozenset[str]
    """Tokens whose tasks take any row."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the truth beside the files."""

    seen: frozenset[tuple[str, str]] = frozenset()
    """(run, attempt folder) of all that ever lay on disk."""
    cancelled: frozenset[str] = frozenset()
    """Runs that somebody may have cancelled."""
    failed: frozenset[str] = frozenset()
    """Runs whose code, or whose memory, failed."""
    given_up: frozenset[str] = frozenset()
    """Runs that the machine ended so often that they may be left to a person."""


def read_evidence(paths: GridPaths) -> Evidence:
    """Read a grid as it lies on disk."""
    manifests = frozenset(read_manifests(paths.manifest))
    folders = {run_id: _folders(paths, run_id) for run_id in manifests}
    submissions = {path.name: path for path in paths.submissions.glob("*")}
    shared = {token: read_json(path / "submission.json", Submission) for token, path in submissions.items()}
    wishes = {run_id: read_wish(paths.run(run_id)) for run_id in manifests}
    return Evidence(
        manifests=manifests,
        records=read_records(paths),
        events=tuple(read_events(paths)),
        attempts={
            run_id: {name: files for folder in found.values() for name, files in _attempts(folder)} for run_id, found in folders.items()
        },
        places={run_id: frozenset(found) for run_id, found in folders.items()},
        forbidden={run_id: wish.through or 0 for run_id, wish in wishes.items() if wish and wish.forbids(wish.through or 0)},
        tables={token: tuple(read_lines(path / "table.jsonl", decode_row)) for token, path in submissions.items()},
        listed=frozenset(token for token, submission in shared.items() if submission and submission.listed),
    )


def _folders(paths: GridPaths, run_id: str) -> dict[str, Path]:
    places = {"place": paths.run(run_id).dir, "trash": paths.trash / run_id}
    return {name: folder for name, folder in places.items() if folder.exists()}


def _attempts(folder: Path) -> Iterator[tuple[tuple[int, int], AttemptFiles]]:
    for path in folder.iterdir():
        name = parse_attempt_name(path.name)
        if name is not None:
            paths = RunPaths(folder).attempt(*name)
            end = read_json(paths.end, End)
            yield name, AttemptFiles(start=read_json(paths.start, StartFile), end=end, proof=_proof(paths, folder.name, name, end))


def _proof(paths: AttemptPaths, run_id: str, name: tuple[int, int], end: End | None) -> Proof | None:
    result = read_json(paths.result, Result)
    if result is None or (result.run, result.attempt, result.restart) != (run_id, *name):
        return None
    digest = hashlib.sha256(paths.result.read_bytes()).hexdigest()
    return Proof(digest, result.at) if end is None or end.sha256 in ("", digest) else None


def broken(evidence: Evidence, alive: Iterable[Task], wanted: Wanted) -> list[str]:
    """Return what is broken of the promises that hold at every moment."""
    tasks = list(alive)
    return [
        *lost(evidence),
        *doubled(evidence, tasks),
        *unproven(evidence),
        *repeated(evidence),
        *allotted_twice(evidence),
        *ran_side_by_side(tasks),
        *deleted(evidence, wanted.seen),
        *unexplained(evidence, wanted),
        *unbounded(evidence),
    ]


def broken_at_rest(evidence: Evidence, alive: Iterable[Task], wanted: Wanted) -> list[str]:
    """Return what is broken when nobody has anything left to do."""
    tasks = list(alive)
    return [*broken(evidence, tasks, wanted), *stranded(evidence, wanted), *left_over(tasks), *unrecorded(evidence)]


def lost(evidence: Evidence) -> list[str]:
    """Promise 1: a run that the ledger or a table knows has its manifest."""
    named = set(evidence.records.runs) | {row.run for rows in evidence.tables.values() for row in rows}
    return [f"run {run_id} is lost: manifest.jsonl does not hold it" for run_id in sorted(named - evidence.manifests)]


def doubled(evidence: Evidence, tasks: Iterable[Task]) -> list[str]:
    """Promise 1: no run has two attempts that tasks alive for the scheduler compute, or may take."""
    living: dict[str, set[int]] = {}
    for task in tasks:
        for row in _rows(evidence, task):
            if _may_compute(evidence, task, row):
                living.setdefault(row.run, set()).add(row.attempt)
    return [f"run {run_id} has living attempts {sorted(numbers)}" for run_id, numbers in living.items() if len(numbers) > 1]


def _rows(evidence: Evidence, task: Task) -> tuple[Row, ...]:
    rows = evidence.tables.get(task.token, ())
    return rows if task.token in evidence.listed else rows[task.index : task.index + 1]


def _may_compute(evidence: Evidence, task: Task, row: Row) -> bool:
    """Say whether a task computes a row or could begin it; what a worker finds done, forbidden or taken it leaves alone."""
    attempts = evidence.attempts.get(row.run, {})
    mine = [restart for number, restart in attempts if number == row.attempt]
    if not mine:
        superseded = any(number > row.attempt for number, _ in attempts)
        proven = any(files.proof for files in attempts.values())
        return not (superseded or proven or evidence.forbidden.get(row.run, 0) >= row.attempt)
    start, end, proof = attempts[row.attempt, max(mine)]
    owned = start is not None and (start.job_id, start.index) == (task.job_id, task.index)
    if start is None or not owned or proof is not None:
        return False
    if start.task_restart == task.restarts:
        return task.runs and end is None
    superseded = any(number > row.attempt for number, _ in attempts)
    return not superseded and (end is None or end.state is State.INTERRUPTED)


def unproven(evidence: Evidence) -> list[str]:
    """Promise 2: a completed run has a valid result.json with the hash that the ledger holds."""
    found = []
    for run_id, record in evidence.records.runs.items():
        proofs = {files.proof.sha256 for files in evidence.attempts.get(run_id, {}).values() if files.proof}
        if record.state is State.COMPLETED and not record.adopted_from and record.sha256 not in proofs:
            found.append(f"run {run_id} is completed, and no result.json has its hash {record.sha256[:8]}")
    return found


def repeated(evidence: Evidence) -> list[str]:
    """Promise 2: done is sticky, no attempt of a run began after one had left its proof."""
    found = []
    for run_id, attempts in evidence.attempts.items():
        done_at = min((files.proof.at for files in attempts.values() if files.proof), default=None)
        late = [name for name, files in attempts.items() if done_at is not None and files.start and files.start.at > done_at]
        found += [f"run {run_id} was done, and attempt {number}.{restart} began later" for number, restart in late]
    return found


def allotted_twice(evidence: Evidence) -> list[str]:
    """Promise 4: an attempt number is allotted once, and nothing was started that was not allotted."""
    given = Counter(pair for event in evidence.events if isinstance(event, Intent) for pair in event.runs)
    twice = [f"attempt {number} of run {run_id} was allotted {count} times" for (run_id, number), count in given.items() if count > 1]
    begun = {(run_id, number) for run_id, attempts in evidence.attempts.items() for number, _ in attempts}
    return twice + [f"attempt {number} of run {run_id} was started and never allotted" for run_id, number in sorted(begun - set(given))]


def ran_side_by_side(tasks: Iterable[Task]) -> list[str]:
    """Promise 4: of one token only one array holds resources."""
    jobs = {(task.token, task.job_id) for task in tasks if task.runs}
    return [f"{count} arrays of {token} run at once" for token, count in Counter(token for token, _ in jobs).items() if count > 1]


def left_over(tasks: Iterable[Task]) -> list[str]:
    """Promise 4: at rest no task is left that would find nothing to do."""
    return [f"task {task.job_id}_{task.index} of {task.token} is left over" for task in tasks]


def deleted(evidence: Evidence, seen: Iterable[tuple[str, str]]) -> list[str]:
    """Promise 5: what ever lay on disk lies in its place or in the trash, and not in both."""
    there = {(run_id, RunPaths(Path()).attempt(*name).dir.name) for run_id, attempts in evidence.attempts.items() for name in attempts}
    gone = [f"{attempt} of run {run_id} is gone" for run_id, attempt in sorted(set(seen) - there)]
    return gone + [f"run {run_id} lies in its place and in the trash" for run_id, where in evidence.places.items() if len(where) > 1]


def unexplained(evidence: Evidence, wanted: Wanted) -> list[str]:
    """Promise 3: nothing is cancelled that nobody cancelled, and nothing failed that did not fail or use up its tries."""
    states = {run_id: record.state for run_id, record in evidence.records.runs.items()}
    cancelled = {run_id for run_id, state in states.items() if state is State.CANCELLED} - wanted.cancelled
    failed = {run_id for run_id, state in states.items() if state is State.FAILED} - wanted.failed - wanted.given_up
    return [f"run {run_id} is cancelled, and nobody wished it" for run_id in sorted(cancelled)] + [
        f"run {run_id} counts as failed, and did not fail" for run_id in sorted(failed)
    ]


def unbounded(evidence: Evidence) -> list[str]:
    """Promise 4: what nobody asked for again is tried a bounded number of times."""
    tries: Counter[str] = Counter()
    refused = {event.token for event in evidence.events if isinstance(event, Refused)}
    most: Counter[str] = Counter()
    for event in evidence.events:
        if isinstance(event, Intent) and event.token not in refused:
            for run_id, _ in event.runs:
                tries[run_id] = tries[run_id] + 1 if event.reason == WATCH else 0
                most[run_id] = max(most[run_id], tries[run_id])
    return [f"run {run_id} was tried {count} times and nobody asked" for run_id, count in most.items() if count > MOST_ATTEMPTS]


def stranded(evidence: Evidence, wanted: Wanted) -> list[str]:
    """Promise 1: at rest every run has completed, or says why it has not."""
    if evidence.records.paused:
        return []
    states = {run_id: evidence.records.get(run_id).state for run_id in evidence.manifests - evidence.records.orphans}
    forgotten = {run_id for run_id, state in states.items() if state is State.INTERRUPTED} - wanted.given_up
    return [
        f"run {run_id} is {state.value}, and nobody is busy with it"
        for run_id, state in sorted(states.items())
        if state not in RESTS or run_id in forgotten
    ]


def unrecorded(evidence: Evidence) -> list[str]:
    """Promise 2: at rest a run with a proof is completed, unless a person's word came before it."""
    told = {event.run for event in evidence.events if isinstance(event, Changed | Adopted)}
    told |= {event.run for event in evidence.events if isinstance(event, Ended) and event.state is State.CANCELLED}
    return [
        f"run {run_id} has a proof and is {evidence.records.get(run_id).state.value}"
        for run_id, attempts in evidence.attempts.items()
        if any(files.proof for files in attempts.values()) and run_id not in told
        if evidence.records.get(run_id).state not in (State.COMPLETED, State.PRUNED)
    ]


def count_doubled(evidence: Evidence) -> int:
    """Return how many runs were computed to the end twice, by their result.json."""
    return sum(sum(files.proof is not None for files in attempts.values()) > 1 for attempts in evidence.attempts.values())


def count_proven(evidence: Evidence) -> int:
    """Return how many runs have a proof."""
    return sum(any(files.proof for files in attempts.values()) for attempts in evidence.attempts.values())
