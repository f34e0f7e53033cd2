"""Command line: python -m data.convert KIND ..."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data.convert.command import KINDS, Kind, build_parser, options_of
from data.convert.jobs import Outcome, find_jobs, run_jobs
from data.errors import BadInput
from data.processes import ProcessEnded


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 done, 1 the disk refused or a process was killed, 2 wrong input."""
    arguments = build_parser().parse_args(argv)
    try:
        counts = _convert(arguments)
    except BadInput as error:
        print(f"data.convert: {error}", file=sys.stderr)
        return 2
    except ProcessEnded as error:
        print(f"data.convert: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        place = error.filename or arguments.out or "writing"
        print(f"data.convert: {place}: {error.strerror or error}. Make room, or choose another --out.", file=sys.stderr)
        return 1
    made, kept, skipped = counts["made"], counts["kept"], counts["skipped"]
    print(f"{arguments.out or 'in place'}: {made} files written, {kept} kept" + (f", {skipped} skipped" if skipped else ""))
    return 0


def _convert(arguments: argparse.Namespace) -> Counter[str]:
    kind = KINDS[arguments.kind]
    module = _module(kind)
    jobs = find_jobs(arguments.sources, arguments.out, endings=getattr(arguments, "endings", None) or kind.endings)
    if kind.joins:
        return _follow(getattr(module, kind.function)([job.source for job in jobs], arguments.out, options_of(arguments)), 3)
    if kind.pairs:
        jobs = module.pairs(jobs)
    work = partial(getattr(module, kind.function), options=options_of(arguments))
    return _follow(run_jobs(jobs, work, workers=min(arguments.workers, len(jobs)), skip_bad=arguments.skip_bad), len(jobs))


def _module(kind: Kind) -> Any:
    """Import what does the work, with the library that it stands on."""
    try:
        return import_module(kind.module)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "data"):
            raise
        raise BadInput(f"the package {package} is missing. Install it with: pip install -e '.[mri,convert]'") from error


def _follow(outcomes: Iterator[Outcome], total: int) -> Counter[str]:
    """Show progress on a terminal, and each file that is left out; count what became of the files."""
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        for outcome in outcomes:
            counts["skipped" if outcome.skipped else "kept" if outcome.kept else "made"] += 1
            if outcome.skipped:
                console.print(f"skipped: {outcome.skipped}", markup=False, highlight=False, soft_wrap=True)
            progress.update(task, advance=1, description=outcome.job.target.name)
    return counts


if __name__ == "__main__":
    sys.exit(main())
