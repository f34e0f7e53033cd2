"""The states of a run, the causes of its end, and the one table of transitions."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a run stands; the value is the word shown to people."""

    PLANNED = "planned"  # in the manifest, never submitted
    QUEUED = "queued"  # part of a submission, not started
    RUNNING = "running"  # claimed by a worker
    STALLED = "stalled"  # alive for the scheduler, but without heartbeat or step
    INTERRUPTED = "interrupted"  # ended by the machine, not by itself; may go on
    BLOCKED = "blocked"  # waits for another run, a prepare command, or a person
    HELD = "held"  # kept back by the circuit breaker or the canary
    COMPLETED = "completed"  # result.json of a claimed attempt proves it
    FAILED = "failed"  # ended by itself without a result
    CANCELLED = "cancelled"  # a person did not want it
    PRUNED = "pruned"  # its files are in the trash

    __hash__ = object.__hash__  # Enum's own is written in Python, and states are looked up 10,000 times a refresh


class Cause(Enum):
    """Why an attempt ended without a result, or why a run is not alive."""

    HOST_OOM = "host_oom"
    SIBLING_OOM = "sibling_oom"  # killed for the memory of another run of the same task
    WORKER_OOM = "worker_oom"  # a DataLoader child died
    GPU_OOM = "gpu_oom"
    TIMEOUT = "timeout"
    PREEMPTED = "preempted"
    NODE_FAILURE = "node_failure"
    GPU_FAULT = "gpu_fault"
    STALLED = "stalled"
    DIVERGED = "diverged"  # NaN or Inf in the loss
    DISK_FULL = "disk_full"
    BAD_INPUT = "bad_input"
    IMPORT_ERROR = "import_error"
    ERROR = "error"
    CANCELLED = "cancelled"
    CANCELLED_BEFORE_START = "cancelled_before_start"
    NEVER_STARTED = "never_started"
    LOST = "lost"
    SILENT_EXIT = "silent_exit"  # exit 0, no result
    UNKNOWN = "unknown"


_ENDS = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.QUEUED, State.RUNNING, State.BLOCKED, State.HELD, State.PRUNED}) | _ENDS,
    State.QUEUED: frozenset({State.RUNNING, State.BLOCKED, State.HELD, State.PLANNED}) | _ENDS,
    State.RUNNING: frozenset({State.STALLED, State.QUEUED}) | _ENDS,
    State.STALLED: frozenset({State.RUNNING, State.QUEUED}) | _ENDS,
    State.INTERRUPTED: frozenset({State.PLANNED, State.QUEUED, State.RUNNING, State.HELD, State.PRUNED}) | _ENDS,
    State.BLOCKED: frozenset({State.PLANNED, State.QUEUED, State.RUNNING, State.HELD, State.PRUNED}) | _ENDS,
    State.HELD: frozenset({State.PLANNED, State.QUEUED, State.RUNNING, State.BLOCKED, State.PRUNED}) | _ENDS,
    State.COMPLETED: frozenset({State.PRUNED}),
    State.FAILED: frozenset({State.PLANNED, State.QUEUED, State.BLOCKED, State.PRUNED, State.COMPLETED}),
    State.CANCELLED: frozenset({State.PLANNED, State.QUEUED, State.PRUNED, State.COMPLETED}),
    State.PRUNED: frozenset({State.PLANNED, State.QUEUED, State.BLOCKED, State.HELD}) | _ENDS,
}

FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.PRUNED})
"""No rule of the watchdog leaves these, save a policy that says so."""

ALIVE = frozenset({State.QUEUED, State.RUNNING, State.STALLED})
"""The scheduler holds a task for the run."""


BAD_ENDS = frozenset({State.INTERRUPTED, State.FAILED})
"""What a rule of the watchdog may answer with another attempt."""


def may_become(before: State, after: State) -> bool:
    """Say whether the table allows a run to go from `before` to `after`; staying is allowed."""
    return before is after or after in TRANSITIONS[before]
