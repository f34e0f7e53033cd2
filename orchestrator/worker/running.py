"""One run while it lives, seen from the worker: heartbeat, memory, wishes, and how it is brought to an end."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from orchestrator.store.events import Ended, Measured
from orchestrator.store.files import write_atomic
from orchestrator.worker.claim import STALLED, read_wish
from orchestrator.worker.outcome import End, attempts, last_report, log_tail, newest_checkpoint, read_end, read_result, write_end
from orchestrator.worker.processes import Exit, family, signal_group, signal_process
from orchestrator.worker.task import Task
from orchestrator.worker.telemetry import Heartbeat, cpu_s, gpu_gb, oom_kills, pss_gb
from orchestrator.worker.verdict import Evidence, Stop, Verdict, judge

LOG = logging.getLogger(__name__)

GRACE_S = 10.0
"""Between the order to end and the end by force [s]."""
TERM_PATIENCE_S = 20.0
"""What a run has after a SIGTERM [s]: Slurm's KillWait is 30 s, and its end is still to be recorded."""
SHARED_MEASURE_S = 0.5
LONE_MEASURE_S = 5.0
GROWTH = 1.1
"""Memory is journalled when it has grown by this factor."""


class Running:
    """A child process that computes a run."""

    def __init__(self, task: Task, pid: int, *, shared: bool, oom_counter: Path | None) -> None:
        self.task = task
        self.pid = pid
        self.why: Stop | None = None
        self._began = time.monotonic()
        self._shared = shared
        self._oom_counter = oom_counter
        self._ooms_before = oom_kills(oom_counter)
        self._timing = task.submission.timing
        self._orders: list[tuple[float, int]] = []
        self._measure_every = SHARED_MEASURE_S if shared else min(LONE_MEASURE_S, self._timing.heartbeat_s)
        self._measure_due = self._began + min(self._measure_every, 1.0)
        self._beat_due = self._began + self._timing.heartbeat_s
        self._pss = self._peak_pss = self._told_pss = self._peak_gpu = 0.0
        self._beat = Heartbeat(counter=0, at=0.0, pss_gb=0.0, cpu_s=0.0)
        self._result_since: float | None = None

    @property
    def due(self) -> float:
        """When there is next something to do [s of the monotonic clock]."""
        return min([self._measure_due, self._beat_due, *(when for when, _ in self._orders)])

    def tend(self) -> Iterator[Measured]:
        """Do what is due; yield what is to be journalled."""
        now = time.monotonic()
        if now >= self._measure_due:
            self._measure_due = now + self._measure_every
            yield from self._measure()
        if now >= self._beat_due:
            self._beat_due = now + self._timing.heartbeat_s
            try:
                self._write_heartbeat()
                self._look_for_wishes(now)
            except OSError as error:  # a stale handle for a while is no reason to end it, nor its siblings
                LOG.warning("run %s: its folder cannot be read (%s)", self.task.manifest.id, error.strerror)
        while self._orders and now >= self._orders[0][0]:
            self._carry_out(self._orders.pop(0)[1])

    def warn(self, why: Stop) -> None:
        """Ask the run to save its checkpoint and end; how long it has is the scheduler's matter."""
        self.why = self.why or why
        signal_process(self.pid, signal.SIGUSR1)

    def terminate(self, why: Stop, *, patience_s: float = TERM_PATIENCE_S) -> None:
        """Ask the run to end, tell it to after `patience_s`, and end it by force a little later; saying so twice changes nothing."""
        self.warn(why)
        if not self._orders:
            self._order(patience_s, GRACE_S / 2)

    def cancel(self, why: Stop) -> None:
        """Tell the run to end now: nobody waits for its checkpoint."""
        if self.why is why:
            return
        self.why = why
        self._order(0.0, GRACE_S)

    def kill(self, why: Stop) -> None:
        """End the run by force."""
        self.why = self.why or why
        signal_group(self.pid, signal.SIGKILL)

    def obey_wish(self) -> bool:
        """Carry out a wish that stands for this run; say whether there is one."""
        wish = read_wish(self.task.run)
        if wish is None or not wish.holds_for(self.task.attempt):
            return False
        if wish.wish == "requeue":
            self.terminate(Stop.STALLED if wish.reason == STALLED else Stop.REQUEUE, patience_s=self._timing.warning_s)
        else:
            self.cancel(Stop.CANCEL)
        return True

    def conclude(self, exit_: Exit, *, host: str) -> Ended:
        """Return how the attempt ended, once its process has; make end.json say the same."""
        said = read_end(self.task.paths)
        proof = read_result(self.task.paths, self.task.manifest.id)
        evidence = Evidence(
            exit=exit_,
            end=said,
            sha256=proof[1] if proof else "",
            stop=self.why,
            oom_kills=self._new_oom_kills(),
            shared=self._shared,
            peak_gb=self._peak_pss,
            mem_gb=self.task.submission.resources.mem_gb,
            log="" if proof or said else log_tail(self.task.paths.log),
        )
        end = self._end(said, judge(evidence), evidence.sha256, host)
        if said is None or (said.state, said.cause) != (end.state, end.cause):
            self._write_end(end)
        return Ended(**{name: getattr(end, name) for name in Ended.__struct_fields__})

    def _end(self, said: End | None, verdict: Verdict, sha256: str, host: str) -> End:
        base = said or End(at=0.0, run=self.task.manifest.id, attempt=self.task.attempt, restart=self.task.restart, state=verdict.state)
        failure = verdict.diagnosis
        return msgspec.structs.replace(
            base,
            at=time.time(),
            state=verdict.state,
            cause=failure.cause if failure else None,
            message=failure.message if failure else "",
            signature=failure.signature if failure else "",
            excerpt=failure.excerpt if failure else "",
            confidence=failure.confidence if failure else "",
            evidence=failure.evidence if failure else (),
            sha256=sha256,
            last_step=_step(self.task.paths.metrics),
            saved_at=newest_checkpoint(self.task.paths),
            runtime_s=round(time.monotonic() - self._began, 3),
            peak_mem_gb=round(max(self._peak_pss, base.peak_mem_gb), 3),
            peak_gpu_gb=round(max(self._peak_gpu, base.peak_gpu_gb), 3),
            host=host,
            warned=base.warned or self.why is not None,
        )

    def _write_end(self, end: End) -> None:
        try:
            write_end(self.task.paths, end)
        except OSError as error:
            LOG.warning("run %s: end.json cannot be written (%s); the journal has it", self.task.manifest.id, error.strerror)

    def _order(self, tell_s: float, then_kill_s: float) -> None:
        now = time.monotonic()
        self._orders = [(now + tell_s, signal.SIGTERM), (now + tell_s + then_kill_s, signal.SIGKILL)]
        if not tell_s:
            self._carry_out(self._orders.pop(0)[1])

    def _carry_out(self, order: int) -> None:
        """Python code is told by SIGUSR2 to its main process, so that it can unwind; a command by SIGTERM to all of it."""
        if order == signal.SIGKILL:
            signal_group(self.pid, signal.SIGKILL)
        elif self.task.manifest.command:
            signal_group(self.pid, signal.SIGTERM)
        else:
            signal_process(self.pid, signal.SIGUSR2)

    def _measure(self) -> Iterator[Measured]:
        self._pss = pss_gb(family(self.pid))
        self._peak_pss = max(self._peak_pss, self._pss)
        if self._shared and self._pss > self.task.submission.resources.mem_gb:
            self.kill(Stop.MEMORY)
        if self._pss > GROWTH * self._told_pss:
            self._told_pss = self._pss
            yield Measured(
                at=time.time(),
                run=self.task.manifest.id,
                attempt=self.task.attempt,
                pss_gb=round(self._pss, 3),
                gpu_gb=round(self._peak_gpu, 3),
            )

    def _write_heartbeat(self) -> None:
        pids = family(self.pid)
        gpu = gpu_gb(pids) if self.task.submission.resources.gpus else 0.0
        self._peak_gpu = max(self._peak_gpu, gpu)
        metrics = self.task.paths.metrics
        size = metrics.stat().st_size if metrics.exists() else 0
        self._beat = Heartbeat(
            counter=self._beat.counter + 1,
            at=time.time(),
            pss_gb=round(self._pss, 3),
            gpu_gb=round(gpu, 3),
            cpu_s=round(cpu_s(pids), 2),
            step=self._beat.step if size == self._beat.metrics_bytes else _step(metrics),
            metrics_bytes=size,
        )
        try:
            write_atomic(self.task.paths.heartbeat, msgspec.json.encode(self._beat), durable=False)
        except OSError as error:
            LOG.warning("run %s: no heartbeat (%s)", self.task.manifest.id, error.strerror)

    def _look_for_wishes(self, now: float) -> None:
        if self.obey_wish():
            return
        known = attempts(self.task.run)
        if known and known[-1] > (self.task.attempt, self.task.restart):
            self.cancel(Stop.NEWER)
        self._end_lingering(now)

    def _end_lingering(self, now: float) -> None:
        """End a process that hangs in its exit (a thread that never ends) long after it wrote its result."""
        if not self.task.paths.result.exists():
            return
        self._result_since = self._result_since or now
        if now - self._result_since > self._timing.warning_s:
            self.kill(Stop.LINGERING)

    def _new_oom_kills(self) -> int | None:
        kills = oom_kills(self._oom_counter)
        return None if kills is None or self._ooms_before is None else kills - self._ooms_before


def _step(metrics: Path) -> int | float | str | None:
    step = last_report(metrics).get("step")
    return step if isinstance(step, int | float | str) else None
