"""The summary table: one row a run, the same bytes for the same manifests and records (pure)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.results.select import varying_keys
from orchestrator.store.errors import InputError
from orchestrator.store.records import Record
from orchestrator.store.states import State

Row = dict[str, Any]

NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""The words that stand for what JSON cannot hold."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows under stable columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: int
    """Runs without a result."""
    not_finite: int
    """Results whose objective is NaN or infinite; they are shown, and never ranked."""
    objective: str = ""
    unreported: int = 0
    """Completed runs that never reported the objective."""


def summarise(pairs: Sequence[tuple[Manifest, Record]], objective: Objective | None) -> Table:
    """Return one row for each run: id, varying keys, state, objective, final metrics, cost and where it ran."""
    keys = varying_keys(manifest for manifest, _ in pairs)
    metrics = sorted({name for _, record in pairs for name in record.metrics})
    rows = [_row(manifest, record, keys, metrics, objective) for manifest, record in pairs]
    columns = dict.fromkeys(column for row in rows for column in row)
    values = [record.best for _, record in pairs if record.sha256 and record.best is not None]
    return Table(
        columns=tuple(columns),
        rows=tuple(rows),
        missing=sum(not record.sha256 for _, record in pairs),
        not_finite=sum(not math.isfinite(number(value)) for value in values),
        objective=objective.name if objective is not None else "",
        unreported=count_unreported((record for _, record in pairs), objective),
    )


def count_unreported(records: Iterable[Record], objective: Objective | None) -> int:
    """Return how many completed runs have no value of the grid's objective: it was never reported, or was no number."""
    return sum(record.state is State.COMPLETED and record.best is None for record in records) if objective is not None else 0


def _row(manifest: Manifest, record: Record, keys: Sequence[str], metrics: Sequence[str], objective: Objective | None) -> Row:
    row: Row = {"id": manifest.id}
    row.update({key: manifest.varying.get(key) for key in keys})
    row.update(state=record.state.value, cause=record.cause.value if record.cause else None)
    if objective is not None:
        row.update({f"{objective.name} (best)": record.best, "best_step": record.best_step, f"{objective.name} (last)": record.last})
    row.update({name: record.metrics.get(name) for name in metrics})
    last = record.decisive
    row.update(
        attempts=len(record.attempts),
        runtime_s=round(last.runtime_s, 1) if last else None,
        spent_s=round(record.spent_s, 1) if record.attempts else None,
        peak_mem_gb=round(max(attempt.peak_mem_gb for attempt in record.attempts), 3) if record.attempts else None,
        peak_gpu_gb=round(max(attempt.peak_gpu_gb for attempt in record.attempts), 3) if record.attempts else None,
        node=last.host if last else None,
        job_id=last.job_id if last else None,
        adopted_from=record.adopted_from or None,
    )
    return row


def number(value: Any) -> float:
    """Return a metric as a float; the words nan, inf and -inf are what JSON cannot hold."""
    if isinstance(value, str):
        return NUMBERS.get(value, math.nan)
    return math.nan if value is None else float(value)


def render(table: Table, suffix: str) -> str:
    """Return the table as text in the format of a file suffix: .csv, .tsv, .json or .md."""
    writer = _WRITERS.get(suffix.lower())
    if writer is None:
        raise InputError(f"-o: files ending in '{suffix}' cannot be written. Use one of {', '.join(_WRITERS)}.")
    return writer(table)


def check_suffix(path: Path) -> str:
    """Return the suffix of an output file, or say which ones there are before any work is done."""
    if path.suffix.lower() not in _WRITERS:
        raise InputError(f"-o {path}: the ending says the format; use one of {', '.join(_WRITERS)}.")
    return path.suffix


def _delimited(table: Table, delimiter: str) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow([_inert(column) for column in table.columns])
    writer.writerows([_inert_cell(row.get(column)) for column in table.columns] for row in table.rows)
    return stream.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _inert_cell(value: Any) -> str:
    return _cell(value) if isinstance(value, int | float) else _inert(_cell(value))


def _inert(text: str) -> str:
    """Keep a spreadsheet from reading text as a formula, and a cell on one line."""
    text = text.replace("\r", " ").replace("\n", " ")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) and text not in NUMBERS else text


def _json(table: Table) -> str:
    counts = {"missing": table.missing, "unreported": table.unreported}
    document = {"mrsweep": 1, "kind": "summary", "columns": table.columns, "rows": table.rows, **counts}
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _markdown(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(_visible(cell).replace("|", "\\|") for cell in cells) + " |"

    rows = [line(_short(row.get(column)) for column in table.columns) for row in table.rows]
    return "\n".join([line(table.columns), line("---" for _ in table.columns), *rows]) + "\n"


def _visible(text: str) -> str:
    """Return text on one line; control and direction characters, which could show something else than is there, are written out."""
    flat = " ".join(text.split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in flat)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _cell(value)


_WRITERS: Mapping[str, Callable[[Table], str]] = {
    ".csv": lambda table: _delimited(table, ","),
    ".tsv": lambda table: _delimited(table, "\t"),
    ".json": _json,
    ".md": _markdown,
}
