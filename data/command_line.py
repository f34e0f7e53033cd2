"""Commands that take a kind first, and then the options of this kind."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Mapping


def kinds_parser(
    prog: str, *, description: str, examples: str, kinds: Mapping[str, tuple[str, str]]
) -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """Return the parser of a command, and by name that of each kind. kinds: name → line in the list of kinds, description of its own.

    The chosen kind is the argument `kind`.
    """
    parser = ArgumentParser(prog, description=description, epilog=examples, formatter_class=RawDescriptionHelpFormatter)
    chosen = parser.add_subparsers(dest="kind", required=True)
    own_parsers = {
        name: chosen.add_parser(name, help=line, description=own, epilog=examples, formatter_class=RawDescriptionHelpFormatter)
        for name, (line, own) in kinds.items()
    }
    return parser, own_parsers


def add_workers(parser: ArgumentParser, *, default: int) -> None:
    """Let a kind take --workers."""
    parser.add_argument(
        "--workers", type=positive, default=default, metavar="N", help="files at a time, a process for each (default %(default)s)"
    )


def positive(text: str) -> int:
    """Read a number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"'{text}' is not a number of 1 or more")
    return int(text)
