"""Differences to a baseline, over pairs: a group's run against the baseline's run of the same seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator.store.errors import InputError
from orchestrator.tables.groups import Cell, Group, Groups, Place
from orchestrator.tables.keys import find_keys, told
from orchestrator.tables.sample import Sample
from orchestrator.tables.select import keys_of, select_runs
from orchestrator.tables.statistics import describe


def add_differences(groups: Groups, sample: Sample, expression: str) -> Groups:
    """Return the groups with each metric's paired difference to the baseline.

    The baseline of a group is the one that the expression selects among those that share its other keys of `by`:
    `mask.kind=random` compares at equal mask.keep. Raises InputError for an expression that selects none, or several.
    """
    named = find_keys(keys_of(expression, "--baseline"), sample, "--baseline")
    outside = [key for key in named if key not in groups.by]
    if outside:
        raise InputError(f"--baseline {expression}: {outside[0]} is not in --by; a baseline is one of the groups. Add it to --by.")
    rest = [place for place, key in enumerate(groups.by) if key not in named]
    chosen = {run.manifest.id for run in select_runs(sample, expression, "--baseline")}
    bases = _bases(groups, rest, chosen, expression)
    compared = tuple(_compare(group, bases.get(_at(group, rest))) for group in groups.groups)
    lone = [told(groups.by, group.values) for group in groups.groups if _at(group, rest) not in bases]
    notes = (f"no baseline beside {'; '.join(lone[:6])}",) if lone else ()
    return msgspec.structs.replace(groups, groups=compared, notes=(*groups.notes, *notes))


def _at(group: Group, rest: Sequence[int]) -> Place:
    return tuple(group.place[place] for place in rest)


def _bases(groups: Groups, rest: Sequence[int], chosen: set[str], expression: str) -> Mapping[Place, Group]:
    """Return the baselines by the values of the keys that the expression does not name."""
    found: dict[Place, Group] = {}
    for group in groups.groups:
        if not any(run.manifest.id in chosen for run in group.runs):
            continue
        other = found.setdefault(_at(group, rest), group)
        if other is not group:
            pair = f"{told(groups.by, other.values)} and {told(groups.by, group.values)}"
            raise InputError(f"--baseline {expression}: selects {pair}, which both stand beside the same groups. Name one of them.")
    return found


def _compare(group: Group, base: Group | None) -> Group:
    if group is base:
        return group
    others = base.cells if base is not None else (None,) * len(group.cells)
    cells = tuple(_differ(cell, other) for cell, other in zip(group.cells, others, strict=True))
    return msgspec.structs.replace(group, cells=cells)


def _differ(cell: Cell, base: Cell | None) -> Cell:
    """Return the cell with the differences of what both have measured."""
    pairs = [value - base.values[at] for at, value in cell.values.items() if at in base.values] if base is not None else []
    return msgspec.structs.replace(cell, difference=describe(pairs))
