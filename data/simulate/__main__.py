"""Command line: python -m data.simulate KIND --out DIR ..."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from data.errors import BadInput
from data.processes import ProcessEnded
from data.simulate.command import KINDS, build_parser, counts_of, spec_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 done, 1 the disk refused or a process was killed, 2 wrong input."""
    arguments = build_parser().parse_args(argv)
    try:
        made, kept = _simulate(arguments)
    except BadInput as error:
        print(f"data.simulate: {error}", file=sys.stderr)
        return 2
    except ProcessEnded as error:
        print(f"data.simulate: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        place = error.filename or arguments.out
        print(f"data.simulate: {place}: {error.strerror or error}. Choose another --out, or make room.", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {made} files written, {kept} kept")
    return 0


def _simulate(arguments: argparse.Namespace) -> tuple[int, int]:
    """Write the data set. Returns how many files were written, and how many were there already."""
    counts, spec = counts_of(arguments), spec_of(arguments)
    kind = KINDS[arguments.kind]
    planned = getattr(import_module(kind.module), kind.function)(arguments.out, counts, spec)
    kept = 0
    written = import_module("data.simulate.files").write_files(planned, workers=arguments.workers)
    for done, file in enumerate(written, start=1):
        kept += file.kept
        _show_progress(done, len(planned.files), file.path)
    return len(planned.files) - kept, kept


def _show_progress(done: int, total: int, path: Path) -> None:
    """Rewrite one line on a terminal; nothing goes into a log file."""
    if sys.stderr.isatty():
        print(f"\r{done}/{total} {path.name}", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # read by numpy and torch when they are imported, which is later: sums come out the same whatever the number of cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
