"""What is asked of the results of one grid or several, and the tables that answer it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator.store.errors import InputError
from orchestrator.tables.across import make_matrix
from orchestrator.tables.baseline import add_differences
from orchestrator.tables.best import make_best
from orchestrator.tables.grouped import make_grouped
from orchestrator.tables.groups import make_groups
from orchestrator.tables.keys import find_keys
from orchestrator.tables.known import no_metric
from orchestrator.tables.long import make_long
from orchestrator.tables.metric_names import check_metric, choose_metrics
from orchestrator.tables.sample import Sample, take_sample
from orchestrator.tables.study import Study
from orchestrator.tables.table import Tables
from orchestrator.tables.values import parse_selection
from orchestrator.tables.wide import make_wide


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `mrsweep summary`; without any, one row a run."""

    metrics: tuple[str, ...] = ()
    """Names or patterns such as test/*; empty: all."""
    select: str = ""
    """The metric that selects the step of each run, with its direction; empty: the grid's objective."""
    long: bool = False
    """One row a step."""
    all_keys: bool = False
    """Every key of the config."""
    by: tuple[str, ...] = ()
    """One row a group of runs that share the values of these keys."""
    over: tuple[str, ...] = ()
    """The keys in which the runs of a group differ."""
    across: tuple[str, ...] = ()
    """Keys whose values become columns."""
    baseline: str = ""
    """The group that all others are compared with."""
    best: str = ""
    """The metric that ranks the runs of a group."""
    per: tuple[str, ...] = ()
    """Keys that make the groups of `best`."""


def answer(studies: Sequence[Study], question: Question) -> Tables:
    """Return the tables that a question asks for. Raises InputError for options that do not go together, unknown metrics and keys."""
    check(question)
    sample = take_sample(studies, question.select, question.best)
    if question.best or question.by or question.across:
        _need_results(sample)
    if sample.selection is not None and (question.select or question.best):
        check_metric(sample.selection.name, sample.runs, "--select" if question.select else "--best")
    if question.long:
        return make_long(sample, question.metrics, complete=question.all_keys)
    if question.best:
        metric = parse_selection(question.best, sample.objective, "--best")
        return make_best(sample, metric, find_keys(question.per, sample, "--per"), question.metrics)
    if question.by or question.across:
        return _grouped(sample, question)
    return make_wide(sample, question.metrics, complete=question.all_keys)


def _grouped(sample: Sample, question: Question) -> Tables:
    by, across = find_keys(question.by, sample, "--by"), find_keys(question.across, sample, "--across")
    over = find_keys(question.over, sample, "--over")
    both = next((key for key in (*by, *across) if key in over or (key in by and key in across)), None)
    if both:
        raise InputError(f"{both} is named twice: a key belongs to one of --by, --across and --over.")
    metrics = choose_metrics(question.metrics, sample, numeric=True)
    if not metrics:
        raise no_metric("--across" if across else "--by", (metric for run in sample.runs for metric in run.reported.names))
    groups = make_groups(sample, (*by, *across), over, metrics)
    if across:
        return make_matrix(groups, sample, across)
    if question.baseline:
        groups = add_differences(groups, sample, question.baseline)
    return make_grouped(groups, sample, compared=bool(question.baseline))


def check(question: Question) -> None:
    """Raise InputError for options that do not go together."""
    grouped = bool(question.by or question.across)
    kinds = [name for name, given in (("--long", question.long), ("--by", grouped), ("--best", question.best)) if given]
    if len(kinds) > 1:
        raise InputError(f"{' and '.join(kinds)} are different tables. Ask for one of them.")
    wrong = {
        "--over needs --by: which keys the groups share. Write --by KEY,KEY, or --across KEY.": question.over and not grouped,
        "--baseline needs --by and --over: pairs are runs with equal values of --over. Write --over seed.": question.baseline
        and not (question.by and question.over),
        "--baseline and --across: a matrix has no room for differences. Leave out one of them.": question.baseline and question.across,
        "--per needs --best: the metric that ranks. Write --best METRIC.": question.per and not question.best,
        "--all-keys is for one row a run or a step. Leave it out.": question.all_keys and (grouped or question.best),
    }
    for told, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(told)


def _need_results(sample: Sample) -> None:
    """Refuse to average or rank where nothing can be: no run, or none that completed."""
    grids = ", ".join(sample.grids)
    if not sample.runs:
        raise InputError(f"{grids}: no run is selected. List the runs with: mrsweep status {sample.grids[0]} --all")
    if not sample.completed:
        standing = sorted({run.standing for run in sample.runs})
        raise InputError(
            f"{grids}: none of {len(sample.runs):,} runs has completed ({', '.join(standing[:6])}): nothing can be averaged or ranked. "
            f"Look at them with: mrsweep status {sample.grids[0]}"
        )
