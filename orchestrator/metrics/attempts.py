"""Which attempts of a run count for what it reported."""

from __future__ import annotations

import os

from orchestrator.store.layout import GridPaths, RunPaths, attempt_name, parse_attempt_name
from orchestrator.store.records import Record
from orchestrator.store.states import State

FIRST = attempt_name(1)


def attempts_of(paths: GridPaths, record: Record) -> list[str]:
    """Return the folders of the attempts whose reports make the run's, oldest first: up to the one that completed, else all."""
    if record.adopted_from:
        other = GridPaths(paths.dir.parent / record.adopted_from)
        return [other.attempt(record.id, *number) for number in _numbers_up_to(other.run(record.id), record.adopted_attempt)]
    last = record.decisive
    if last is None:
        return []
    numbers = sorted((one.number, one.restart) for one in record.attempts)
    counting = [number for number in numbers if number <= (last.number, last.restart)]
    if record.state is State.PRUNED:
        return [os.fspath(paths.pruned(record.id).attempt(*number).dir) for number in counting]
    return [paths.attempt(record.id, *number) for number in counting]


def _numbers_up_to(run: RunPaths, name: str) -> list[tuple[int, int]]:
    last = parse_attempt_name(name)
    if last is None or name == FIRST:
        return [last] if last else []
    try:
        numbers = [parse_attempt_name(each) for each in os.listdir(run.dir)]
    except OSError:
        return []
    return sorted(number for number in numbers if number is not None and number <= last)
