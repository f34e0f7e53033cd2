"""Command line: python -m data.simulate brain --out DIR."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data.errors import BadInput
from data.simulate.brain import BrainSpec
from data.simulate.writing import Written, write_brains

EXAMPLES = """examples:
  python -m data.simulate brain --out datasets/quickstart --train 6 --val 2 --test 2
  python -m data.simulate brain --out datasets/odd --size 97x81 --coils 8 --seed 7"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 done, 1 the disk refused, 2 wrong input."""
    arguments = _parser().parse_args(argv)
    try:
        files = _simulate_brain(arguments)
    except BadInput as error:
        print(f"data.simulate: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"data.simulate: {error.filename or arguments.out}: {error.strerror}. Choose another --out, or make room.", file=sys.stderr)
        return 1
    kept = sum(file.kept for file in files)
    print(f"{arguments.out}: {len(files) - kept} volumes written, {kept} kept")
    return 0


def _simulate_brain(arguments: argparse.Namespace) -> list[Written]:
    names = ("size", "oversampling", "padding", "slices", "coils", "noise", "seed")
    spec = BrainSpec(**{name: getattr(arguments, name) for name in names})
    counts = {"train": arguments.train, "val": arguments.val, "test": arguments.test}
    files: list[Written] = []
    for file in write_brains(arguments.out, counts, spec):
        files.append(file)
        _show_progress(len(files), sum(counts.values()), file.path)
    return files


def _show_progress(done: int, total: int, path: Path) -> None:
    """Rewrite one line on a terminal; nothing goes into a log file."""
    if sys.stderr.isatty():
        print(f"\r{done}/{total} {path.name}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m data.simulate", description="Write simulated data sets.", epilog=EXAMPLES, formatter_class=keep_lines
    )
    brain = parser.add_subparsers(dest="kind", required=True).add_parser(
        "brain",
        help="multi-coil brain scans in fastMRI's HDF5 format",
        description="Write multi-coil brain scans in fastMRI's HDF5 format. Files that are complete are kept.",
        epilog=EXAMPLES,
        formatter_class=keep_lines,
    )
    default = BrainSpec()
    brain.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for train/, val/ and test/")
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        brain.add_argument(f"--{split}", type=_count, default=count, metavar="N", help=f"volumes in {split} (default {count})")
    brain.add_argument("--size", type=_size, default=default.size, metavar="YxX", help="matrix of the reconstruction (default 96x80)")
    brain.add_argument("--oversampling", type=float, default=default.oversampling, help="k-space rows by image rows (default %(default)s)")
    brain.add_argument("--padding", type=int, default=default.padding, help="columns not acquired on each side (default %(default)s)")
    brain.add_argument("--slices", type=int, default=default.slices, help="slices of each volume (default %(default)s)")
    brain.add_argument("--coils", type=int, default=default.coils, help="receive coils (default %(default)s)")
    brain.add_argument("--noise", type=float, default=default.noise, help="noise by mean signal (default %(default)s)")
    brain.add_argument("--seed", type=int, default=default.seed, help="another seed makes other heads (default %(default)s)")
    return parser


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size; write rows x columns, such as 96x80")
    return (int(parts[0]), int(parts[1]))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of volumes; write 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
