"""A metric over the steps: at each step the mean, and its interval, over the runs of a group that reported there (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestrator.metrics.history import Curve
from orchestrator.plots.cells import Ask, Keys, by_hue, find_figure_keys, hue_label, make_cells, only, without_baseline
from orchestrator.plots.figure import Axis, Figure, Line, Point, Role, counts, drawn_values, spans_decades
from orchestrator.plots.told import averaged, check_finite, check_stepwise, legend_title, told_kinds, too_many, y_label
from orchestrator.store.errors import InputError
from orchestrator.tables.groups import Group
from orchestrator.tables.metric_names import check_metric
from orchestrator.tables.sample import Run, Sample
from orchestrator.tables.select import select_runs
from orchestrator.tables.statistics import Means, mean_of_columns

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def plan_curves(sample: Sample, ask: Ask) -> Figure:
    """Return the learning curves of a metric, a line for each value of the hue.

    Raises InputError for an unknown key or metric, for means over keys that nobody named, and where nothing is there to draw.
    """
    check_metric(ask.y, sample.runs, "--y")
    check_stepwise(sample.runs, ask.y)
    if ask.best == "":
        raise InputError("--best: curves have no best group at each step. Name runs, as in --best 'model.blocks=IIV'")
    keys = find_figure_keys(ask, sample)
    base = select_runs(sample, ask.baseline, "--baseline") if ask.baseline else ()
    groups = make_cells(without_baseline(sample, base, keys), keys, [ask.y])
    lines = [
        Line(label=hue_label(found[0], keys) or ask.y, points=points_of(found[0].runs, ask.y)) for found in by_hue(groups, keys).values()
    ]
    best = select_runs(sample, ask.best, "--best") if ask.best else ()
    for runs, label, role in ((base, f"baseline: {ask.baseline}", Role.BASELINE), (best, f"best: {ask.best}", Role.BEST)):
        if runs:
            lines.append(Line(label=label, points=_mean_of(only(sample, runs), keys, ask.y), role=role))
    check_finite(lines, ask.y)
    return Figure(
        x=Axis(label="step", is_log=False),
        y=Axis(label=y_label(ask.y, sample), is_log=spans_decades(list(drawn_values(lines)))),
        lines=tuple(lines),
        is_curve=True,
        legend=legend_title(keys.hue),
        notes=tuple(_notes(keys, groups, lines, ask.y)),
    )


def _mean_of(sample: Sample, keys: Keys, metric: str) -> tuple[Point, ...]:
    """Return the mean over all runs of a sample."""
    (group,) = make_cells(sample, Keys("", (), keys.over), [metric])
    return points_of(group.runs, metric)


def _notes(keys: Keys, groups: Sequence[Group], lines: Sequence[Line], metric: str) -> list[str]:
    gaps = [gap for group in groups for gap in group.gaps]
    thin = any(point.n < line.usual for line in lines for point in line.points)
    broken = sum(_is_broken(run, metric) for group in groups for run in group.runs)
    notes = [f"{averaged(keys.over)}, {counts(lines)}"]
    notes += ["dotted where some runs reported no finite number"] if thin else []
    notes += [f"{broken} run{'s' * (broken != 1)} NaN or infinite at some steps, which are left out"] if broken else []
    return [*notes, *([told_kinds(gaps)] if gaps else []), *too_many(lines)]


def _is_broken(run: Run, metric: str) -> bool:
    """Say whether a completed run reported the metric as NaN or infinite at some step."""
    curve = run.reported.curves.get(metric) if run.is_completed else None
    return curve is not None and len(finite_part(curve).steps) < len(curve.steps)


def points_of(runs: Iterable[Run], metric: str) -> tuple[Point, ...]:
    """Return a point for each step that any completed run reported finitely."""
    import numpy as np

    curves = [finite_part(curve) for run in runs if run.is_completed and (curve := run.reported.curves.get(metric)) is not None]
    curves = [curve for curve in curves if len(curve.steps)]
    if not curves:
        return ()
    steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    table = np.full((len(curves), len(steps)), np.nan)
    for row, curve in zip(table, curves, strict=True):
        row[np.searchsorted(steps, curve.steps)] = curve.values
    return tuple(_points(steps, mean_of_columns(table)))


def finite_part(curve: Curve) -> Curve:
    """Return the steps of a curve at which it is finite."""
    import numpy as np

    finite = np.isfinite(curve.values)
    return Curve(curve.steps[finite], curve.values[finite])


def _points(steps: npt.NDArray[np.float64], means: Means) -> Iterable[Point]:
    """Yield the mean at each step, and its interval where there are two values and more."""
    for step, n, mean, half in zip(steps.tolist(), means.n.tolist(), means.mean.tolist(), means.half.tolist(), strict=True):
        yield Point(x=step, n=n, mean=mean, low=mean - half if n > 1 else None, high=mean + half if n > 1 else None)
