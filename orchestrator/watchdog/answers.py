"""How each cause is answered: the defaults, and what the grid file's policy makes of them (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from orchestrator.store.states import Cause


class Action(Enum):
    """What is done with a run that ended badly."""

    RESUME = "resume"  # again, from its newest checkpoint
    REQUEUE = "requeue"  # again, from the start
    KEEP = "keep"  # left to a person
    PRUNE = "prune"  # its files go to the trash


AGAIN = frozenset({Action.RESUME, Action.REQUEUE})


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What follows on one cause."""

    action: Action = Action.KEEP
    attempts: int | None = None
    """A run is given up when so many of its attempts ended by this cause; None: never for that."""
    mem: float = 1.0
    """Factor on the memory that it died at."""
    cap_gb: float = math.inf
    time: float = 1.0
    """Factor on the time limit that it reached."""
    cap_min: float = math.inf
    set: Mapping[str, Any] = {}
    """Dotted runtime key → new value, or "/2", "x2": a factor on the value that the attempt had."""
    sbatch: Mapping[str, str] = {}
    """Options of sbatch that lead to a larger GPU."""
    larger_gpu: bool = False
    """Ask for the profile's larger GPU."""
    after_min: float | None = None
    """A silent run counts as stalled after this; None: the profile's stall_min."""
    elsewhere: bool = False
    """Avoid the node for a while."""
    spaced: bool = True
    """Every further try waits twice as long as the one before it."""

    @property
    def changes(self) -> bool:
        """Say whether the next attempt differs, so that it need not end the same way."""
        return bool(self.mem > 1 or self.time > 1 or self.set or self.sbatch or self.larger_gpu)


DEFAULTS: Mapping[Cause, Answer] = {
    Cause.HOST_OOM: Answer(action=Action.RESUME, attempts=3, mem=2.0, spaced=False),
    Cause.WORKER_OOM: Answer(action=Action.RESUME, attempts=3, mem=2.0, spaced=False),
    Cause.SIBLING_OOM: Answer(action=Action.RESUME, attempts=10),
    Cause.GPU_OOM: Answer(attempts=3, spaced=False),
    Cause.TIMEOUT: Answer(action=Action.RESUME, spaced=False),
    Cause.PREEMPTED: Answer(action=Action.RESUME),
    Cause.NODE_FAILURE: Answer(action=Action.RESUME, attempts=10, elsewhere=True),
    Cause.GPU_FAULT: Answer(action=Action.RESUME, attempts=3, elsewhere=True),
    Cause.LOST: Answer(action=Action.RESUME, attempts=5),
    Cause.NEVER_STARTED: Answer(action=Action.RESUME, attempts=5),
    Cause.STALLED: Answer(attempts=3),
}
"""Causes that are not named are kept for a person: the same code on the same input would end the same way."""

RETRIES = 3
"""How often a cause is answered that only the grid file says to try again."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of one grid."""

    answers: Mapping[Cause, Answer]
    attempts: int = 50
    """A run is given up after so many bad ends, whatever their causes."""
    breaker: int = 5
    """So many runs that end alike, without a success meanwhile, pause the grid; 0: never."""

    def answer(self, cause: Cause | None) -> Answer:
        """Return what follows on a cause."""
        return self.answers.get(cause, Answer()) if cause else Answer()


def read_answers(policy: Mapping[str, Any]) -> Policy:
    """Return the policy of a grid file whose shape was checked (grid/policy_shape.py), laid over the defaults."""
    numbers = {key: policy[key] for key in ("attempts", "breaker") if key in policy}
    named = {Cause(key): value for key, value in policy.items() if key not in numbers}
    answers = {cause: _read(DEFAULTS.get(cause, Answer()), value) for cause, value in named.items()}
    return Policy(answers={**DEFAULTS, **answers}, **numbers)


def _read(default: Answer, value: str | Mapping[str, Any]) -> Answer:
    """Read one answer. What changes the next attempt, or bounds their number, means that there is to be one; by default a few."""
    given: Mapping[str, Any] = {"action": value} if isinstance(value, str) else value
    changes: dict[str, Any] = {key: given[key] for key in ("attempts", "cap_gb", "cap_min", "set", "after_min") if key in given}
    changes |= {key: float(given[key][1:]) for key in ("mem", "time") if key in given}
    changes |= {"larger_gpu": True} if "gpu" in given else {}
    changes |= {"sbatch": {name: str(option) for name, option in given["sbatch"].items()}} if "sbatch" in given else {}
    answer = msgspec.structs.replace(default, **changes)
    if default.action is not Action.KEEP:
        return msgspec.structs.replace(answer, action=Action(given.get("action", default.action)))
    action = Action(given.get("action", Action.RESUME if answer.changes or "attempts" in given else Action.KEEP))
    tries = RETRIES if action in AGAIN and answer.attempts is None else answer.attempts
    return msgspec.structs.replace(answer, action=action, attempts=tries)
