"""The circuit breaker: many runs that end alike, and none that succeeds, pause the grid (pure)."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from orchestrator.store.records import Record, Records
from orchestrator.store.states import State


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """Why the grid is to be paused."""

    signature: str
    runs: tuple[str, ...]
    reason: str


def find_trip(records: Records, stay_failed: Collection[str], *, least: int) -> Trip | None:
    """Return the failure that `least` runs have in common since the last success, or since a person resumed the grid; None: there is none.

    `stay_failed`: the failed runs that no rule of the policy takes up again. The caller asks only where something is left to start.
    """
    if least < 1 or records.paused is not None or len(stay_failed) < least:
        return None
    after = max([records.resumed_at, *(record.since for record in records.runs.values() if _succeeded(record))])
    alike: dict[str, list[Record]] = {}
    for run_id in stay_failed:
        record = records.get(run_id)
        if record.state is State.FAILED and record.since > after:
            alike.setdefault(record.signature or _word(record), []).append(record)
    signature, largest = max(alike.items(), key=lambda item: len(item[1]), default=("", []))
    if len(largest) < least:
        return None
    reason = f"{len(largest)} runs ended alike and none succeeded meanwhile: {_word(largest[0])}: {_first_line(largest[0].reason)}"
    return Trip(signature=signature, runs=tuple(sorted(record.id for record in largest)), reason=reason)


def _succeeded(record: Record) -> bool:
    return record.state is State.COMPLETED and not record.adopted_from


def _word(record: Record) -> str:
    return record.cause.value if record.cause else record.state.value


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
