"""The table of runs of status: columns, and labels that are written shorter until they fit the terminal (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from orchestrator.cli.show import arrange, cell, minutes
from orchestrator.results.abbreviations import last_words, short_names, short_values, told_short
from orchestrator.results.overview import Line
from orchestrator.store.states import State

COLUMNS = ["id", "state", "try", "step", "objective", "time", "run", "note", "node"]
STATE, LABEL, NOTE, NODE = (COLUMNS.index(name) for name in ("state", "run", "note", "node"))
SHRINK = {"state": 9, "run": 18, "note": 28}
"""Columns that give way on a narrow terminal, and how far."""

Label = Callable[[Line], str]


class Listing(NamedTuple):
    """The rows of a table, and what has to be said beneath: what all of them share, and what is written short."""

    rows: list[list[object]]
    notes: tuple[str, ...] = ()


def list_runs(lines: Sequence[Line], width: int) -> Listing:
    """Return the rows in the fullest writing that cuts no label; where every one is cut, the shortest."""
    for listing in _writings(lines):
        if not _is_cut(listing.rows, width):
            break
    return listing


def _writings(lines: Sequence[Line]) -> Iterator[Listing]:
    """Yield the rows from full to short: names are shortened before values, and both are worth more than the node."""
    yield Listing(_rows(lines, lambda line: line.label))
    yield Listing(_rows(lines, lambda line: line.label, without=(NODE,)))
    shared = _shared(lines)
    told = (f"in each of these rows: {', '.join(f'{key}={value}' for key, value in shared.items())}",) if shared else ()
    keys = list(dict.fromkeys(key for line in lines for key in line.varying if key not in shared))
    yield Listing(_rows(lines, partial(_label, names=last_words(keys), values={}), without=(NODE,)), told)
    names = short_names(keys)
    legend = (*told, *([f"short: {means}"] if (means := told_short(names)) else []))
    yield Listing(_rows(lines, partial(_label, names=names, values={}), without=(NODE,)), legend)
    brief = partial(_label, names=names, values={key: short_values(line.varying.get(key) for line in lines) for key in keys})
    yield Listing(_rows(lines, brief, without=(NODE,)), legend)
    yield Listing(_rows(lines, brief, without=(NODE, NOTE)), legend)


def _rows(lines: Iterable[Line], label: Label, without: tuple[int, ...] = ()) -> list[list[object]]:
    rows = [_row(line, label(line)) for line in lines]
    return [["" if place in without else value for place, value in enumerate(row)] for row in rows]


def _row(line: Line, label: str) -> list[object]:
    state = f"{line.state} ({line.cause})" if line.cause and line.state not in (line.cause, State.COMPLETED.value) else line.state
    return [line.id[:8], state, line.attempt or "", line.step, line.objective, minutes(line.minutes), label, line.note, line.node]


def _label(line: Line, names: Mapping[str, str], values: Mapping[str, Mapping[str, str]]) -> str:
    told = ((key, name, str(line.varying[key])) for key, name in names.items() if key in line.varying)
    return " ".join(f"{name}={values.get(key, {}).get(value, value)}" for key, name, value in told) or line.label


def _shared(lines: Sequence[Line]) -> dict[str, str]:
    """Return the keys that have one value in all of these rows; nothing where no other key would be left."""
    found = {key: {str(line.varying[key]) for line in lines if key in line.varying} for line in lines for key in line.varying}
    everywhere = {key for key in found if all(key in line.varying for line in lines)}
    shared = {key: next(iter(values)) for key, values in found.items() if len(values) == 1 and key in everywhere}
    return shared if len(lines) > 1 and len(shared) < len(found) else {}


def _is_cut(rows: list[list[object]], width: int) -> bool:
    """Say whether states or labels have less room than they need."""
    shown, cells, _ = arrange(COLUMNS, rows, width, SHRINK)
    if "run" not in shown:
        return True
    places = [(shown.index(COLUMNS[place]), place) for place in (STATE, LABEL)]
    return any(line[here] != cell(row[there]) for line, row in zip(cells, rows, strict=True) for here, there in places)
