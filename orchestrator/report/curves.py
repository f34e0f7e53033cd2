"""Metrics over steps: a line a run where they are few, else mean and band of each group of an axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.metrics.history import Curve
from orchestrator.report import figures
from orchestrator.report.axes import Axis, label_runs
from orchestrator.report.colours import strokes
from orchestrator.report.effects import Effect
from orchestrator.report.markup import Section, paragraph, text
from orchestrator.report.thinning import MOST_STEPS, at_steps, common_steps, up_to_steps
from orchestrator.results.counting import count
from orchestrator.store.states import State
from orchestrator.tables.statistics import mean_of_columns
from orchestrator.tables.study import Study

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_LINES = 8
"""More runs than this are drawn as groups."""

MOST_FIGURES = 6
MOST_GROUPS = 8
LONGEST = 36
"""Letters of a legend's entry."""


Curves = Mapping[str, Mapping[str, Curve]]
"""Run id → metric → curve."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn as one line: a run, or the mean of a group."""

    label: str
    steps: Any
    mean: Any
    low: Any = None
    """Lower and upper end of the band; None for a single run."""
    high: Any = None
    runs: Any = None
    """How many runs each mean stands for."""
    most: int = 0
    """How many runs the group has; the line is dashed where fewer stand behind it."""

    @property
    def is_thin(self) -> bool:
        """Say whether some mean stands for fewer runs than the group has."""
        return self.runs is not None and bool((self.runs < self.most).any())


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """The curves of one metric."""

    metric: str
    lines: tuple[Line, ...]
    thinned: bool
    """Not every reported step is drawn."""
    runs: int
    left_out: int = 0
    """Runs with a curve that is not drawn, because they have not completed."""
    any_completed: bool = True
    """Some run with a curve has completed."""
    not_finite: frozenset[str] = frozenset()
    """Runs that are drawn and reported NaN or an infinity."""


def metrics_with_curves(curves: Curves, first: str) -> list[str]:
    """Return the metrics that some run reported at two steps or more.

    `first` comes first, then its kin such as val/…, then what most runs report; what never changes within a run comes last.
    """
    tally = Counter(name for run in curves.values() for name, curve in run.items() if len(curve.steps) > 1)
    moving = {name for run in curves.values() for name, curve in run.items() if (curve.values != curve.values[0]).any()}
    kin = first.rpartition("/")[0]
    return sorted(tally, key=lambda name: (name != first, name not in moving, name.rpartition("/")[0] != kin, -tally[name], name))


def of_metric(metric: str, curves: Curves) -> dict[str, Curve]:
    """Return run id → curve of one metric."""
    return {run: one[metric] for run, one in curves.items() if metric in one}


def grouping(axes: Sequence[Axis], effects: Sequence[Effect]) -> Axis | None:
    """Return the axis that tells the curves apart best: the strongest of few levels, else the first of few levels."""
    candidates = [*(effect.axis for effect in effects), *axes]
    return next((axis for axis in candidates if len(axis.levels) <= MOST_GROUPS and not axis.is_seed), None)


def chosen(curves: Mapping[str, Curve], completed: Collection[str]) -> dict[str, Curve]:
    """Return the curves to draw: few are all drawn; of many those of completed runs, as runs that died early would bend the means.

    Where none has completed, the longest are drawn one by one.
    """
    curves = {run: curve for run, curve in curves.items() if len(curve.steps)}
    if len(curves) <= MOST_LINES:
        return curves
    done = {run: curve for run, curve in curves.items() if run in completed}
    return done or dict(sorted(curves.items(), key=lambda pair: -len(pair[1].steps))[:MOST_LINES])


def drawing(metric: str, curves: Mapping[str, Curve], labels: Mapping[str, str], axis: Axis | None, completed: Collection[str]) -> Drawing:
    """Return what to draw of a metric. `curves`: run id → curve; `axis`: groups the runs where they are more than MOST_LINES."""
    reported = sum(len(curve.steps) > 0 for curve in curves.values())
    curves = chosen(curves, completed)
    lines, thinned = _lines(curves, labels, axis)
    odd = frozenset(run for run, curve in curves.items() if not _all_finite(curve))
    left_out, any_completed = reported - len(curves), not curves.keys().isdisjoint(completed)
    return Drawing(
        metric=metric, lines=lines, thinned=thinned, runs=len(curves), left_out=left_out, any_completed=any_completed, not_finite=odd
    )


def _all_finite(curve: Curve) -> bool:
    import numpy as np

    return bool(np.isfinite(curve.values).all())


def _lines(curves: Mapping[str, Curve], labels: Mapping[str, str], axis: Axis | None) -> tuple[tuple[Line, ...], bool]:
    """Return the lines, and whether long curves were thinned for them."""
    import numpy as np

    most = max((len(curve.steps) for curve in curves.values()), default=0)
    if len(curves) <= MOST_LINES:
        lines = tuple(_single(labels[run], curve) for run, curve in curves.items())
        return lines, most > MOST_STEPS
    steps, is_thinned = common_steps(list(curves.values()))
    sampled = up_to_steps if is_thinned else at_steps
    groups: dict[int, list[Curve]] = {}
    for run, curve in curves.items():
        groups.setdefault(axis.level_of[run] if axis is not None else 0, []).append(curve)
    names = [f"{axis.name}={level}" for level in axis.levels] if axis is not None else ["all runs"]
    rows = {place: np.stack([sampled(curve, steps) for curve in group]) for place, group in groups.items()}
    return tuple(group_line(names[place], rows[place], steps) for place in sorted(rows)), is_thinned


def _single(name: str, curve: Curve) -> Line:
    steps, _ = common_steps([curve])  # some of its own, thinned or not
    return Line(label=name, steps=steps, mean=at_steps(curve, steps))


def group_line(name: str, values: npt.NDArray[np.float64], steps: npt.NDArray[np.float64]) -> Line:
    """Return mean and confidence interval of curves at common steps, (run, step); at each of the runs with a finite number there."""
    runs, mean, half = mean_of_columns(values)
    seen = runs > 0
    low, high = (mean - half)[seen], (mean + half)[seen]
    return Line(label=name, steps=steps[seen], mean=mean[seen], low=low, high=high, runs=runs[seen], most=len(values))


def curves_section(study: Study, axes: Sequence[Axis], effects: Sequence[Effect]) -> Section:
    """Draw a figure a metric."""
    title = "Metric curves"
    reported = {run: one.curves for run, one in study.history.items()}
    metrics = metrics_with_curves(reported, study.objective.name if study.objective is not None else "")
    if not metrics:
        return Section("curves", title, paragraph("No run has reported a metric at two steps or more."), is_empty=True)
    axis = grouping(axes, effects)
    labels, meant = label_runs([manifest for manifest, _ in study.pairs], [axis.key for axis in axes], LONGEST)
    completed = {record.id for _, record in study.pairs if record.state is State.COMPLETED}
    drawn = [drawing(metric, of_metric(metric, reported), labels, axis, completed) for metric in metrics[:MOST_FIGURES]]
    body = "".join(_holder(place, each) for place, each in enumerate(drawn))
    singles = [meant] if meant and any(each.runs <= MOST_LINES for each in drawn) else []
    told = " ".join([*_told(drawn, axis, len(metrics) - len(drawn)), *singles])
    items = [figures.to_json(draw(each), f"curve-{place}") for place, each in enumerate(drawn)]
    return Section("curves", title, f'{paragraph(told)}<div class="figures">{body}</div>', figures=items)


def _holder(place: int, each: Drawing) -> str:
    caption = f"<figcaption>{text(each.metric)} <small>{count(each.runs, 'run')}</small></figcaption>"
    return f"<figure>{caption}{figures.holder(f'curve-{place}')}</figure>"


def _told(drawn: Sequence[Drawing], axis: Axis | None, more: int) -> Iterator[str]:
    yield "Click an entry of the legend to hide it; drag to zoom."
    if any(each.runs > MOST_LINES for each in drawn):
        by = f"of each value of {axis.key}, the axis that tells the runs apart best" if axis is not None else "of all runs"
        yield f"Lines are means {by}, bands their 95 % confidence intervals."
    if any(line.is_thin for each in drawn for line in each.lines):
        yield "A line is dashed where fewer runs stand behind it than its group has: others have no finite number there, or none any more."
    yield from _on_left_out(drawn)
    odd = frozenset[str]().union(*(each.not_finite for each in drawn))
    if odd:
        yield f"{count(len(odd), 'run')} reported NaN or an infinity; such values are not drawn."
    if any(each.thinned for each in drawn):
        yield f"Long curves are drawn at {MOST_STEPS} of their steps, with the last report up to each."
    if more:
        yield f"{count(more, 'more metric')} in the summary: mrsweep summary --long."


def _on_left_out(drawn: Sequence[Drawing]) -> Iterator[str]:
    """Say which runs are not drawn, as they have not completed."""
    left_out = max((each.left_out for each in drawn if each.any_completed), default=0)
    if left_out:
        yield f"Of more than {MOST_LINES} runs only those that completed are drawn: {count(left_out, 'other')} left out."
    lone = max((each.left_out for each in drawn if not each.any_completed), default=0)
    if lone:
        yield f"Where no run has completed, the {MOST_LINES} with the most reports are drawn: {count(lone, 'other')} left out."


def draw(each: Drawing) -> Any:
    """Return the figure of one metric."""
    drawn = figures.blank(280)
    drawn.xaxis.axis_label = "step"
    drawn.y_range.default_span = max((abs(float(line.mean[0])) for line in each.lines if len(line.mean)), default=0.0) or 1.0
    entries, lines = [], []
    for line, (colour, dash) in zip(each.lines, strokes(), strict=False):
        source = figures.source(_columns(line))
        renderers = []
        if line.low is not None:
            renderers.append(drawn.varea("step", "low", "high", source=source, fill_color=colour, fill_alpha=0.18))
        strokes_of = [("full", dash), ("thin", "dashed")] if line.is_thin else [("mean", dash)]
        of_line = [
            drawn.line("step", name, source=source, line_color=colour, line_dash=stroke, line_width=2) for name, stroke in strokes_of
        ]
        lines += of_line
        entries.append((_cut(line.label), [*renderers, *of_line]))
    runs = [("runs", "@runs")] if any(line.runs is not None for line in each.lines) else []
    shown = [("", "@label"), ("step", "@step{0.[00]}"), ("value", "@mean{%.5g}"), *runs]
    figures.hover(drawn, shown, renderers=lines, formatters={"@mean": "printf"})
    figures.legend_below(drawn, entries)
    return drawn


def _columns(line: Line) -> dict[str, Any]:
    import numpy as np

    columns = {"step": line.steps, "mean": line.mean.astype(np.float32), "label": [figures.inert(line.label)] * len(line.steps)}
    if line.low is None:
        return columns
    columns |= {"low": line.low.astype(np.float32), "high": line.high.astype(np.float32), "runs": line.runs}
    return columns | pieces_of(line) if line.is_thin else columns


def pieces_of(line: Line) -> dict[str, Any]:
    """Return the mean in two pieces: "full" where all runs of the group stand behind it, "thin" elsewhere and where it joins the other."""
    import numpy as np

    mean, few = line.mean.astype(np.float32), line.runs < line.most
    beside = few | np.append(few[1:], False) | np.append(False, few[:-1])
    return {"full": np.where(few, np.nan, mean), "thin": np.where(beside, mean, np.nan)}


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
