"""What newer attempts of a run superseded in the event files of older ones, and those files without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.boards.event_file import frame
from orchestrator.boards.sources import Source
from orchestrator.metrics.event_frames import Torn, read_records
from orchestrator.metrics.merging import begins_anew
from orchestrator.metrics.reports import opened

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event

Curves = Mapping[tuple[str, str], tuple[int, int]]
"""(folder, tag) → first and last step that a file holds."""
Limits = Mapping[tuple[str, str], int]
"""(folder, tag) → the first step at which a newer attempt reported it."""

_SESSION = "_hparams_/"
"""Begin of the tags that tell of a session's start and end; they stand at step 0 whatever the session does."""


def find_limits(sources: Sequence[Source], read: Callable[[Source], Curves]) -> dict[str, Limits]:
    """Return path → limits of each event file that holds what a newer attempt superseded (pure but for `read`).

    A newer attempt supersedes of a tag all that older ones reported from its own first step on; one that began anew, all that
    they reported. The rule is that of `metrics.merging`.
    """
    attempts = sorted({source.attempt for source in sources})
    held: dict[str, Curves] = {}
    limits: dict[str, dict[tuple[str, str], int]] = {}
    begun: Limits = {}
    for attempt in attempts:
        newer = {str(source.file): read(source) for source in sources if source.attempt == attempt}
        firsts = _first_steps(newer.values())
        if begins_anew(_without_session(begun), _without_session(firsts)):
            limits = {file: {place: first for place, (first, _) in curves.items()} for file, curves in held.items()}
            begun = firsts
        else:
            limits = {file: _lowest(older, firsts) for file, older in limits.items()}
            begun = _lowest(begun, firsts)
        held |= newer
        limits |= {file: {} for file in newer}
    return {file: limits[file] for file, curves in held.items() if _reaches(curves, limits[file])}


def _without_session(firsts: Limits) -> Limits:
    return {place: step for place, step in firsts.items() if not place[1].startswith(_SESSION)}


def _lowest(one: Limits, other: Limits) -> dict[tuple[str, str], int]:
    return {place: min(limits[place] for limits in (one, other) if place in limits) for place in one.keys() | other.keys()}


def _reaches(curves: Curves, limits: Limits) -> bool:
    return any(place in limits and last >= limits[place] for place, (_, last) in curves.items())


def _first_steps(held: Iterable[Curves]) -> Limits:
    """Return the first step of each tag in some files."""
    steps: dict[tuple[str, str], int] = {}
    for curves in held:
        steps = _lowest(steps, {place: first for place, (first, _) in curves.items()})
    return steps


def read_curves(source: Source) -> Curves:
    """Return the first and last step of each tag of an event file."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for event in read_events(source.file):
        for value in event.summary.value:
            place = (str(source.folder), value.tag)
            first, last = found.get(place, (event.step, event.step))
            found[place] = (min(first, event.step), max(last, event.step))
    return found


def cut_file(source: Source, limits: Limits) -> bytes:
    """Return an event file without the values from the limits on; all else in it stays."""
    kept = (_cut_event(event, str(source.folder), limits) for event in read_events(source.file))
    return b"".join(frame(event.SerializeToString()) for event in kept if event is not None)


def _cut_event(event: Event, folder: str, limits: Limits) -> Event | None:
    """Return an event without its superseded values; None where nothing is left."""
    values = list(event.summary.value)
    kept = [value for value in values if (folder, value.tag) not in limits or event.step < limits[folder, value.tag]]
    if len(kept) == len(values):
        return event
    if not kept:
        return None
    del event.summary.value[:]
    event.summary.value.extend(kept)
    return event


def read_events(file: Path) -> Iterator[Event]:
    """Yield the events of a file, as far as it is whole. A link is not followed."""
    from tensorboard.compat.proto.event_pb2 import Event

    with opened(file, follow=False) as descriptor, suppress(Torn):
        for record in read_records(partial(os.read, descriptor)) if descriptor is not None else ():
            try:
                event = Event.FromString(record)
            except Exception:  # protobuf's DecodeError comes from whichever implementation is installed
                return
            yield event
