"""What runs leave behind that nothing reads any more: attempts that did not count, checkpoints that later ones replaced, output."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from orchestrator.store.layout import AttemptPaths, RunPaths, attempt_name, parse_attempt_name
from orchestrator.store.records import Record
from orchestrator.worker.claim import continued
from orchestrator.worker.outcome import attempts, has_checkpoint

QUIET_S = 600.0
"""An attempt without end whose heartbeat is younger may still be written to, whatever the scheduler says: a lost node lives on."""

KEPT_NAMES = ("best", "last")
"""A checkpoint whose name begins so is never an old one."""

_NUMBER = re.compile(r"\d+")
_PIECE = re.compile(r"(?<![a-z])(?:rank|shard|part|split|chunk|worker|mp|dp|pp|tp)[-_.]?\d+|\d+-?of-?\d+", re.IGNORECASE)
"""A number that tells pieces of one checkpoint apart, not one checkpoint from the next."""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder in a checkpoint folder."""

    name: str
    changed_ns: int
    points_to: str = ""
    """Of a link, the name beside it that it points to."""


def stale_attempts(run: RunPaths, record: Record) -> list[str]:
    """Return the folder names of the attempts of a completed run that are neither the one that completed nor one that it continued."""
    decisive = record.decisive
    if decisive is None:
        return []
    counted = {paths.dir.name for paths in continued(run, decisive.number, decisive.restart)}
    if attempt_name(decisive.number, decisive.restart) not in _attempt_names(run):
        return []  # what proves the success is not where it belongs: a matter for a person
    return [name for name in _attempt_names(run) if name not in counted]


def _attempt_names(run: RunPaths) -> list[str]:
    return [attempt_name(*number) for number in attempts(run)]


def may_be_written(attempt: AttemptPaths, record: Record, now: float) -> bool:
    """Say whether somebody may still write to an attempt: its end is not known, or its process does not know of it.

    A process that Slurm lost with its node keeps its heartbeat; one that has left a final line does not.
    """
    if os.path.lexists(attempt.end):
        return False
    number = parse_attempt_name(attempt.dir.name)
    known = any((one.number, one.restart) == number and one.ended_at is not None for one in record.attempts)
    return not known or now - _changed_at(attempt.heartbeat) < QUIET_S


def _changed_at(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def old_checkpoints(run: RunPaths, best_step: int | None = None) -> Iterator[tuple[AttemptPaths, str, str]]:
    """Yield (attempt, name, why) of each checkpoint that a later one of its series replaced, in the same attempt or in a later one."""
    later: dict[str, str] = {}
    for number in reversed(attempts(run)):
        attempt = run.attempt(*number)
        if not has_checkpoint(attempt):
            continue
        saved = [one for one in list_saved(attempt.checkpoint) if best_step is None or best_step not in _counters(one.name)]
        for name, newer in replaced(saved, later).items():
            yield attempt, name, f"{newer} is newer"
        later = {series_of(one.name): f"{attempt.dir.name}/{one.name}" for one in saved} | later


def list_saved(folder: Path) -> list[Saved]:
    """Return what a checkpoint folder holds, files that are being written aside left out."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                link = os.path.basename(os.readlink(entry.path)) if entry.is_symlink() else ""
                found.append(Saved(name=entry.name, changed_ns=entry.stat(follow_symlinks=False).st_mtime_ns, points_to=link))
    return found


def replaced(saved: Sequence[Saved], later: Mapping[str, str]) -> Mapping[str, str]:
    """Return old checkpoint → what replaced it (pure). `later`: series → one of its members in a later attempt.

    A series are names that differ in their numbers only: state-000003.pt, state-000004.pt. The numbers of pieces, as in rank0 or
    1-of-4, tell no checkpoints apart, and all pieces of the newest are kept. Never old are links, what a link points to, and names
    that begin with best or last.
    """
    pointed_at = {one.points_to for one in saved}
    counted = [one for one in saved if not one.points_to and one.name not in pointed_at and not one.name.lower().startswith(KEPT_NAMES)]
    old: dict[str, str] = {}
    for series, members in groupby(sorted(counted, key=lambda one: series_of(one.name)), key=lambda one: series_of(one.name)):
        found = list(members)
        old |= {one.name: later[series] for one in found} if series in later else _older(found)
    return old


def _older(members: list[Saved]) -> dict[str, str]:
    """Return each member of a series that is no piece of the newest checkpoint → the newest member."""
    newest = max(members, key=lambda one: (one.changed_ns, _counters(one.name)))
    return {one.name: newest.name for one in members if _counters(one.name) != _counters(newest.name)}


def series_of(name: str) -> str:
    """Return the name with # for each number."""
    return _NUMBER.sub("#", name)


def _counters(name: str) -> tuple[int, ...]:
    """Return the numbers of a name that tell one checkpoint from the next."""
    return tuple(map(int, _NUMBER.findall(_PIECE.sub("", name))))


def output_of(attempt: AttemptPaths) -> Iterable[str]:
    """Return the names in an attempt that neither its record nor a later attempt reads: log, images, curves, whatever the entry wrote."""
    read = {path.name for path in (attempt.start, attempt.end, attempt.result, attempt.heartbeat, attempt.config)}
    read |= {attempt.metrics.name, attempt.checkpoint.name}
    return sorted(name for name in os.listdir(attempt.dir) if name not in read)
