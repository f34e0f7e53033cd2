"""Finds the file behind "module:function" without importing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from orchestrator.store.errors import EntryError, did_you_mean

_ENTRY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)\Z")

_LIKELY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ImportFrom)
"""Statements that bind what an entry may well mean; those are offered where it names something else."""


@dataclass(frozen=True)
class Entry:
    """A name inside a module."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def parse_entry(text: str) -> Entry:
    """Split "module:function"; raise EntryError for any other shape."""
    match = _ENTRY.match(text)
    if match is None:
        raise EntryError(f"entry {text[:80]!r} has not the shape module:function. Write models.training:train.")
    return Entry(match[1], match[2])


def find_entry(text: str, path: Sequence[str]) -> Path:
    """Return the source file of an entry that `path` (as sys.path, the project first) leads to, and that defines the name.

    Nothing is imported, and no code of the user runs. Raises EntryError.
    """
    entry = parse_entry(text)
    file = find_module(entry.module, path, wanted=f"entry {text}")
    if file.suffix == ".py":
        _check_defined(entry, file)
    return file


def find_module(module: str, path: Sequence[str], *, wanted: str) -> Path:
    """Return the file of a dotted module; `wanted` is what messages call it."""
    found: ModuleSpec | None = None
    places: Sequence[str] = list(path)
    for name in _prefixes(module):
        found = PathFinder.find_spec(name, places)
        if found is None:
            raise EntryError(
                f"{wanted}: there is no module {name} in {_told(places)}. Check the spelling, or launch from the project's folder."
            )
        places = list(found.submodule_search_locations or ())
    if found is None or found.origin is None or not found.has_location:
        raise EntryError(
            f"{wanted}: {module} is a folder without __init__.py, not a module. Name the module inside it that defines the function."
        )
    return Path(found.origin)


def _prefixes(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _told(places: Sequence[str]) -> str:
    shown = [place or "." for place in places[:3]]
    return ", ".join(shown) + (", …" if len(places) > 3 else "") if shown else "any folder"


def _check_defined(entry: Entry, file: Path) -> None:
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError, OSError) as error:
        line = getattr(error, "lineno", None)
        raise EntryError(f"{file}{f':{line}' if line else ''}: the module of {entry} cannot be read ({error}). Mend the file.") from error
    bound = list(_bound(tree.body))
    names = {name for name, statement in bound if not isinstance(statement, ast.Import)}
    if entry.name in names:
        return
    likely = sorted({name for name, statement in bound if isinstance(statement, _LIKELY) and not name.startswith("_")})
    if any(name == entry.name for name, _ in bound):
        raise EntryError(f"entry {entry}: {entry.name} is a module in {file}, not a function. {did_you_mean(entry.name, likely)}")
    if not names & {"*", "__getattr__"}:
        raise EntryError(f"entry {entry}: {file} defines no {entry.name}. {did_you_mean(entry.name, likely)}")


def _bound(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that a module's statements bind, each with its statement, those inside if, try and with included."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from (((alias.asname or alias.name).split(".")[0], statement) for alias in statement.names)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from ((node.id, statement) for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _bound(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from _bound(handler.body)
