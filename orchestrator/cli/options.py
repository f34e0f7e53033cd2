"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import functools
import getpass
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from orchestrator.launch.opened import OpenGrid, find_grid
from orchestrator.results.select import Selection, parse_cause, parse_state
from orchestrator.store.errors import SelectionError, StoreError
from orchestrator.watchdog.look import Site, site_of

F = TypeVar("F", bound=Callable[..., Any])

_LIKE_AN_ID = re.compile(r"(?=.*[0-9])[0-9a-f]{3,16}\Z")


def _runs_folder(_context: click.Context, _option: click.Parameter, folder: Path) -> Path:
    """Return the runs folder, which need not be there; raise StoreError where something else is in its place."""
    if folder.is_symlink() and not folder.exists():
        raise StoreError(
            f"{folder}: is a link to {folder.readlink()}, which is not there. Mend the link, or choose another with --runs DIR."
        )
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: is not a folder. Choose another with --runs DIR.")
    return folder


runs_option = click.option(
    "--runs",
    "runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    callback=_runs_folder,
    help="Folder of all grids.",
)
variant_option = click.option("--variant", help="Variant of the grid file, such as smoke.")
set_option = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the grid's config; repeatable.")
profile_option = click.option("--profile", help="Profile from slurm_templates/: slurm-gpu, slurm-cpu, local …")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


class Target(NamedTuple):
    """The grid that a verb is about."""

    grid: str
    runs: Path
    variant: str | None
    profile: str | None

    def open(self) -> tuple[OpenGrid, Site]:
        """Return the grid on disk and the site where it runs."""
        opened = open_grid(self.grid, self.runs, variant=self.variant)
        return opened, site_of(opened, self.profile)


def open_grid(grid: str, runs: Path, *, variant: str | None) -> OpenGrid:
    """Return the grid on disk that a GRID argument means; a run id in its place is told from a name."""
    if _LIKE_AN_ID.match(grid) and not (runs / grid).exists():
        raise SelectionError(f"GRID is '{grid}', which looks like a run id. Name the grid, and the run with: --where 'id={grid}'")
    return find_grid(grid, runs, variant=variant)


class Manner(NamedTuple):
    """How a verb that changes something goes about it."""

    dry_run: bool
    yes: bool
    as_json: bool


def on_grid(function: F) -> F:
    """Add GRID, --runs, --variant and --profile; the verb gets them as one `target`."""
    return _bundle("target", Target._fields, Target, [click.argument("grid"), runs_option, variant_option, profile_option])(function)


def acting(function: F) -> F:
    """Add --dry-run, --yes and --json; the verb gets them as one `manner`."""
    return _bundle("manner", Manner._fields, Manner, [dry_run_option, yes_option, json_option])(function)


def selecting(function: F) -> F:
    """Add --where, --state, --cause, --signature and --limit; the verb gets them as one `selection`."""
    return _bundle("selection", ("where", "state", "cause", "signature", "limit"), _selection, _SELECTION)(function)


_SELECTION = [
    click.option("--where", help="Expression over config keys: 'loss.weighting=dwa and seed>2'."),
    click.option("--state", multiple=True, help="Only runs in this state; repeatable."),
    click.option("--cause", multiple=True, help="Only runs that ended for this cause; repeatable."),
    click.option("--signature", metavar="PREFIX", help="Only runs that ended alike: the word in [ ] before a failure in status."),
    click.option("--limit", type=click.IntRange(min=1), help="At most so many runs."),
]


def _selection(where: str | None, state: tuple[str, ...], cause: tuple[str, ...], signature: str | None, limit: int | None) -> Selection:
    """Return what was asked for; refuse an empty expression or signature: a script whose variable is empty means no run, and not all."""
    for option, given in (("--where", where), ("--signature", signature)):
        if given is not None and not given.strip():
            raise SelectionError(f"{option} {given!r}: is empty. Leave {option} out to select all runs, or write what selects some.")
    states, causes = tuple(map(parse_state, state)), tuple(map(parse_cause, cause))
    return Selection(where=where or "", states=states, causes=causes, signature=signature or "", limit=limit)


def _bundle(name: str, keys: Sequence[str], make: Callable[..., Any], options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    """Return a decorator that adds options to a verb, which gets their values as one argument."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            made = make(**{key: kwargs.pop(key) for key in keys})
            return function(*args, **{name: made}, **kwargs)

        result: Any = wrapped
        for option in reversed(options):
            result = option(result)
        return result  # type: ignore[no-any-return]

    return decorate


def several(context: click.Context, option: click.Parameter, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the words of an option that takes several with commas between them, and may be repeatable too; refuse one without words."""
    texts = (given,) if isinstance(given, str) else given
    words = tuple(word.strip() for text in texts for word in text.split(",") if word.strip())
    not_empty(context, option, ",".join(words))
    return words


def not_empty(context: click.Context, option: click.Parameter, given: str) -> str:
    """Return what an option was given; refuse one that stands on the command line with nothing behind it."""
    is_written = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    if is_written and not given.strip():
        raise click.BadParameter("it is empty. Name something, or leave the option out.", ctx=context, param=option)
    return given


def text_option(name: str, metavar: str, told: str) -> Callable[[F], F]:
    """Return an option that takes a text, which is empty where it is left out and nowhere else."""
    return click.option(name, default="", callback=not_empty, metavar=metavar, help=told)


def examples(text: str) -> str:
    """Return the epilog of a verb's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())


def user() -> str:
    """Return who is doing this, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())
