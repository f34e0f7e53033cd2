"""Who may compute a run: a prepared folder is renamed into place, and the owner is who its start.json names."""

from __future__ import annotations

import uuid
from enum import Enum
from pathlib import Path
from typing import Literal

import msgspec

from orchestrator.store.files import make_dir, publish_dir, read_json, write_atomic
from orchestrator.store.layout import AttemptPaths, RunPaths, attempt_name, parse_attempt_name
from orchestrator.store.process import Identity
from orchestrator.store.states import State
from orchestrator.worker.outcome import attempts, has_checkpoint, is_done, read_end
from orchestrator.worker.place import Place
from orchestrator.worker.submission import Row

STALLED = "stalled"
"""Reason of a wish to requeue a run that gives no sign of progress."""


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The file `stop` of a run: somebody does not want it to go on."""

    wish: Literal["cancel", "requeue", "prune"]
    by: str = ""
    at: float = 0.0
    reason: str = ""
    through: int | None = None
    """Holds for attempts up to this number; None: for all, until the file is removed (a requeue: for running ones only)."""

    def holds_for(self, attempt: int) -> bool:
        """Say whether a running attempt is to stop."""
        return self.through is None or attempt <= self.through

    def forbids(self, attempt: int) -> bool:
        """Say whether an attempt that has not begun is not to begin."""
        return self.holds_for(attempt) and (self.wish != "requeue" or self.through is not None)


def read_wish(run: RunPaths) -> Wish | None:
    """Return the wish that stands for a run."""
    return read_json(run.stop, Wish)


class StartFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """start.json: the owner of an attempt, and how it began."""

    run: str
    attempt: int
    restart: int = 0
    resume: str = ""
    """Folder name of the attempt that it continues."""
    token: str
    cluster: str = ""
    job_id: str = ""
    index: int
    task_restart: int = 0
    """How often Slurm had started the task again when it claimed."""
    host: str
    boot_id: str
    pid: int
    start_time: float
    nonce: str
    at: float


class Claimant(msgspec.Struct, frozen=True, kw_only=True):
    """Who claims."""

    process: Identity
    place: Place
    token: str


class Chance(Enum):
    """What a worker may do with a row."""

    FREE = "free"
    CONTINUE = "continue"
    """An earlier start of this same task holds it, and Slurm has started the task again."""
    TAKEN = "taken"
    """Somebody else's."""
    CLOSED = "closed"
    """Done, no longer wanted, or superseded."""


def look(run: RunPaths, row: Row, place: Place) -> Chance:
    """Say what may be done with a row; nothing is changed."""
    known = attempts(run)
    mine = [restart for number, restart in known if number == row.attempt]
    chance = _look_again(run.attempt(row.attempt, max(mine)), place) if mine else Chance.FREE
    if chance in (Chance.TAKEN, Chance.CLOSED):
        return chance
    wish = read_wish(run)
    unwanted = wish is not None and wish.forbids(row.attempt)
    superseded = any(number > row.attempt for number, _ in known)
    return Chance.CLOSED if unwanted or superseded or is_done(run, known) else chance


def _look_again(newest: AttemptPaths, place: Place) -> Chance:
    """Judge an attempt that exists: only the task that began it may go on, after a restart, and where it was interrupted."""
    if not place.restart:
        return Chance.TAKEN
    start = read_json(newest.start, StartFile)
    if start is None or (start.job_id, start.index) != (place.job_id, place.index) or start.task_restart >= place.restart:
        return Chance.TAKEN
    end = read_end(newest)
    return Chance.CONTINUE if end is None or end.state is State.INTERRUPTED else Chance.CLOSED


def resume_folder(run: RunPaths, row: Row, restart: int) -> str:
    """Return the name of the attempt whose checkpoint is continued, empty for none.

    A first start obeys the table; after a restart by Slurm it is the newest start of the same attempt that left one.
    """
    earlier = [(number, other) for number, other in attempts(run) if number == row.attempt and other < restart]
    candidates = [attempt_name(*number) for number in reversed(earlier)] + [row.resume]
    return next((name for name in candidates if parse_attempt_name(name) and has_checkpoint(AttemptPaths(run.dir / name))), "")


class Claims:
    """Takes rows for one worker. The folder that becomes the attempt is prepared once and used again after a lost race."""

    def __init__(self, claimant: Claimant, aside: Path) -> None:
        self._claimant = claimant
        self._aside = AttemptPaths(aside / f"claim-{claimant.place.index}-{uuid.uuid4().hex[:8]}")

    def take(self, run: RunPaths, row: Row, at: float, *, restart: int = 0) -> StartFile | None:
        """Try to become the owner of the row's attempt; return its start.json, None when somebody else is."""
        start = self._start(run, row, at, restart)
        make_dir(self._aside.dir)
        make_dir(run.dir)
        write_atomic(self._aside.start, msgspec.json.encode(start))
        target = run.attempt(row.attempt, restart)
        try:
            publish_dir(self._aside.dir, target.dir)
        except OSError:
            if not target.dir.exists():
                raise
        owner = read_json(target.start, StartFile)  # whatever rename answered: over NFS it may fail and yet have happened
        return start if owner is not None and owner.nonce == start.nonce else None

    def discard(self) -> None:
        """Remove the folder that no row was won with."""
        self._aside.start.unlink(missing_ok=True)
        if self._aside.dir.exists():
            self._aside.dir.rmdir()

    def _start(self, run: RunPaths, row: Row, at: float, restart: int) -> StartFile:
        me = self._claimant
        return StartFile(
            run=row.run,
            attempt=row.attempt,
            restart=restart,
            resume=resume_folder(run, row, restart),
            token=me.token,
            cluster=me.place.cluster,
            job_id=me.place.job_id,
            index=me.place.index,
            task_restart=me.place.restart,
            host=me.process.host,
            boot_id=me.process.boot_id,
            pid=me.process.pid,
            start_time=me.process.start_time,
            nonce=uuid.uuid4().hex,
            at=at,
        )


def continued(run: RunPaths, number: int, restart: int) -> list[AttemptPaths]:
    """Return the attempt and those whose checkpoints it goes back to, oldest first."""
    chain = [run.attempt(number, restart)]
    while len(chain) < 1000:
        start = read_json(chain[0].start, StartFile)
        if start is None or not parse_attempt_name(start.resume) or start.resume == chain[0].dir.name:
            break
        chain.insert(0, AttemptPaths(run.dir / start.resume))
    return chain
