"""What a worker leaves on disk while it computes: claims, journal, heartbeat, ends and proofs, by the product's own functions."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from orchestrator.store.events import Arrived, Ended, Left, Started
from orchestrator.store.files import read_json, read_lines, write_atomic
from orchestrator.store.layout import AttemptPaths, GridPaths, SubmissionPaths
from orchestrator.store.process import Identity
from orchestrator.store.states import Cause, State
from orchestrator.worker.claim import Chance, Claimant, Claims, StartFile, read_wish
from orchestrator.worker.diary import Diary
from orchestrator.worker.outcome import End, Result, attempts, sha256, write_end
from orchestrator.worker.place import Place
from orchestrator.worker.rows import candidates, limit
from orchestrator.worker.submission import Row, Submission, decode_row
from orchestrator.worker.telemetry import Heartbeat


@dataclass
class Worker:
    """One start of one task. Nothing but its files is known of it to anybody else."""

    paths: SubmissionPaths
    place: Place
    host: str
    pid: int
    run_s: float
    """How long a run takes."""
    computing: list[StartFile] = field(default_factory=list)
    begun: int = 0
    left: bool = False

    def step(self, now: float) -> None:
        """Do what is due: obey wishes, end what is computed, take more."""
        if self.left:
            return
        if not self.begun:
            self._tell(Arrived(at=now, **self._identity(), index=self.place.index, restart=self.place.restart, job_id=self.place.job_id))
        for start in list(self.computing):
            self._tend(start, now)
        self._take(now)
        if not self.computing:
            self._leave(now, "nothing left to compute")

    def fail(self, now: float, cause: Cause = Cause.ERROR) -> None:
        """Let the code of all runs raise."""
        for start in list(self.computing):
            self._end(start, now, State.FAILED, cause)

    def terminate(self, now: float, cause: Cause = Cause.PREEMPTED) -> None:
        """Take SIGTERM: runs that somebody cancelled end as cancelled, the others as interrupted."""
        for start in list(self.computing):
            wish = read_wish(self._grid.run(start.run))
            cancelled = wish is not None and wish.holds_for(start.attempt) and wish.wish == "cancel"
            self._end(start, now, *((State.CANCELLED, Cause.CANCELLED) if cancelled else (State.INTERRUPTED, cause)))
        self._leave(now, "got SIGTERM")

    def prove_and_vanish(self, now: float) -> None:
        """Write the proofs of all runs, and die before anybody is told."""
        for start in self.computing:
            self._prove(start, now)
        self.vanish()

    def vanish(self) -> None:
        """Die without a word."""
        self.left = True

    @property
    def _grid(self) -> GridPaths:
        return GridPaths(self.paths.dir.parents[1])

    def _identity(self) -> dict[str, object]:
        return {"host": self.host, "boot_id": self.host, "pid": self.pid, "start_time": float(self.pid)}

    def _take(self, now: float) -> None:
        submission = read_json(self.paths.submission, Submission)
        if submission is None:
            return self._leave(now, "no submission.json")
        rows = list(read_lines(self.paths.table, decode_row))
        at_a_time = max(1, min(submission.pack.per_gpu, submission.pack.per_task))
        for row, chance in candidates(submission, rows, self.place):
            if len(self.computing) >= at_a_time or self.begun >= limit(submission, self.place):
                break
            self._claim(row, chance, now)
        return None

    def _claim(self, row: Row, chance: Chance, now: float) -> None:
        claims = Claims(Claimant(process=Identity(**self._identity()), place=self.place, token=self.paths.dir.name), self.paths.dir)
        restart = self.place.restart if chance is Chance.CONTINUE else 0
        start = claims.take(self._grid.run(row.run), row, now, restart=restart)
        if start is None:
            claims.discard()
            return
        self.begun += 1
        self.computing.append(start)
        told = {name: getattr(start, name) for name in ("at", "run", "attempt", "restart", "token", "index", "host", "job_id")}
        self._tell(Started(**told))

    def _tend(self, start: StartFile, now: float) -> None:
        run = self._grid.run(start.run)
        wish = read_wish(run)
        newest = max(attempts(run), default=(0, 0))
        if wish is not None and wish.holds_for(start.attempt):
            self._end(start, now, *((State.CANCELLED, Cause.CANCELLED) if wish.wish == "cancel" else (State.INTERRUPTED, Cause.PREEMPTED)))
        elif newest > (start.attempt, start.restart):
            self._end(start, now, State.INTERRUPTED, Cause.LOST)
        elif now - start.at >= self.run_s:
            self._succeed(start, now)
        else:
            beat = Heartbeat(counter=int(now - start.at), at=now, pss_gb=0.1, cpu_s=now - start.at)
            write_atomic(self._attempt(start).heartbeat, msgspec.json.encode(beat), durable=False)

    def _succeed(self, start: StartFile, now: float) -> None:
        self._end(start, now, State.COMPLETED, None, sha256=self._prove(start, now))

    def _prove(self, start: StartFile, now: float) -> str:
        if not self._attempt(start).dir.exists():
            return ""  # moved to the trash meanwhile: a process writes into its folder wherever that lies, this one gives up
        content = msgspec.json.encode(Result(run=start.run, attempt=start.attempt, restart=start.restart, token=start.token, at=now))
        write_end(self._attempt(start), self._said(start, now, State.COMPLETED, None, sha256=sha256(content)))
        write_atomic(self._attempt(start).result, content)
        return sha256(content)

    def _end(self, start: StartFile, now: float, state: State, cause: Cause | None, *, sha256: str = "") -> None:
        end = self._said(start, now, state, cause, sha256=sha256)
        if state is not State.COMPLETED and self._attempt(start).dir.exists():
            write_end(self._attempt(start), end)
        self._tell(Ended(**{name: getattr(end, name) for name in Ended.__struct_fields__}))
        self.computing.remove(start)

    def _said(self, start: StartFile, now: float, state: State, cause: Cause | None, *, sha256: str) -> End:
        spent = now - start.at
        which = {"run": start.run, "attempt": start.attempt, "restart": start.restart}
        return End(at=now, **which, state=state, cause=cause, sha256=sha256, runtime_s=spent, host=self.host)

    def _attempt(self, start: StartFile) -> AttemptPaths:
        return self._grid.run(start.run).attempt(start.attempt, start.restart)

    def _leave(self, now: float, reason: str) -> None:
        self._tell(Left(at=now, reason=reason))
        self.left = True

    def _tell(self, line: Arrived | Started | Ended | Left) -> None:
        diary = Diary(self.paths.journal(self.place.index, self.place.restart))
        diary.write(line)
        diary.close()
