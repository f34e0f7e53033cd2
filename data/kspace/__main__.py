"""Command line: python -m data.kspace FILE.csv --random N writes the list of masks that a grid compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data.kspace.mask_list import REGULAR, SEEDS, write_mask_list

EXAMPLES = """examples:
  python -m data.kspace grids/masks_digits.csv --random 30 --seed 123
  python -m data.kspace grids/masks_brain.csv --random 20 --seed 123

In a grid file: zip: [{csv: masks_digits.csv}]. The columns are mask.kind and mask.seed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 done, 1 the disk refused."""
    arguments = build_parser().parse_args(argv)
    try:
        write_mask_list(arguments.file, arguments.random, arguments.seed)
    except OSError as error:
        sys.stderr.write(f"data.kspace: {arguments.file}: {error.strerror or error}. Choose another place, or make room.\n")
        return 1
    sys.stdout.write(f"{arguments.file}: {len(REGULAR)} regular masks, {arguments.random} random ones\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m data.kspace",
        description="Write a list of fixed masks as a csv axis of a grid: caipirinha, uniform, column_uniform, and random tiles.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="the file that is written")
    parser.add_argument("--random", type=_count, default=30, metavar="N", help="number of random masks (default 30)")
    parser.add_argument("--seed", type=_seed, default=123, metavar="N", help="decides which (default 123)")
    return parser


def _count(text: str) -> int:
    return _between(text, 0, SEEDS)


def _seed(text: str) -> int:
    return _between(text, 0, 2**32 - 1)


def _between(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}': expected a whole number between {least} and {most}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
