"""mrsweep plot: one figure for a publication."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

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
from orchestrator.cli.show import document, say, waiting
from orchestrator.cli.studies import take_studies
from orchestrator.plots.cells import Ask
from orchestrator.plots.curves import plan_curves
from orchestrator.plots.draw import FORMATS, render
from orchestrator.plots.effect import plan_effect
from orchestrator.plots.figure import Figure
from orchestrator.plots.style import COLUMN_MM
from orchestrator.results.counting import count
from orchestrator.results.select import Selection
from orchestrator.store.errors import InputError
from orchestrator.tables.sample import take_sample

_EXAMPLES = examples(
    """
mrsweep plot quickstart --x mask.acceleration --y val/ssim --hue mask.kind -o figure.pdf
mrsweep plot quickstart --x step --y val/ssim --hue mask.kind,mask.acceleration -o curves.svg
mrsweep plot quickstart --x mask.acceleration --y val/ssim --hue mask.kind --baseline 'mask.kind=random' --best -o figure.png
"""
)


@click.command("plot", epilog=_EXAMPLES)
@click.argument("grids", metavar="GRID...", nargs=-1, required=True)
@runs_option
@variant_option
@profile_option
@selecting
@click.option("--x", required=True, metavar="KEY", help="Key on the horizontal axis; step: learning curves.")
@click.option("--y", required=True, metavar="METRIC", help="Metric on the vertical axis.")
@click.option("--hue", default="", metavar="KEY,…", callback=several, help="A line for each value of these keys.")
@click.option("--over", default="", metavar="KEY,…", callback=several, help="Keys to average over; without it the seeds alone.")
@text_option("--select", "METRIC", "Take each run at its best step of METRIC; max:NAME or min:NAME.")
@text_option("--baseline", "EXPR", "Runs to draw as a dashed line: 'model.kind=stl'.")
@click.option(
    "--best", is_flag=False, flag_value="", metavar="[EXPR]", help="Draw the best group at each x, by the objective; or the runs of EXPR."
)
@click.option("--width-mm", type=click.FloatRange(40, 400), default=COLUMN_MM, show_default=True, help="Width: a journal's column is 85.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File to write: .svg .png .pdf.")
@json_option
def command(
    *,
    grids: tuple[str, ...],
    runs: Path,
    variant: str | None,
    profile: str | None,
    selection: Selection,
    select: str,
    width_mm: float,
    output: Path,
    as_json: bool,
    **asked: object,
) -> None:
    """Draw a metric over a key or over the steps: means, and their 95 % intervals over the seeds, of completed runs."""
    ask = _ask(asked)
    _check_output(output)
    with waiting("reading what the runs reported"):
        studies = take_studies([Target(grid, runs, variant, profile) for grid in dict.fromkeys(grids)], selection)
        sample = take_sample(studies, select)
        figure = (plan_curves if ask.is_curve else plan_effect)(sample, ask)
        content = render(figure, output.suffix.lower(), width_mm=width_mm)
    write_output(output, content)
    _tell(figure, output, as_json=as_json)


def _ask(asked: dict[str, object]) -> Ask:
    ask = Ask(**asked)  # type: ignore[arg-type]
    if ask.is_curve or ask.x:
        return ask
    raise click.UsageError("--x is empty. Name a key of the config, or write step.")


def _check_output(output: Path) -> None:
    """Refuse a file that cannot be written before any work is done."""
    if output.suffix.lower() not in FORMATS:
        raise InputError(f"-o {output}: the ending says the format; use one of {', '.join(FORMATS)}.")
    check_folder(output)


def _tell(figure: Figure, output: Path, *, as_json: bool) -> None:
    if as_json:
        document("plot", file=output, x=figure.x, y=figure.y, lines=_lines(figure), notes=figure.notes)
        return
    for note in figure.notes:
        say(f"{note}.")
    say(f"{count(len(figure.lines), 'line')} of {figure.y.label} over {figure.x.label}; written to {output}.")


def _lines(figure: Figure) -> Sequence[dict[str, object]]:
    """Return the numbers behind the figure."""
    return [{"label": line.label, "role": line.role.value, "points": line.points} for line in figure.lines]
