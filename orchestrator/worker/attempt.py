"""One attempt of a run inside its own process: call the entry or command, leave end.json and result.json."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.metrics.lines import as_float, as_number, flatten
from orchestrator.metrics.sources import read_final
from orchestrator.metrics.summary import Summary, summarise
from orchestrator.store.errors import EntryError, did_you_mean
from orchestrator.store.events import Number
from orchestrator.store.files import make_dir, write_atomic, write_plain
from orchestrator.store.layout import AttemptPaths
from orchestrator.store.states import Cause, State
from orchestrator.worker.causes import Diagnosis, classify, users_traceback
from orchestrator.worker.claim import continued
from orchestrator.worker.commands import Command, prepare_argv
from orchestrator.worker.context import Interrupted, Run
from orchestrator.worker.environment import run_environment
from orchestrator.worker.outcome import End, Result, log_tail, sha256, write_end
from orchestrator.worker.processes import Exit
from orchestrator.worker.surroundings import Stopped, enter_project, flush_output, handle_signals
from orchestrator.worker.task import Task
from orchestrator.worker.telemetry import GB, pss_gb
from orchestrator.worker.verdict import by_exit


class BadNeed(Exception):
    """A checkpoint of another run is not where the manifest says."""

    mrsweep_cause = "bad_input"


class CommandFailed(Exception):
    """A command ended without success."""

    def __init__(self, exit_: Exit) -> None:
        super().__init__(str(exit_))
        self.exit = exit_


class SilentExit(Exception):
    """A command said that all is well and left no proof of it."""


class Attempt:
    """One attempt, inside its own process."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.paths: AttemptPaths = task.paths
        self.began = time.monotonic()
        resume = AttemptPaths(task.run.dir / task.resume).checkpoint if task.resume else None
        runs = Path(task.submission.grid_dir).parent
        self.run = Run(
            self.paths,
            run_id=task.manifest.id,
            attempt=task.attempt,
            resume_from=resume,
            needs={name: runs / need.path for name, need in task.manifest.needs.items()},
        )

    def compute(self) -> int:
        """Compute the run; return the exit code of the process: 0 with a result, else 1."""
        try:
            self._check_needs()
            enter_project(self.task, run_environment(self.task, self.run.resume_from, self.run.needs))
            metrics = self._run_command() if self.task.manifest.command else self._call_entry()
            self._succeed(metrics)
        except BaseException as error:  # whatever the run's code raises is told, SystemExit and our own Stopped too
            return self.fail(error)
        return 0

    def _check_needs(self) -> None:
        for name, path in self.run.needs.items():
            if not path.exists():
                raise BadNeed(f"needs.{name}: {path} does not exist. Was the run pruned? Restore it, or compute it again.")

    def _call_entry(self) -> dict[str, Number]:
        handle_signals(self.run.request_stop, hard=True)
        entry = load_entry(self.task.manifest.entry)
        sys.argv = [self.task.manifest.entry]
        return returned_metrics(entry(self.task.config, self.run))

    def _run_command(self) -> dict[str, Number]:
        task = self.task
        write_plain(self.paths.config, json.dumps(task.config).encode())
        make_dir(self.paths.checkpoint)
        argv = prepare_argv(task.manifest.command, Path(task.submission.code) if task.submission.code else None, os.environ)
        command = Command(argv, task.submission.signal)

        def warn() -> None:
            self.run.request_stop()
            command.warn()

        handle_signals(warn, hard=False)
        exit_ = command.wait()
        if exit_.code != 0:
            raise CommandFailed(exit_)
        metrics = self._final_metrics()
        self._check_objective(metrics)
        return metrics

    def _final_metrics(self) -> dict[str, Number]:
        """Return what a command left in metrics.json."""
        if not os.path.lexists(self.paths.final):
            return {}
        metrics = read_final(os.fspath(self.paths.final))
        if metrics is None:  # hours of work are not thrown away for it
            sys.stderr.write(f"mrsweep: {self.paths.final} is not one JSON mapping of metrics; it is left out\n")
        return metrics or {}

    def _check_objective(self, metrics: Mapping[str, Number]) -> None:
        objective = self.task.submission.objective
        if objective is None or self._summary.finite:
            return
        final = as_float(metrics.get(objective.name))
        if final is None or not math.isfinite(final):
            raise SilentExit(f"{self.task.manifest.command[0]} exited with code 0 and reported no finite {objective.name}")

    @cached_property
    def _summary(self) -> Summary:
        """What was reported; asked for when the entry or command has ended."""
        return summarise(continued(self.task.run, self.task.attempt, self.task.restart), self.task.submission.objective)

    def _succeed(self, metrics: Mapping[str, Number]) -> None:
        flush_output()
        summary = self._summary
        objective = self.task.submission.objective
        stated = metrics.get(objective.name) if objective is not None and summary.last is None else None
        result = Result(
            run=self.task.manifest.id,
            attempt=self.task.attempt,
            restart=self.task.restart,
            token=self.task.submission.token,
            config_sha256=hashlib.sha256(msgspec.json.encode(self.task.config, order="sorted")).hexdigest(),
            metrics=dict(metrics),
            best=stated if summary.last is None else summary.best,
            best_step=summary.best_step,
            last=stated if summary.last is None else summary.last,
            reports=summary.reports,
            runtime_s=round(time.monotonic() - self.began, 3),
            at=time.time(),
        )
        content = msgspec.json.encode(result)
        write_end(self.paths, self._end(State.COMPLETED, result=result, sha256=sha256(content)))
        write_atomic(self.paths.result, content)

    def fail(self, error: BaseException) -> int:
        """Leave end.json, the traceback in the log, and return the exit code."""
        failure = self._failure(error)
        if not isinstance(error, Interrupted | Stopped | CommandFailed | SilentExit | SystemExit):
            sys.stderr.write(users_traceback(error))
        flush_output()
        interrupted = isinstance(error, Interrupted | Stopped) and self.run.stop_requested
        state = State.INTERRUPTED if interrupted else State.FAILED
        try:
            write_end(self.paths, self._end(state, failure=failure))
        except OSError as problem:  # a full disk: the worker will find none and judge by the log
            sys.stderr.write(f"{type(problem).__name__}: {problem}\n")
        return 1

    def _failure(self, error: BaseException) -> Diagnosis:
        match error:
            case Interrupted() if not self.run.stop_requested:
                return Diagnosis(cause=Cause.ERROR, message="the entry raised run.Interrupted, and nobody had asked it to stop")
            case Interrupted() | Stopped():
                return Diagnosis(cause=Cause.PREEMPTED, message="stopped as it was asked to")
            case SilentExit():
                return Diagnosis(cause=Cause.SILENT_EXIT, message=str(error), signature="SilentExit")
            case SystemExit(code=None | 0):
                message = "the entry called sys.exit(0) and returned nothing"
                return Diagnosis(cause=Cause.SILENT_EXIT, message=message, signature="SystemExit")
            case SystemExit(code=code):
                return Diagnosis(cause=Cause.ERROR, message=f"the entry called sys.exit({code!r})", signature=f"SystemExit {code!r}"[:100])
            case CommandFailed():
                return by_exit(error.exit, log_tail(self.paths.log), self.task.manifest.command[0])
            case _:
                return classify(error, self.task.roots)

    def _end(self, state: State, *, failure: Diagnosis | None = None, result: Result | None = None, sha256: str = "") -> End:
        return End(
            at=time.time(),
            run=self.task.manifest.id,
            attempt=self.task.attempt,
            restart=self.task.restart,
            state=state,
            cause=failure.cause if failure else None,
            message=failure.message if failure else "",
            signature=failure.signature if failure else "",
            excerpt=failure.excerpt if failure else "",
            confidence=failure.confidence if failure else "",
            evidence=failure.evidence if failure else (),
            sha256=sha256,
            metrics=result.metrics if result else {},
            best=result.best if result else None,
            best_step=result.best_step if result else None,
            last=result.last if result else None,
            runtime_s=round(time.monotonic() - self.began, 3),
            peak_mem_gb=round(pss_gb([os.getpid()]), 3),
            peak_gpu_gb=round(torch_peak_gb(), 3),
            host=os.uname().nodename,
            warned=self.run.stop_requested,
        )


def load_entry(entry: str) -> Callable[[dict[str, Any], Run], object]:
    """Import "module:function". Raises EntryError when the module has no such function."""
    module_name, _, names = entry.partition(":")
    found: Any = importlib.import_module(module_name)
    for name in names.split("."):
        if not hasattr(found, name):
            raise EntryError(f"entry {entry}: {getattr(found, '__file__', module_name)} has no {name!r}. {did_you_mean(name, vars(found))}")
        found = getattr(found, name)
    if not callable(found):
        raise EntryError(f"entry {entry}: {names} is a {type(found).__name__}; it must be a function(config, run)")
    return found  # type: ignore[no-any-return]


def returned_metrics(returned: object) -> dict[str, Number]:
    """Return what an entry returned as metrics; None counts as none. Raises TypeError for anything but a mapping."""
    if returned is None:
        return {}
    if not isinstance(returned, Mapping):
        raise TypeError(f"the entry returned a {type(returned).__name__}; it must return a dict of metrics, or None")
    metrics: dict[str, Number] = {}
    for name, value in flatten(returned):
        try:
            metrics[name] = as_number(value)
        except TypeError as error:  # hours of work are not thrown away for one odd value
            sys.stderr.write(f"mrsweep: the returned {name} {error}; it is left out\n")
    return metrics


def torch_peak_gb() -> float:
    """Return the most GPU memory that torch held in this process [GB]; 0 where it never used a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0.0
    return float(sum(torch.cuda.max_memory_reserved(place) for place in range(torch.cuda.device_count())) / GB)
