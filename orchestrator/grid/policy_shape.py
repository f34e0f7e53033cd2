"""The shape of `policy:` in a grid file: which cause may be answered how. What the answers do is decided by the watchdog."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any

from orchestrator.grid.dotted import check_key, is_below, leaves
from orchestrator.grid.loading import Node, plain, show
from orchestrator.store.errors import SpecError, did_you_mean
from orchestrator.store.states import Cause

ACTIONS = ("resume", "requeue", "keep", "prune")
"""resume: again, from its checkpoint · requeue: again, from the start · keep: leave it as it is · prune: move its files to the trash."""

_UNANSWERED = {Cause.UNKNOWN, Cause.CANCELLED, Cause.CANCELLED_BEFORE_START}
"""What is unknown never requeues, cancels or deletes; what a person ended stays ended."""

CAUSES = tuple(cause.value for cause in Cause if cause not in _UNANSWERED)

NUMBERS = ("attempts", "breaker")
"""Keys beside the causes. attempts: a run is given up after so many, whatever ended them · breaker: so many runs that end alike, and none
that succeeds meanwhile, pause the grid; 0 switches it off."""

_MEMORY = {Cause.HOST_OOM.value, Cause.SIBLING_OOM.value, Cause.WORKER_OOM.value}
_COMMON = ("action", "attempts", "set")
_FACTOR = re.compile(r"[x/](\d+(\.\d*)?|\.\d+)\Z")


def read_policy(node: Node, runtime: Collection[str]) -> dict[str, Any]:
    """Check a policy and return it as plain data; `set` may change runtime keys only, for others belong to the id."""
    if not node.is_mapping:
        raise SpecError(
            f"{node.mark}: policy holds {show(node)}; it maps causes to answers. Write policy: {{timeout: resume, host_oom: {{mem: x2}}}}."
        )
    for cause, answer in node.items():
        if cause in NUMBERS:
            _check_number(cause, answer)
        elif cause not in CAUSES:
            known = (*CAUSES, *NUMBERS)
            raise SpecError(
                f"{answer.mark}: policy.{cause} holds {show(answer)}; this is no cause that a policy answers. {did_you_mean(cause, known)}"
            )
        else:
            _check_answer(cause, answer, runtime)
    policy: dict[str, Any] = plain(node)
    return policy


def _check_answer(cause: str, answer: Node, runtime: Collection[str]) -> None:
    place = f"policy.{cause}"
    if not answer.is_mapping:
        _check_action(place, answer)
        return
    if not answer.value:
        raise SpecError(f"{answer.mark}: {place} is empty. Write one of {', '.join(ACTIONS)}, or a mapping of {', '.join(_known(cause))}.")
    for key, value in answer.items():
        if key not in _known(cause):
            raise SpecError(
                f"{value.mark}: {place}.{key} holds {show(value)}; this key is unknown for {cause}. {did_you_mean(key, _known(cause))}"
            )
        _check_value(f"{place}.{key}", key, value, runtime)


def _check_number(key: str, node: Node) -> None:
    value, least = node.value, 0 if key == "breaker" else 1
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(f"{node.mark}: policy.{key} holds {show(node)}; it must be a whole number of at least {least}. Write {key}: 5.")


def _known(cause: str) -> tuple[str, ...]:
    if cause in _MEMORY:
        return (*_COMMON, "mem", "cap_gb")
    if cause == Cause.TIMEOUT.value:
        return (*_COMMON, "time", "cap_min")
    if cause == Cause.GPU_OOM.value:
        return (*_COMMON, "gpu", "sbatch")
    return (*_COMMON, "after_min") if cause == Cause.STALLED.value else _COMMON


def _check_value(place: str, key: str, node: Node, runtime: Collection[str]) -> None:
    if key == "action":
        _check_action(place, node)
    elif key == "set":
        _check_set(place, node, runtime)
    elif key in ("mem", "time"):
        _check_factor(place, node)
    elif key == "gpu":
        _check_gpu(place, node)
    elif key == "sbatch":
        _check_sbatch(place, node)
    elif not _is_positive(node.value) or (key == "attempts" and not isinstance(node.value, int)):
        kind = "a whole number of at least 1" if key == "attempts" else "a number above 0"
        raise SpecError(f"{node.mark}: {place} holds {show(node)}; it must be {kind}. Write {key}: 3.")


def _check_action(place: str, node: Node) -> None:
    if node.value not in ACTIONS:
        raise SpecError(
            f"{node.mark}: {place} holds {show(node)}; it must be one of {', '.join(ACTIONS)}. Write {place.rpartition('.')[2]}: keep."
        )


def _check_factor(place: str, node: Node) -> None:
    text = node.value
    if not isinstance(text, str) or not _FACTOR.match(text) or not 1 < float(text[1:]) < math.inf or text[0] != "x":
        raise SpecError(f"{node.mark}: {place} holds {show(node)}; it is a factor above 1. Write x2.")


def _check_gpu(place: str, node: Node) -> None:
    if node.value != "larger":
        raise SpecError(f"{node.mark}: {place} holds {show(node)}; it can only be larger, the profile's larger_gpu. Write gpu: larger.")


def _check_sbatch(place: str, node: Node) -> None:
    if not node.is_mapping or not node.value or not all(isinstance(value.value, str | int) for _, value in node.items()):
        raise SpecError(f"{node.mark}: {place} holds {show(node)}; it maps options of sbatch to values. Write {{constraint: a100_80}}.")


def _check_set(place: str, node: Node, runtime: Collection[str]) -> None:
    if not node.is_mapping or not node.value:
        raise SpecError(
            f"{node.mark}: {place} holds {show(node)}; it maps runtime keys to values, /2 or x2. Write {{train.micro_batch: /2}}."
        )
    for key, value in leaves(node).items():
        check_key(key, value)
        if not any(key == name or is_below(key, name) for name in runtime):
            raise SpecError(
                f"{value.mark}: {place} changes {key} to {show(value)}, but {key} is part of the run's id. List it under runtime:, or "
                f"remove it here."
            )
        text = value.value
        if (
            isinstance(text, str)
            and text[:1] in ("/", "x")
            and text[1:2].isdigit()
            and not (_FACTOR.match(text) and 0 < float(text[1:]) < math.inf)
        ):
            raise SpecError(f"{value.mark}: {place}.{key} holds {show(value)}; a factor is written x2 or /2. Write /2.")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
