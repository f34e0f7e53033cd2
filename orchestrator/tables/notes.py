"""What has to be said below a table: runs without a result, values that cannot be counted, groups with too few runs (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.grid.objective import Objective
from orchestrator.results.abbreviations import last_words
from orchestrator.results.counting import count
from orchestrator.store.events import Number
from orchestrator.tables.diverged import diverged_later, never_finite
from orchestrator.tables.groups import Gap, Group, Groups, told_gaps
from orchestrator.tables.keys import told
from orchestrator.tables.metric_names import all_finite, is_finite, notes_on_values, told_runs
from orchestrator.tables.sample import Run, Sample
from orchestrator.tables.values import values_of

MOST_GROUPS = 12
"""Groups with gaps that are named one by one."""

Values = Sequence[Sequence[Number]]
"""Of each run, those of the metrics."""


def read_values(runs: Sequence[Run], metrics: Sequence[str]) -> list[list[Number]]:
    """Return of each run the values of the metrics."""
    return [values_of(run.reported, metrics, run.step, run.place) for run in runs]


def count_runs(sample: Sample, metrics: Sequence[str], values: Values) -> dict[str, int]:
    """Return how many runs there are, have no result, completed without the objective, and completed with a value that is not finite."""
    done = [(run, found) for run, found in zip(sample.runs, values, strict=True) if run.is_completed]
    missing = len(sample.runs) - len(done)
    odd = [] if all(map(all_finite, zip(*(found for _, found in done), strict=True))) else done
    infinite = sum(any(isinstance(value, float) and not is_finite(value) for value in found) for _, found in odd)
    return {"runs": len(sample.runs), "missing": missing, "unreported": len(never_finite(sample)), "not_finite": infinite}


def notes_on_runs(sample: Sample, metrics: Sequence[str], values: Values) -> Iterator[str]:
    """Yield by what the steps were selected, and what is missing from a table of runs."""
    yield from notes_on_selection(sample)
    yield from notes_on_results(sample)
    done = [(run, found) for run, found in zip(sample.runs, values, strict=True) if run.is_completed]
    yield from notes_on_values(metrics, [run for run, _ in done], [found for _, found in done])


def notes_on_selection(sample: Sample) -> Iterator[str]:
    """Yield by which metric the steps were selected, where it is not the objective of the grids."""
    selection = sample.selection
    if selection is None or selection == sample.objective:
        return
    beside = f", and not {sample.objective.name}" if sample.objective is not None else ""
    yield f"every value is of the step where {selection.name} was {told_extreme(selection)}{beside}"
    yield from notes_on_test(selection, "selects the step")


def notes_on_test(metric: Objective, deed: str) -> Iterator[str]:
    """Yield a warning where a test metric does what a validation metric should do. `deed`: "ranks here"."""
    if metric.name.startswith("test"):
        verb = deed.partition(" ")[0].removesuffix("s")
        yield f"{metric.name} itself {deed}, which flatters it: {verb} by a validation metric, and read {metric.name} beside it"


def told_extreme(metric: Objective) -> str:
    """Return "highest" or "lowest", whichever is best."""
    return "highest" if metric.mode == "max" else "lowest"


def notes_on_results(sample: Sample) -> Iterator[str]:
    """Yield which runs have no result or no value of the selection metric, and what of the reports could not be read."""
    standing = Counter(run.standing for run in sample.runs if not run.is_completed)
    if standing:
        listed = ", ".join(f"{number:,} {word}" for word, number in standing.most_common())
        yield f"{sum(standing.values()):,} of {count(len(sample.runs), 'run')} without a result: {listed}"
    yield from _never_finite(sample)
    yield from _diverged(sample)
    yield from _odd_reports(sample)


def _odd_reports(sample: Sample) -> Iterator[str]:
    unread = [run.reported.unread for run in sample.runs if run.reported.unread]
    if unread:
        of_runs = f"{count(sum(unread), 'report')} of {count(len(unread), 'run')}"
        yield f"{of_runs} cannot be read (damaged, or too long a line), and {'is' if sum(unread) == 1 else 'are'} left out"
    stepless = [run.reported.stepless for run in sample.runs if run.reported.stepless]
    if stepless:
        verbs = "names no step, and counts" if sum(stepless) == 1 else "name no step, and count"
        yield f"{count(sum(stepless), 'report')} of {count(len(stepless), 'run')} {verbs} as step 0"
    failed = sum(run.reported.errors > 0 for run in sample.runs)
    if failed:
        yield f"files of {count(failed, 'run')} could not be read: what they hold is missing; they are read again the next time"


def _never_finite(sample: Sample) -> Iterator[str]:
    found = never_finite(sample)
    if found and sample.selection is not None:
        their = "its" if len(found) == 1 else "their"
        which = told_runs(found, sample.completed)
        yield f"{which} without a finite value of '{sample.selection.name}': {their} values are those returned, or reported last"


def _diverged(sample: Sample) -> Iterator[str]:
    found = diverged_later(sample)
    if found and sample.selection is not None:
        which = told_runs(found, sample.completed)
        them, their = ("it counts", "its") if len(found) == 1 else ("they count", "their")
        yield f"'{sample.selection.name}' ended NaN or infinite in {which}: {them} with {their} selected step, before that"


def notes_on_groups(groups: Groups) -> Iterator[str]:
    """Yield which groups have no value at all, or fewer than they should, and why."""
    short = last_words(groups.by)
    lines = [line for group in groups.groups for line in _gaps(group, groups, short)]
    yield from lines[:MOST_GROUPS]
    if len(lines) > MOST_GROUPS:
        yield f"… and {len(lines) - MOST_GROUPS:,} more such groups (the column missing of a csv file names them all)"


def _gaps(group: Group, groups: Groups, short: Mapping[str, str]) -> Iterator[str]:
    name = told(groups.by, group.values, short) or "all runs"
    if group.gaps:
        yield _told(name, group.expected - len(group.gaps), group.expected, group.gaps)
    for cell in group.cells:
        if cell.gaps:
            yield _told(f"{name}, {cell.metric}", cell.statistics.n, group.expected, cell.gaps)


def _told(name: str, n: int, expected: int, gaps: Sequence[Gap]) -> str:
    return f"{'thin' if n else 'missing'}: {name}: {n} of {expected}; {told_gaps(gaps)}"
