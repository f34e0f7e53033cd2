"""mrsweep report: one page about a grid, to look at and to hand on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from shlex import quote

import click
import msgspec

from orchestrator.cli.options import Target, examples, json_option, on_grid, open_grid, selecting
from orchestrator.cli.output import check_folder, write_output
from orchestrator.cli.show import document, say, waiting
from orchestrator.cluster.resources import Resources
from orchestrator.launch.opened import OpenGrid
from orchestrator.metrics.attempts import attempts_of
from orchestrator.report.content import Content, Panel
from orchestrator.report.figures import check_libraries
from orchestrator.report.images import MOST_FILE_BYTES, Candidate, File, bounded, candidates, files_of, make_panel
from orchestrator.report.page import make_page
from orchestrator.report.scores import scores_of
from orchestrator.results.counting import count
from orchestrator.results.select import Selection
from orchestrator.store.errors import InputError
from orchestrator.store.layout import AttemptPaths
from orchestrator.store.records import Record, Records
from orchestrator.tables.study import Study
from orchestrator.watchdog.look import Site, look, site_of
from orchestrator.watchdog.picture import take_picture
from orchestrator.watchdog.study import take_study

_EXAMPLES = examples(
    """
mrsweep report quickstart                      writes runs/quickstart/report.html
mrsweep report quickstart -o quickstart.html
mrsweep report quickstart --where 'mask.acceleration=8' -o eightfold.html
"""
)


@click.command("report", epilog=_EXAMPLES)
@on_grid
@selecting
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write, .html.  [default: report.html in the grid's folder]")
@json_option
def command(*, target: Target, selection: Selection, output: Path | None, as_json: bool) -> None:
    """Write one HTML file about a grid: results, curves, pictures, failures, use of the cluster.

    It holds everything that it shows, loads nothing from elsewhere, and may be mailed or put on a file share.
    """
    check_libraries()
    opened = open_grid(target.grid, target.runs, variant=target.variant)
    place = _place(opened, output)
    site = site_of(opened, target.profile, reading=True)
    with waiting("reading the runs"):
        content, now = take_content(opened, site, selection, options=_repeated(target))
    with waiting("drawing"):
        page = make_page(content, now).encode()
    write_output(place, page, own=output is None)
    runs = len(content.study.pairs)
    if as_json:
        document("report", grid=content.study.grid, file=str(place), bytes=len(page), runs=runs)
    else:
        say(f"{count(runs, 'run')}, {len(page) / 1e6:.1f} MB; written to {place}")


def take_content(grid: OpenGrid, site: Site, selection: Selection, *, options: str = "") -> tuple[Content, float]:
    """Return what the page is made from, and the moment of the look."""
    seen = look(grid, site)
    study = take_study(grid, site, selection, seen=seen)
    overview = take_picture(grid, site, selection, seen=seen, lines=0)
    settings = grid.settings
    content = Content(
        study=study,
        overview=overview,
        question=grid.spec.question,
        target=grid.spec.target,
        commit=str(settings.provenance.get("commit") or "") if settings is not None else "",
        profile=site.profile.name,
        asked=_asked(seen.records),
        panels=bounded([*_panels(grid, study)]),
        made_at=time.strftime("%Y-%m-%d %H:%M"),
        options=options,
    )
    return content, seen.snapshot.taken_at


def _asked(records: Records) -> dict[str, Resources]:
    """Return submission → what it asked for one run."""
    return {token: msgspec.convert(one.resources, Resources) for token, one in records.submissions.items() if one.resources}


def _panels(grid: OpenGrid, study: Study) -> Iterator[Panel]:
    """Yield the pictures of the best, the median and the worst run that has some; no run twice."""
    records = {record.id: record for _, record in study.pairs}
    taken: set[str] = set()
    for candidate in candidates(study, scores_of(study)):
        found = _first_with_pictures(grid, candidate, records, taken)
        if found is not None:
            run, places = found
            taken.add(run)
            yield make_panel(candidate.rank, run, [*places], partial(_read, places))


def _read(places: dict[File, Path], one: File) -> bytes:
    path = places[one] / one.file
    if path.stat().st_size > MOST_FILE_BYTES:
        raise ValueError(f"{path}: is too large to be a picture")
    return path.read_bytes()


def _first_with_pictures(
    grid: OpenGrid, candidate: Candidate, records: dict[str, Record], taken: set[str]
) -> tuple[str, dict[File, Path]] | None:
    """Return the first run of a candidate that has pictures, and where each of them lies."""
    for run in candidate.runs:
        pictures = _pictures(grid, records[run])
        if pictures:
            return None if run in taken else (run, pictures)
    return None


def _pictures(grid: OpenGrid, record: Record) -> dict[File, Path]:
    """Return the pictures of a run and their folders; of each attempt those before the first step of a newer one."""
    found: dict[File, Path] = {}
    for attempt in attempts_of(grid.paths, record):
        folder = AttemptPaths(Path(attempt)).images
        files = files_of(_names(folder))
        first = min((one.step for one in files), default=None)
        found = {one: place for one, place in found.items() if first is None or one.step < first} | dict.fromkeys(files, folder)
    return found


def _names(folder: Path) -> Sequence[str]:
    if folder.is_symlink():
        return []
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _repeated(target: Target) -> str:
    """Return the options that the commands on the page have to repeat."""
    return f" --runs {quote(str(target.runs))}" if target.runs != Path("runs") else ""


def _place(grid: OpenGrid, output: Path | None) -> Path:
    """Return the file to write; refuse one that cannot be written before any work is done."""
    if output is None:
        return grid.paths.report
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"-o {output}: a report is a page; let the name end in .html.")
    check_folder(output)
    return output
