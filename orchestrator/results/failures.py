"""Group runs that stand still by what ended them: "312 failed, 2 causes" (pure)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.store.records import Record
from orchestrator.store.states import State

ID_DIGITS = 6
"""Hex digits of a group's id."""

_MARKERS = frozenset("~^ ")
"""Of these are the lines with which a traceback points at a part of the line above."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that ended alike."""

    id: str
    """Names the group in --signature: the same wherever and whenever the runs end alike."""
    cause: str
    message: str
    """The first line of what the first of the runs said."""
    signature: str = ""
    confidence: str = ""
    """certain, likely or guess: the least of the runs."""
    evidence: tuple[str, ...] = ()
    """What the cause was read from, of one run."""
    states: dict[str, int] = {}
    runs: tuple[str, ...]
    excerpt: str = ""
    """The last lines of the traceback or of the log, of one run; empty where it was not read."""


def stands_still(record: Record, given_up: bool = False) -> bool:
    """Say whether a run ended badly and does not go on by itself, or was lost twice and may never end.

    `given_up`: no rule of the watchdog takes it up again.
    """
    if record.state is State.INTERRUPTED:
        return given_up or record.losses > 1
    return record.state in (State.FAILED, State.BLOCKED)


def group_failures(records: Iterable[Record], given_up: frozenset[str] = frozenset()) -> list[Failure]:
    """Group the runs that stand still by cause and signature, the largest group first. `given_up`: runs that nothing takes up again."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if stands_still(record, record.id in given_up):
            groups.setdefault(_kind(record), []).append(record)
    return sorted((_failure(members) for members in groups.values()), key=lambda failure: -len(failure.runs))


def failure_id(record: Record) -> str:
    """Return the id of the group of runs that ended as this one did; empty for a run that did not end badly."""
    if record.cause is None and record.state is not State.BLOCKED:
        return ""
    return _id(*_kind(record))


def with_excerpts(failures: Iterable[Failure], excerpts: Mapping[str, str]) -> tuple[Failure, ...]:
    """Return the groups with what was read of one of their runs; `excerpts`: id of the group → text."""
    return tuple(msgspec.structs.replace(failure, excerpt=excerpts.get(failure.id, "")) for failure in failures)


def telling_lines(failure: Failure, most: int) -> list[str]:
    """Return the last lines of the excerpt that say something and are not the message again; without an excerpt the evidence."""
    lines = [line.rstrip() for line in failure.excerpt.splitlines() if not _says_nothing(line.rstrip())]
    if lines and failure.message and failure.message.startswith(lines[-1].strip()[:60]):
        lines.pop()
    return lines[-most:] if lines else list(failure.evidence[:most])


_MEANING = {"likely": "inferred from what the runs wrote or used", "guess": "nothing better is known"}
"""Of a word beside a cause; without one, the cause is certain."""


def doubt(failure: Failure) -> str:
    """Return how sure the cause is, to stand beside it: " (likely)"; empty where it is certain."""
    return f" ({failure.confidence})" if failure.confidence in _MEANING else ""


def told_doubts(failures: Iterable[Failure]) -> str:
    """Return what the words beside these causes mean; empty where all are certain."""
    words = {failure.confidence for failure in failures}
    told = [f"({word}): {meaning}" for word, meaning in _MEANING.items() if word in words]
    return "; ".join([*told, "a cause without such a word is certain"]) if told else ""


def _says_nothing(line: str) -> bool:
    return _MARKERS.issuperset(line) or line.startswith("Traceback (most recent call last)")


def first_line(text: str) -> str:
    """Return the first line that says something."""
    return text.strip().splitlines()[0] if text.strip() else ""


def _kind(record: Record) -> tuple[str, str]:
    cause = record.cause.value if record.cause else record.state.value
    return cause, record.signature or first_line(record.reason)


def _id(cause: str, signature: str) -> str:
    return hashlib.sha256(f"{cause}\n{signature}".encode()).hexdigest()[:ID_DIGITS]


def _failure(members: list[Record]) -> Failure:
    cause, signature = _kind(members[0])
    attempts = [record.current for record in members]
    evidence = next((attempt.evidence for attempt in attempts if attempt is not None and attempt.evidence), ())
    return Failure(
        id=_id(cause, signature),
        cause=cause,
        message=first_line(members[0].reason),
        signature=signature,
        confidence=_least_confidence(attempt.confidence for attempt in attempts if attempt is not None),
        evidence=evidence,
        states=dict(Counter(record.state.value for record in members)),
        runs=tuple(record.id for record in members),
    )


def _least_confidence(words: Iterable[str]) -> str:
    found = set(words)
    return next((word for word in ("guess", "likely", "certain") if word in found), "")
