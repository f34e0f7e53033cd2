"""Canaries: the few most different runs that go first, and what they must show before the others follow (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from orchestrator.grid.manifest import Manifest
from orchestrator.store.records import Record
from orchestrator.store.states import State


class Verdict(Enum):
    """How the canaries stand."""

    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"


NOT_THROUGH = frozenset({State.FAILED, State.CANCELLED, State.BLOCKED, State.PRUNED})
"""Where a canary is that does not come through by itself."""


def choose_canaries(manifests: Sequence[Manifest], count: int) -> tuple[str, ...]:
    """Return the ids of the `count` runs that differ most: the first, then each time the one that is farthest from all chosen.

    Far apart are runs that share few values of the keys that vary; so every value of an axis is tried before pairs of them are.
    """
    if not manifests or count < 1:
        return ()
    chosen = [manifests[0]]
    shared = [_alike(manifest, chosen[0]) for manifest in manifests]
    while len(chosen) < min(count, len(manifests)):
        known = {manifest.id for manifest in chosen}
        place = min((place for place, manifest in enumerate(manifests) if manifest.id not in known), key=lambda place: shared[place])
        chosen.append(manifests[place])
        shared = [before + _alike(manifest, chosen[-1]) for before, manifest in zip(shared, manifests, strict=True)]
    return tuple(manifest.id for manifest in chosen)


def _alike(one: Manifest, other: Manifest) -> int:
    """Return how many varying keys have equal values."""
    return sum(key in other.varying and other.varying[key] == value for key, value in one.varying.items())


def judge_canaries(canaries: Sequence[Record], steps: Mapping[str, int | None], enough: int | None) -> Verdict:
    """Say whether all canaries are through: completed, or computing and past step `enough`; one that has failed fails them all."""
    if any(record.state in NOT_THROUGH for record in canaries):
        return Verdict.FAILED
    passed = (record.state is State.COMPLETED or _past(record, steps.get(record.id), enough) for record in canaries)
    return Verdict.PASSED if all(passed) else Verdict.OPEN


def _past(record: Record, step: int | None, enough: int | None) -> bool:
    return enough is not None and record.state is State.RUNNING and step is not None and step >= enough
