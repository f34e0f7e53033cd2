"""mrsweep summary: the tables of results: runs, reports, groups, the best of each group."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from orchestrator.cli.main import one_line
from orchestrator.cli.options import (
    Target,
    examples,
    json_option,
    profile_option,
    runs_option,
    selecting,
    several,
    text_option,
    variant_option,
)
from orchestrator.cli.output import check_folder, write_output
from orchestrator.cli.show import document, say, table, terminal_width
from orchestrator.cli.studies import take_studies
from orchestrator.results.counting import count
from orchestrator.results.select import Selection
from orchestrator.tables.figures import as_words
from orchestrator.tables.question import Question, answer, check
from orchestrator.tables.table import Table
from orchestrator.tables.writers import as_document, check_suffix, is_page, write

ROWS = 100
"""Rows that are printed; a file has them all."""
_NARROW = 9
"""Characters that keys and states keep in a narrow terminal."""

_EXAMPLES = examples(
    """
mrsweep summary quickstart
mrsweep summary quickstart -o summary.csv
mrsweep summary quickstart --by mask.kind,mask.acceleration --over seed
mrsweep summary quickstart --by mask.kind --across mask.acceleration --over seed --metric val/ssim
mrsweep summary quickstart --by mask.kind,mask.acceleration --over seed --baseline 'mask.kind=random'
mrsweep summary quickstart --best val/ssim --per mask.acceleration -o best.md
mrsweep summary quickstart --long -o curves.parquet
"""
)


def _listing(name: str, field: str, what: str, metavar: str = "KEY,…") -> Callable[[Any], Any]:
    return click.option(name, field, multiple=True, callback=several, metavar=metavar, help=what)


@click.command("summary", epilog=_EXAMPLES)
@click.argument("grids", metavar="GRID...", nargs=-1, required=True)
@runs_option
@variant_option
@profile_option
@selecting
@_listing("--metric", "metrics", "Metrics to show, also as patterns: 'test/*'.", "NAME,…")
@text_option("--select", "METRIC", "Take each run at its best step of METRIC; max:NAME or min:NAME says which way.")
@click.option("--long", is_flag=True, help="One row a step and run.")
@click.option("--all-keys", is_flag=True, help="Every key of the config, not only those that vary.")
@_listing("--by", "by", "One row for the runs that share these keys, with mean and interval.")
@_listing("--over", "over", "The keys in which the runs of a group differ, such as seed.")
@_listing("--across", "across", "Make the values of these keys columns.")
@text_option("--baseline", "EXPR", "Compare the groups, pair by pair, with this one: 'mask.kind=random'.")
@text_option("--best", "METRIC", "Show the best run by METRIC, and its other metrics.")
@_listing("--per", "per", "Show the best run of each group.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write: .csv .tsv .parquet .json .md .tex .html.")
@click.option("--details", is_flag=True, help="Also in a file to read (.md .tex .html): what the runs cost, and where they come from.")
@json_option
def command(
    *,
    grids: tuple[str, ...],
    runs: Path,
    variant: str | None,
    profile: str | None,
    selection: Selection,
    output: Path | None,
    details: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Print a table of results, or write it to a file. The same results give the same bytes.

    Without --by, --best or --long: one row a run. A metric's value is that of the step where the grid's objective was best.
    """
    question = Question(**asked)
    check(question)
    suffix = _check_output(output) if output else ""
    if details and not is_page(suffix):
        raise click.UsageError("--details goes with -o FILE.md, .tex or .html: other files have these columns always.")
    studies = take_studies([Target(grid, runs, variant, profile) for grid in dict.fromkeys(grids)], selection)
    tables = answer(studies, question)
    if output is not None:
        write_output(output, write(tables, suffix, complete=details))
    if as_json:
        document("summary", **as_document(tables.data))
        return
    if output is None:
        _print(tables.page)
    _tell(tables.data, output)


def _check_output(output: Path) -> str:
    """Return the suffix of the file to write; refuse one that cannot be written before any work is done."""
    check_folder(output)
    return check_suffix(output)


def _print(page: Table) -> None:
    """Print what has room: what varies and the metrics stand first."""
    headings = [page.short.get(column, column) for column in page.columns]
    shown = msgspec.structs.replace(page, rows=tuple(islice(page.rows, ROWS)))
    keys = [] if page.kind == "matrix" else [page.short[column] for column in page.columns if column in page.short]
    needed = page.short.get(page.needed, page.needed)
    dropped = table(headings, as_words(shown), shrink=dict.fromkeys([*keys, "state"], _NARROW), needed=needed)
    if dropped:
        say(f"{count(dropped, 'more column')} in the file that -o FILE writes")
    if len(page.rows) > ROWS:
        say(f"{count(len(page.rows) - ROWS, 'more row')} in the file that -o FILE writes")


def _tell(data: Table, output: Path | None) -> None:
    """Say what is missing, one sentence a line, and how many runs the table is about."""
    for note in data.notes:
        for line in _wrapped(note if note.endswith("?") else f"{note}."):
            click.echo(line)
    told = count(data.counts.get("runs", 0), "run")
    say(f"{told}{f'; written to {output}' if output else ''}.")


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(one_line(text), max(40, terminal_width()), subsequent_indent="  ", break_on_hyphens=False)
