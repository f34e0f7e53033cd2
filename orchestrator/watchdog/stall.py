"""Find runs that are alive for the scheduler and show no sign of progress (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from orchestrator.store.events import Changed
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State

CHECKS = 4
"""Signs are read so often in the time after which a run counts as stalled: a look opens no run folders for it otherwise."""

IDLE = 0.001
"""A process that uses less than this part of a core does nothing but wait."""


class Sign(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run's heartbeat showed."""

    reported: int = 0
    """Bytes of its metrics."""
    cpu_s: float = 0.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A sign, and since when it has been the last one [s, clock of who looked]."""

    sign: Sign
    since: float


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """What the last check saw; the file quiet.json."""

    checked_at: float = 0.0
    seen: dict[str, Seen] = {}
    """ "run/attempt.restart" → what it showed last."""


class Checked(NamedTuple):
    """What a check found."""

    events: list[Changed]
    quiet: Quiet


def computing(records: Records) -> list[Record]:
    """Return the runs that should show signs of life."""
    return [record for record in records.runs.values() if record.state in (State.RUNNING, State.STALLED) and record.current is not None]


def is_due(records: Records, quiet: Quiet, after_s: float, now: float) -> bool:
    """Say whether signs are to be read now: some run has computed long enough, and the last check is long enough ago."""
    step_s = after_s / CHECKS
    return now - quiet.checked_at >= step_s and any(now - record.since >= step_s for record in computing(records))


class Rule(NamedTuple):
    """What counts as silence."""

    after_s: float
    by_reports: bool = False
    """Reports alone are signs of life."""


def check(
    records: Records, signs: Mapping[str, Sign | None], quiet: Quiet, rule: Rule, now: float, *, excused: Collection[str] = ()
) -> Checked:
    """Return which runs have become stalled, and which go on again.

    A sign of life is a report, or processor time: what hangs in a lock or on a dead filesystem uses none. By reports alone is
    judged what may hang while it spins (a collective that waits for a lost rank); only the grid file can say that they must come
    so often. `signs`: run → what its heartbeat shows, None where it cannot be read. `excused`: runs that the scheduler suspended.
    """
    events, seen = list[Changed](), dict[str, Seen]()
    for record in computing(records):
        key, sign = key_of(record), signs.get(record.id) or Sign()
        before = quiet.seen.get(key)
        moved = before is None or record.id in excused or _moved(before, sign, now, by_reports=rule.by_reports)
        seen[key] = Seen(sign=sign, since=now) if moved or before is None else before
        quiet_s = now - seen[key].since
        if record.state is State.STALLED and moved and before is not None:
            events.append(Changed(at=now, run=record.id, state=State.RUNNING, reason=""))
        elif record.state is State.RUNNING and quiet_s >= rule.after_s:
            reason = f"no sign of progress for {quiet_s / 60:.0f} min" if quiet_s >= 120 else f"no sign of progress for {quiet_s:.0f} s"
            events.append(Changed(at=now, run=record.id, state=State.STALLED, cause=Cause.STALLED, reason=reason))
    return Checked(events, Quiet(checked_at=now, seen=seen))


def key_of(record: Record) -> str:
    """Return what names the computing attempt of a run."""
    attempt = record.current
    return f"{record.id}/{attempt.number}.{attempt.restart}" if attempt else record.id


def _moved(before: Seen, sign: Sign, now: float, *, by_reports: bool) -> bool:
    if sign.reported != before.sign.reported:
        return True
    return not by_reports and sign.cpu_s - before.sign.cpu_s > IDLE * (now - before.since)
