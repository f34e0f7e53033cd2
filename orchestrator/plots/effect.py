"""A metric over a key: a mean with its interval for each value, a line for each value of the hue, baseline and best beside them (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from orchestrator.plots.cells import (
    Ask,
    Keys,
    are_numbers,
    by_hue,
    check_averaged,
    find_figure_keys,
    hue_label,
    make_cells,
    only,
    without_baseline,
)
from orchestrator.plots.figure import Axis, Figure, Line, Point, Role, drawn_values, spans_decades
from orchestrator.plots.told import check_finite, legend_title, notes_on_cells, y_label
from orchestrator.store.errors import InputError
from orchestrator.tables.groups import Group
from orchestrator.tables.keys import as_word, identity, value_at
from orchestrator.tables.metric_names import check_metric
from orchestrator.tables.sample import Run, Sample
from orchestrator.tables.select import select_runs


class Scale(NamedTuple):
    """The values of the key that x stands for, in the order in which they are drawn."""

    values: tuple[Any, ...]
    is_numeric: bool

    def place(self, value: Any) -> float:
        """Return where a value stands on the axis."""
        if self.is_numeric:
            return float(value)
        return float([identity((each,)) for each in self.values].index(identity((value,))))


def plan_effect(sample: Sample, ask: Ask) -> Figure:
    """Return the figure of a metric over a key.

    Raises InputError for an unknown key or metric, for means over keys that nobody named, and where nothing is there to draw.
    """
    check_metric(ask.y, sample.runs, "--y")
    keys = find_figure_keys(ask, sample)
    base = select_runs(sample, ask.baseline, "--baseline") if ask.baseline else ()
    shown, lacking = _with_key(without_baseline(sample, base, keys), keys.x)
    scale = make_scale([value_at(run, keys.x) for run in shown.runs])
    cells = make_cells(shown, keys, _metrics(ask, sample))
    lines = [*_series(cells, keys, scale, ask.y), *_baseline(sample, base, keys, scale, ask), *_best(shown, cells, keys, scale, ask)]
    check_finite(lines, ask.y)
    notes = notes_on_cells(sample, keys, cells, lines)
    return Figure(
        x=_x_axis(keys.x, scale),
        y=Axis(label=y_label(ask.y, sample), is_log=spans_decades(list(drawn_values(lines)))),
        lines=tuple(lines),
        legend=legend_title(keys.hue),
        notes=(*notes, *([f"{lacking} run{'s' * (lacking != 1)} without {keys.x}"] if lacking else [])),
    )


def _metrics(ask: Ask, sample: Sample) -> list[str]:
    """Return what a cell measures: the metric itself, and the one that says which group is the best."""
    return [ask.y, *([sample.selection.name] if sample.selection is not None else [])]


def _with_key(sample: Sample, key: str) -> tuple[Sample, int]:
    """Return the runs that have a number under the key, where any has one, and how many have nothing there."""
    having = [run for run in sample.runs if value_at(run, key) is not None]
    if having and are_numbers(value_at(run, key) for run in having):
        return only(sample, having), len(sample.runs) - len(having)
    return sample, 0


def make_scale(values: Iterable[Any]) -> Scale:
    """Return numbers in their order, and all else in the order in which it appears."""
    each: dict[tuple[str, ...], Any] = {}
    for value in values:
        each.setdefault(identity((value,)), value)
    ordered = list(each.values())
    if not ordered:
        raise InputError("no run is left to draw: all were taken as the baseline. Narrow it.")
    return Scale(tuple(sorted(ordered)), True) if are_numbers(ordered) else Scale(tuple(ordered), False)


def _x_axis(key: str, scale: Scale) -> Axis:
    if not scale.is_numeric:
        return Axis(label=key, categories=tuple(map(as_word, scale.values)))
    return Axis(label=key, is_log=spans_decades([float(value) for value in scale.values]))


def _series(cells: Sequence[Group], keys: Keys, scale: Scale, metric: str) -> list[Line]:
    """Return a line a hue; a value of x without a group is a point that is missing."""
    return [Line(label=hue_label(groups[0], keys) or metric, points=_points(groups, scale)) for groups in by_hue(cells, keys).values()]


def _points(groups: Iterable[Group], scale: Scale) -> tuple[Point, ...]:
    at = {scale.place(group.values[0]): point_of(group) for group in groups}
    places = (scale.place(value) for value in scale.values)
    return tuple(_moved(at[place], place) if place in at else Point(x=place, n=0) for place in places)


def point_of(group: Group, metric: int = 0) -> Point:
    """Return the mean of a group."""
    known = group.cells[metric].statistics
    return Point(x=0.0, n=known.n, mean=known.mean, low=known.low, high=known.high)


def _moved(point: Point, x: float) -> Point:
    return Point(x=x, n=point.n, mean=point.mean, low=point.low, high=point.high)


def _baseline(sample: Sample, runs: Sequence[Run], keys: Keys, scale: Scale, ask: Ask) -> list[Line]:
    """Return the baseline: over x where its runs differ in it, else one level for all x."""
    if not runs:
        return []
    name = f"baseline: {ask.baseline}"
    values = {identity((value_at(run, keys.x),)) for run in runs}
    flat = len(values) == 1 and len(scale.values) > 1
    within = Keys("" if flat else keys.x, (), keys.over)
    groups = _named("--baseline", lambda: make_cells(only(sample, runs), within, [ask.y]))
    if flat:
        return [Line(label=name, points=(point_of(groups[0]),), role=Role.BASELINE, is_level=True)]
    known = {identity((value,))[0] for value in scale.values}
    return [Line(label=name, points=_points([group for group in groups if group.place[0] in known], scale), role=Role.BASELINE)]


def _best(shown: Sample, cells: Sequence[Group], keys: Keys, scale: Scale, ask: Ask) -> list[Line]:
    """Return the best line: of the runs that an expression names, or the group at each x that the selection metric finds best."""
    if ask.best is None:
        return []
    if ask.best:
        runs = only(shown, select_runs(shown, ask.best, "--best"))
        within = Keys(keys.x, (), keys.over)
        _named("--best", lambda: check_averaged(runs, within))
        return [Line(label=f"best: {ask.best}", points=_points(make_cells(runs, within, [ask.y]), scale), role=Role.BEST)]
    if shown.selection is None:
        raise InputError("--best: the grid file names no objective to choose by. Name the metric with --select max:NAME or min:NAME")
    if not keys.hue:
        raise InputError("--best: there is one group at each x, and nothing to choose from. Tell groups apart with --hue")
    winners = [_winner(groups, shown.selection.mode) for groups in _by_x(cells).values()]
    points = _points([group for group in winners if group is not None], scale)
    return [Line(label=f"best by {shown.selection.name}", points=points, role=Role.BEST)]


def _by_x(cells: Iterable[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in cells:
        found.setdefault(group.place[0], []).append(group)
    return found


def _winner(groups: Iterable[Group], mode: str) -> Group | None:
    """Return the group whose mean of the selection metric is best; the first of equals."""
    measured = [(mean, group) for group in groups if (mean := group.cells[1].statistics.mean) is not None]
    pick = max if mode == "max" else min
    return pick(measured, key=lambda pair: pair[0])[1] if measured else None


def _named(option: str, act: Callable[[], Any]) -> Any:
    """Do something; what is refused names the option that it is about."""
    try:
        return act()
    except InputError as error:
        raise type(error)(f"{option}: {error}") from error
