"""mrsweep summary: the table of results, one row a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from orchestrator.cli.options import Target, examples, json_option, on_grid, selecting
from orchestrator.cli.show import count, say, table
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.opened import OpenGrid
from orchestrator.results.select import Selection, select, varying_keys
from orchestrator.results.summary import Table, check_suffix, render, summarise
from orchestrator.store.errors import InputError
from orchestrator.store.files import write_atomic
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State
from orchestrator.watchdog.look import look

_EXAMPLES = examples(
    """
mrsweep summary quickstart
mrsweep summary quickstart -o summary.csv
mrsweep summary quickstart --where 'mask.acceleration=8' -o best.md
"""
)


@click.command("summary", epilog=_EXAMPLES)
@on_grid
@selecting
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write: .csv, .tsv, .json or .md.")
@json_option
def command(*, target: Target, selection: Selection, output: Path | None, as_json: bool) -> None:
    """Print the table of results, or write it to a file. The same results give the same bytes."""
    suffix = _check_output(output) if output else ""
    opened, site = target.open()
    records = look(opened, site).records
    results = summarise(_chosen(opened, records, selection), opened.spec.objective)
    if as_json:
        click.echo(render(results, ".json"), nl=False)
    elif output is None:
        _print(results, varying_keys(opened.manifests.values()))
    if output is not None:
        _write(output, render(results, suffix).encode())
    if not as_json:
        _tell(results, output)


def _chosen(opened: OpenGrid, records: Records, selection: Selection) -> list[tuple[Manifest, Record]]:
    """Return the selected runs; what lies in the trash only where it is asked for."""
    pairs = select(opened.manifests, records, msgspec.structs.replace(selection, limit=None))
    kept = [pair for pair in pairs if pair[1].state is not State.PRUNED or State.PRUNED in selection.states]
    return kept[: selection.limit]


def _write(output: Path, content: bytes) -> None:
    try:
        write_atomic(output, content, mode=0o666)
    except OSError as error:
        raise InputError(f"-o {output}: cannot be written ({error.strerror}). Write elsewhere.") from error


def _check_output(output: Path) -> str:
    """Return the suffix of the file to write; refuse one that cannot be written before any work is done."""
    if not output.parent.is_dir():
        raise InputError(f"-o {output}: there is no folder {output.parent}. Make it, or write elsewhere.")
    return check_suffix(output)


def _print(results: Table, keys: Sequence[str]) -> None:
    """Print what has room: what varies and the objective first."""
    first = [column for column in results.columns if column.endswith(" (best)") and column not in keys]
    columns = ["id", *keys, *first, *(column for column in results.columns[1:] if column not in {*keys, *first})]
    rows = [[str(row["id"])[:8], *(row.get(column) for column in columns[1:])] for row in results.rows]
    dropped = table(columns, rows, shrink=dict.fromkeys(keys, 8))
    if dropped:
        say(f"{count(dropped, 'more column')} in the file that -o FILE writes")


def _tell(results: Table, output: Path | None) -> None:
    told = count(len(results.rows), "run")
    if results.missing:
        told += f", {results.missing} without a result"
    if results.not_finite:
        told += f", {results.not_finite} with a value that is not finite"
    if results.unreported:
        say(f"{count(results.unreported, 'completed run')} without a value of '{results.objective}': not reported, or no number.")
    say(f"{told}{f'; written to {output}' if output else ''}.")
