"""A table as a file: its ending says the format; the same results give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.store.errors import InputError
from orchestrator.tables.delimited import write_delimited
from orchestrator.tables.frame import write_parquet
from orchestrator.tables.markup import write_html, write_markdown, write_tex
from orchestrator.tables.table import Table, Tables


def write(tables: Tables, suffix: str, *, complete: bool = False) -> bytes:
    """Return the content of a file with this ending.

    Files to compute with (csv, tsv, parquet, json) hold all figures in full, files to read (md, tex, html) hold them rounded,
    and what the runs cost and where they come from only where the page is to be `complete`.
    """
    suffix = check_suffix(Path(f"table{suffix}"))
    if suffix in _DATA:
        return _DATA[suffix](tables.data)
    return _PAGE[suffix](tables.page if complete else _without_aside(tables.page))


def is_page(suffix: str) -> bool:
    """Say whether a file with this ending is one to read."""
    return suffix in _PAGE


def _without_aside(page: Table) -> Table:
    """Return the table without the columns that stand aside."""
    places = [place for place, column in enumerate(page.columns) if column not in page.aside]
    columns = tuple(page.columns[place] for place in places)
    return msgspec.structs.replace(page, columns=columns, rows=[tuple(row[place] for place in places) for row in page.rows])


def check_suffix(path: Path) -> str:
    """Return the ending of an output file in small letters, or say which ones there are before any work is done."""
    suffix = path.suffix.lower()
    if suffix in _DATA or suffix in _PAGE:
        return suffix
    raise InputError(f"-o {path}: the ending says the format; use one of {', '.join((*_DATA, *_PAGE))}.")


def as_document(table: Table) -> dict[str, Any]:
    """Return the content of the JSON document, its rows as column → value."""
    rows = [dict(zip(table.columns, map(_finite, row), strict=True)) for row in table.rows]
    return {"row": table.kind, "columns": table.columns, "rows": rows, "notes": table.notes, **table.counts}


def _finite(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN and infinities as the words nan, inf and -inf, also inside lists and mappings."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return {key: _finite(item) for key, item in value.items()} if isinstance(value, dict) else value


def _json(table: Table) -> bytes:
    document = {"mrsweep": 1, "kind": "summary", **as_document(table)}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


_DATA: Mapping[str, Callable[[Table], bytes]] = {
    ".csv": lambda table: write_delimited(table, ","),
    ".tsv": lambda table: write_delimited(table, "\t"),
    ".parquet": write_parquet,
    ".json": _json,
}
_PAGE: Mapping[str, Callable[[Table], bytes]] = {".md": write_markdown, ".tex": write_tex, ".html": write_html}
