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
    file = find_module(entry.module, path, wanted=text)
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
    names = set(_defined(tree.body))
    if entry.name not in names and not names & {"*", "__getattr__"}:
        raise EntryError(
            f"{file}: defines no {entry.name}, which {entry} names. "
            f"{did_you_mean(entry.name, (name for name in names if not name.startswith('_')))}"
        )


def _defined(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names that a module's statements bind, those inside if, try and with included."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _defined(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from _defined(handler.body)
