"""Print: tables, documents, questions. Rich is imported when a table is."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from shlex import quote
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from orchestrator.cli.main import one_line

PIPE_WIDTH = 160
PADDING = 3
UNTOUCHED = "Nothing was written (--dry-run)."

_UNPRINTABLE = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
"""C1 controls, and characters without width or with a direction; C0 controls are escaped in JSON anyway."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")


def document(kind: str, **content: Any) -> None:
    """Print one versioned JSON document; characters that steer a terminal stand in it as \\u escapes, which mean the same."""
    text = msgspec.json.format(msgspec.json.encode({"mrsweep": 1, "kind": kind, **content}, enc_hook=str), indent=1).decode()
    click.echo(_UNPRINTABLE.sub(lambda match: json.dumps(match[0])[1:-1], text))


def say(text: str) -> None:
    """Print a line for a person; escape sequences and line breaks from elsewhere are inert."""
    click.echo(one_line(text))


def warn(text: str) -> None:
    """Print a line to stderr."""
    click.echo(one_line(text), err=True)


def pass_over(grid: str, error: Exception) -> None:
    """Say on stderr that a grid is left out, for its folder cannot be read."""
    told = str(error)
    if isinstance(error, OSError):
        told = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    warn(f"grid {grid} is passed over: {told}")


def advise(command: str) -> str:
    """Return a command to type next, with the `--runs DIR` that this one was given."""
    context = click.get_current_context(silent=True)
    if context is None or context.get_parameter_source("runs") is not ParameterSource.COMMANDLINE:
        return f"mrsweep {command}"
    return f"mrsweep {command} --runs {quote(str(context.params['runs']))}"


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show, on a terminal, that something goes on and for how long; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(one_line(text).replace("[", "\\["), total=None)
        yield


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something changes; without a terminal and without --yes nothing is done."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked. Repeat with --yes, or look with --dry-run.")
    click.confirm(question, abort=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, shrink: Mapping[str, int] | None = None, needed: str = "") -> int:
    """Print a table that fits the terminal; returns how many columns had no room, those at its end first, and never the needed one."""
    from rich.console import Console

    width = terminal_width()
    shown, cells, dropped = arrange(columns, rows, width, shrink or {}, needed)
    console = Console(width=width, highlight=False)
    with console.capture() as held:  # rich itself would exit with 1 where the reader of a pipe stops early
        console.print(make_table(shown, cells))
    click.echo(held.get(), nl=False)
    return dropped


def terminal_width() -> int:
    """Return the columns of the terminal; into a file or pipe, enough for whole lines."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH


def arrange(
    columns: Sequence[str], rows: Iterable[Sequence[object]], width: int, shrink: Mapping[str, int], needed: str = ""
) -> tuple[list[str], list[list[str]], int]:
    """Return the columns that have content and room, their cells, and how many had no room.

    `shrink` names columns that may be cut, and to how many characters. Columns are left out, from the end, until the
    rest fits when cut; then the last ones are cut, no more than needed. The column `needed` is left out last of all.
    """
    cells = [[cell(value) for value in row] for row in rows]
    full = [place for place in range(len(columns)) if any(row[place] for row in cells)]
    widths = {place: max(len(columns[place]), *(len(row[place]) for row in cells)) for place in full}
    least = {place: min(wide, shrink.get(columns[place], wide)) for place, wide in widths.items()}
    kept = _with_room(full, least, width)
    wanted = next((place for place in full if columns[place] == needed and place not in kept), None)
    if wanted is not None:
        kept = [*_with_room(full[: full.index(wanted)], least, width - least[wanted] - PADDING, at_least=1), wanted]
    excess = sum(widths[place] + PADDING for place in kept) - width
    for place in reversed(kept):
        cut = min(max(excess, 0), widths[place] - least[place])
        widths[place] -= cut
        excess -= cut
    shown = [[_cut(row[place], widths[place], is_state=columns[place] == "state") for place in kept] for row in cells]
    return [_cut(columns[place], widths[place]) for place in kept], shown, len(full) - len(kept)


def _with_room(places: Sequence[int], widths: Mapping[int, int], width: int, at_least: int = 2) -> list[int]:
    """Return as many of the columns as fit beside each other."""
    room = sum(total <= width for total in accumulate(widths[place] + PADDING for place in places))
    return list(places[: max(room, at_least)])


def _cut(text: str, width: int, *, is_state: bool = False) -> str:
    """Return a text that fits; a state is cut before its cause, where that is enough: failed (host_oom), failed."""
    if is_state and len(text) > width >= len(bare := text.partition(" (")[0]):
        return bare
    return text if len(text) <= width else text[: width - 1] + "…"


def make_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    """Return a rich table; texts are shown as they are, not read as markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(Text(column), overflow="ellipsis", no_wrap=True)
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid


def cell(value: object) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return one_line(plain(str(value)))


def plain(text: str) -> str:
    """Return text without terminal escape sequences; line breaks and tabs stay."""
    text = _ESCAPES.sub("", text)
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def minutes(value: float | None) -> str:
    """Return a span of minutes: 40 s, 12 min, 3.5 h, 2.1 d."""
    if value is None:
        return ""
    if value < 1:
        return f"{value * 60:.0f} s"
    if value < 90:
        return f"{value:.0f} min"
    return f"{value / 60:.1f} h" if value < 48 * 60 else f"{value / 1440:.1f} d"
