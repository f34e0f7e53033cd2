"""Delete what has lain in the trash for long: the only place that deletes what runs wrote."""

from __future__ import annotations

import os
import uuid
from pathlib import PurePosixPath

import msgspec

from orchestrator.pruning.sizes import Size, measure
from orchestrator.pruning.trash import held, read_batches
from orchestrator.store.errors import StoreError
from orchestrator.store.events import Changed
from orchestrator.store.files import move_below, opened_below, remove_below
from orchestrator.store.layout import RUN_ID, GridPaths
from orchestrator.store.ledger import Pen, read_events
from orchestrator.store.states import State


class Old(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the trash: a whole run, or a batch of parts."""

    place: str
    """Relative to the grid's folder."""
    at: float
    """When it was moved there."""
    count: int = 1
    """Runs or parts in it."""
    is_run: bool
    size: Size = Size()


class Emptying(msgspec.Struct, frozen=True, kw_only=True):
    """What emptying the trash would delete, and what it leaves."""

    old: tuple[Old, ...] = ()
    young: tuple[Old, ...] = ()
    unknown: tuple[str, ...] = ()
    """What nobody of us put there: left alone."""
    condemned: Size = Size()
    """What an earlier emptying could not delete, and is tried again."""


def plan_emptying(paths: GridPaths, *, before: float) -> Emptying:
    """Find what was moved to the trash before a time; reads only. When it was moved, ledger and indices say, not the files."""
    names = _names(paths)
    pruned = {event.run: event.at for event in read_events(paths) if isinstance(event, Changed) and event.state is State.PRUNED}
    runs = [Old(place=_inner(paths, name), at=pruned[name], is_run=True) for name in names if name in pruned]
    inside: dict[str, int] = {}
    for name, _, _ in held(paths.parts):
        inside[name] = inside.get(name, 0) + 1
    batches = read_batches(paths.parts)
    parts = [
        Old(place=_inner(paths, f"{paths.parts.dir.name}/{name}"), at=batches[name].at, count=count, is_run=False)
        for name, count in inside.items()
    ]
    found = [msgspec.structs.replace(one, size=measure(paths.dir / one.place)) for one in (*runs, *parts)]
    ours = {paths.parts.dir.name, paths.condemned.name}
    return Emptying(
        old=tuple(one for one in found if one.at <= before),
        young=tuple(one for one in found if one.at > before),
        unknown=tuple(name for name in names if name not in pruned and name not in ours),
        condemned=measure(paths.condemned),
    )


def _names(paths: GridPaths) -> list[str]:
    try:
        with opened_below(paths.dir, PurePosixPath(paths.trash.name)) as folder:
            return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _inner(paths: GridPaths, name: str) -> str:
    return f"{paths.trash.name}/{name}"


def empty(pen: Pen, shown: Emptying, *, before: float) -> list[str]:
    """Delete what was shown and is still old; returns a sentence for each thing that was left.

    Each thing is first moved to where no way leads back from: one that is half deleted is never restored.
    """
    paths, left = pen.paths, list[str]()
    places = {one.place for one in shown.old}
    for one in plan_emptying(paths, before=before).old:
        name = PurePosixPath(one.place).name
        if one.place not in places or (one.is_run and not RUN_ID.match(name)):
            continue
        pen.check()
        try:
            move_below(paths.dir, PurePosixPath(one.place), _condemned(paths) / f"{name}-{uuid.uuid4().hex[:8]}")
        except (StoreError, OSError) as error:
            left.append(str(error) if isinstance(error, StoreError) else f"{paths.dir / one.place}: {error.strerror}")
    return left + remove_below(paths.dir, _condemned(paths))


def _condemned(paths: GridPaths) -> PurePosixPath:
    return PurePosixPath(paths.condemned.relative_to(paths.dir))
