"""The words of a figure: labels of its axes, and the notes beneath it (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.plots.cells import Keys
from orchestrator.plots.figure import Line, Role, counts
from orchestrator.results.abbreviations import last_words
from orchestrator.store.errors import InputError
from orchestrator.tables.diverged import diverged_later, never_finite
from orchestrator.tables.groups import Gap, Group
from orchestrator.tables.metric_names import told_runs
from orchestrator.tables.sample import Run, Sample

MOST_READABLE = 8
"""More lines are drawn, and said to be too many."""
DIRECTIONS = {"max": "higher is better", "min": "lower is better"}


def y_label(metric: str, sample: Sample) -> str:
    """Return the metric and what is better, where that is known: of the objective, and of what ends alike (test/ssim as val/ssim)."""
    known = [each for each in (sample.selection, sample.objective) if each is not None]
    mode = next((each.mode for each in known if each.name == metric), None)
    mode = mode or next((each.mode for each in known if _last_word(each.name) == _last_word(metric)), None)
    return f"{metric} ({DIRECTIONS[mode]})" if mode else metric


def _last_word(metric: str) -> str:
    return metric.rpartition("/")[2]


def legend_title(hue: Sequence[str]) -> str:
    """Return what the labels of the lines tell."""
    return ", ".join(last_words(hue).values()) if hue else ""


def averaged(over: Sequence[str]) -> str:
    """Return what a point is: "mean and 95 % interval over seed"."""
    return f"mean and 95 % confidence interval over {', '.join(last_words(over).values())}" if over else "single runs"


def notes_on_cells(sample: Sample, keys: Keys, cells: Iterable[Group], lines: Sequence[Line]) -> list[str]:
    """Return what a point is the mean of, by which metric its steps were selected, and what is missing."""
    cells = list(cells)
    missing = sum(not point.n for line in lines for point in line.points if line.role is not Role.BEST)
    thin = any(0 < point.n < line.usual for line in lines for point in line.points if line.role is Role.SERIES)
    notes = [f"{averaged(keys.over)}, {counts(lines)}{' (hollow: fewer)' if thin else ''}"]
    if sample.selection is not None and any(run.step is not None for run in sample.runs):
        notes.append(f"each run at its best {sample.selection.name}")
    unselected = never_finite(sample)
    if unselected and sample.selection is not None:
        which = told_runs(unselected, sample.completed)
        notes.append(f"{which} without a finite {sample.selection.name}: drawn as returned, or reported last")
    diverged = diverged_later(sample)
    if diverged and sample.selection is not None:
        notes.append(f"{sample.selection.name} ended NaN or infinite in {told_runs(diverged, sample.completed)}, drawn as selected before")
    if missing:
        notes.append(f"× marks {missing} missing cell{'s' * (missing != 1)}")
    gaps = [gap for group in cells for gap in (*group.gaps, *group.cells[0].gaps)]
    return [*notes, *([told_kinds(gaps)] if gaps else []), *too_many(lines)]


def too_many(lines: Iterable[Line]) -> list[str]:
    """Return a note where there are more lines than can be read with ease."""
    number = sum(line.role is Role.SERIES for line in lines)
    return [f"{number} lines are too many to read with ease"] if number > MOST_READABLE else []


_SHORT = {"is nan": "NaN", "is inf": "infinite", "is -inf": "infinite"}
"""What a gap is called in a note."""


def told_kinds(gaps: Sequence[Gap]) -> str:
    """Return how many runs are missing, and why."""
    kinds = Counter(_SHORT.get(gap.why, gap.why) for gap in gaps)
    listed = [f"{count} {why}" if len(kinds) > 1 else why for why, count in kinds.most_common(4)]
    return f"{len(gaps)} run{'s' * (len(gaps) != 1)} missing: {', '.join(listed)}{', …' * (len(kinds) > 4)}"


def check_stepwise(runs: Sequence[Run], metric: str) -> None:
    """Raise InputError for a metric that runs returned, and none reported step by step: it has no curve."""
    if any(metric in run.reported.final for run in runs) and not any(metric in run.reported.curves for run in runs):
        raise InputError(f"--y {metric}: was returned at the end, not step by step; choose a key for --x")


def check_finite(lines: Iterable[Line], metric: str) -> None:
    """Raise InputError where there is no point to draw."""
    if not any(point.n for line in lines for point in line.points):
        raise InputError(
            f"--y {metric}: no completed run among the chosen ones has a finite value of it. Look at them with: mrsweep status"
        )
