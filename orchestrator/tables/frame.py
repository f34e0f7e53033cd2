"""Tables as pandas frames, and as parquet files."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.store.errors import InputError
from orchestrator.tables.delimited import as_text
from orchestrator.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd


_INT64 = 2**63


def as_frame(table: Table) -> pd.DataFrame:
    """Return the table as pandas holds it: what is missing in a column of numbers is NaN."""
    import pandas as pd

    frame = pd.DataFrame.from_records(list(table.rows), columns=list(table.columns))
    empty = [column for column in table.numeric if frame[column].isna().all()]
    return frame.astype(dict.fromkeys(empty, "float64"))


def write_parquet(table: Table) -> bytes:
    """Return the bytes of a parquet file. A column that mixes types holds texts, as in a csv file."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise InputError("-o: .parquet needs the package pyarrow. Install it with: pip install 'mrsweep[report]'") from error
    frame = as_frame(table)
    for place, column in enumerate(table.columns):
        values = [row[place] for row in table.rows]
        if not _is_uniform(values):
            frame[column] = [None if value is None else as_text(value) for value in values]
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    return stream.getvalue()


def _is_uniform(values: Iterable[Any]) -> bool:
    kinds = {float if type(value) is int and abs(value) < _INT64 else type(value) for value in values if value is not None}
    return len(kinds) <= 1 and kinds <= {float, str, bool}
