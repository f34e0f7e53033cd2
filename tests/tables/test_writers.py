"""Files: full precision where it is computed with, inert everywhere, the same bytes for the same results."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from orchestrator.store.errors import InputError
from orchestrator.store.states import State
from orchestrator.tables.figures import as_words
from orchestrator.tables.question import Question, answer
from orchestrator.tables.table import Table, Tables
from orchestrator.tables.writers import check_suffix, write
from tests.tables.studies import case, history, study

ENDINGS = (".csv", ".tsv", ".parquet", ".json", ".md", ".tex", ".html")
HOSTILE = [
    "=cmd()",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "two\nlines",
    "two\r\nlines",
    'quote"',
    "a,b",
    "a;b",
    "",
    "ü",
    "\u202eabc",
    "a\x1b[31mb",
]
MARKUP = ["<script>alert(1)</script>", "a|b", r"\input{x}", "50% & more_$#^~", "[x](http://x)", "`x`", "--", "‘"]


def runs(*names: object) -> Tables:
    """A table of runs with these values of the key `name`."""
    return answer([study(*(case({"name": name, "place": place}, 0.5, number=place + 1) for place, name in enumerate(names)))], Question())


def rows_of(content: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode()), delimiter=delimiter))


@pytest.mark.parametrize("ending", ENDINGS)
def test_same_results_give_the_same_bytes(ending: str) -> None:
    assert write(runs("a", "b"), ending) == write(runs("a", "b"), ending)
    assert write(runs("a", "b"), ending) != write(runs("a", "c"), ending)


@pytest.mark.parametrize("name", HOSTILE + MARKUP)
def test_a_cell_of_a_spreadsheet_is_inert_and_on_one_line(name: str) -> None:
    for ending, delimiter in ((".csv", ","), (".tsv", "\t")):
        (row,) = rows_of(write(runs(name), ending), delimiter)
        assert not row["name"].startswith(("=", "+", "-", "@", "\t"))
        assert "\n" not in row["name"] and "\r" not in row["name"]
        assert row["state"] == "completed"


def test_floats_survive_the_round_trip() -> None:
    tables = answer([study(case({"lr": 1e-4}, 0.1 + 0.2), case({"lr": 1e-5}, math.nan), case({"lr": 1e300}, -math.inf))], Question())
    for ending in (".csv", ".json"):
        content = write(tables, ending)
        found = rows_of(content) if ending == ".csv" else json.loads(content)["rows"]
        assert [float(row["lr"]) for row in found] == [1e-4, 1e-5, 1e300]
        assert [str(float(row["val/ssim"])) for row in found] == [str(0.1 + 0.2), "nan", "-inf"]


def test_a_word_for_what_is_not_finite_is_no_formula() -> None:
    tables = answer([study(case({"x": 1}, history({"loss": "-inf"}, val__ssim=(0.5,))))], Question())
    assert rows_of(write(tables, ".csv"))[0]["loss"] == "-inf"


def test_pandas_reads_every_file_to_compute_with() -> None:
    tables = answer([study(case({"x": 1, "k": "a"}, 0.5), case({"x": 2, "k": "b"}, state=State.FAILED))], Question())
    for frame in (pd.read_csv(io.BytesIO(write(tables, ".csv"))), pd.read_parquet(io.BytesIO(write(tables, ".parquet")))):
        assert list(frame["x"]) == [1, 2]
        assert frame["val/ssim"].dtype == float and math.isnan(frame["val/ssim"][1])
        assert tuple(frame.columns) == tables.data.columns


def test_mixed_types_and_lists_are_texts_in_parquet() -> None:
    frame = pd.read_parquet(io.BytesIO(write(runs(1, "1", [1, 2], {"a": math.nan}, None, True), ".parquet")))
    assert list(frame["name"][:4]) == ["1", "1", "[1,2]", '{"a":null}']
    assert frame["name"][4] is None or frame["name"].isna()[4]


def test_without_pyarrow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'mrsweep\[report\]'"):
        write(runs("a"), ".parquet")


def test_json_is_a_versioned_document_with_what_is_missing() -> None:
    tables = answer([study(case({"x": [1, math.inf]}, 0.5), case({"x": 2}, state=State.QUEUED))], Question())
    document = json.loads(write(tables, ".json"))
    assert (document["mrsweep"], document["kind"], document["row"], document["missing"]) == (1, "summary", "run", 1)
    assert document["notes"] == ["1 of 2 runs without a result: 1 queued"]
    assert document["rows"][0]["x"] == [1, "inf"]


@pytest.mark.parametrize("name", HOSTILE + MARKUP)
def test_markdown_keeps_a_row_a_row_and_shows_what_is_there(name: str) -> None:
    lines = write(runs(name), ".md").decode().splitlines()
    cells = re.split(r"(?<!\\)\|", lines[2].replace("\\\\", ""))
    assert len(cells) == len(re.split(r"\|", lines[0]))
    assert all(char.isprintable() for line in lines for char in line)
    assert "<" not in lines[2]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("_x_", r"\_x\_"),
        ("__x__", r"\_\_x\_\_"),
        ("a_b", "a_b"),
        ("a_b_c", "a_b_c"),
        ("a _b_", r"a \_b\_"),
        ("_", r"\_"),
        ("a-_b_", r"a-\_b\_"),
        ("é_1", "é_1"),
    ],
)
def test_markdown_takes_no_underscore_for_emphasis(name: str, shown: str) -> None:
    assert write(runs(name), ".md").decode().splitlines()[2].split(" | ")[1] == shown


def test_a_row_of_an_html_page_is_one_line_high() -> None:
    assert "td{padding:.2em .8em;text-align:left;white-space:nowrap}" in write(runs("a b"), ".html").decode()


class Cells(HTMLParser):
    """Collects the texts of cells, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


@pytest.mark.parametrize("name", HOSTILE + MARKUP)
def test_html_shows_text_as_text_and_loads_nothing(name: str) -> None:
    page = Cells()
    page.feed(write(runs(name), ".html").decode())
    assert page.tags == {"html", "head", "meta", "title", "style", "body", "table", "thead", "tbody", "tr", "th", "td"}
    assert not name.isprintable() or name.strip() in page.cells[len(page.cells) // 2 + 1]


def test_a_metric_may_be_called_what_it_likes() -> None:
    hostile = history(val__ssim=(0.5,), **{"<script>alert(1)</script>": (1.0,), "=cmd()": (2.0,), "a\nb": (3.0,), "a|b_c": (4.0,)})
    tables = answer([study(case({"x": 1}, hostile))], Question())
    assert b"<script>" not in write(tables, ".html") and b"<script>" not in write(tables, ".md")
    heads = write(tables, ".csv").decode().splitlines()
    assert len(heads) == 2 and ",'=cmd()," in heads[0]
    assert rb"a\textbar{}b\_c" in write(tables, ".tex")


def test_tex_is_a_booktabs_tabular_with_its_notes_as_comments() -> None:
    cases = [case({"mask.kind": kind, "seed": seed}, value) for kind, seed, value in (("a_b", 1, 0.90), ("a_b", 2, 0.92), ("c&d", 1, 0.8))]
    text = write(answer([study(*cases)], Question(by=("mask.kind",), over=("seed",))), ".tex").decode()
    assert text.splitlines()[-8:] == [
        r"\begin{tabular}{lrl}",
        r"\toprule",
        r"mask.kind & n & val/ssim \\",
        r"\midrule",
        r"a\_b & 2 & 0.91 $\pm$ 0.13 \\",
        r"c\&d & 1 & 0.8 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert all(line.startswith("% ") for line in text.splitlines()[:-8])


def test_numbers_of_a_page_have_equal_decimals_and_keys_stay_as_they_were_written() -> None:
    tables = answer([study(*(case({"lr": lr}, value) for lr, value in ((1e-4, 0.5), (0.1234567, 0.98765), (3, math.nan))))], Question())
    cells = [re.split(r" \| ", line.strip("| ")) for line in write(tables, ".md").decode().splitlines()[2:5]]
    assert [(row[1], row[2]) for row in cells] == [("0.0001", "0.5000"), ("0.1234567", "0.9877"), ("3", "nan")]


def test_an_empty_table_has_its_columns_and_no_row() -> None:
    empty = answer([study()], Question())
    for ending, delimiter in ((".csv", ","), (".tsv", "\t")):
        assert write(empty, ending).decode() == delimiter.join(empty.data.columns) + "\n"
    assert tuple(pd.read_parquet(io.BytesIO(write(empty, ".parquet"))).columns) == empty.data.columns
    assert json.loads(write(empty, ".json"))["rows"] == []
    assert write(empty, ".md").decode().splitlines() == ["| id | step | state |", "| --- | --- | --- |"]
    assert write(empty, ".tex").decode().splitlines()[-4:] == [r"id & step & state \\", r"\midrule", r"\bottomrule", r"\end{tabular}"]
    page = Cells()
    page.feed(write(empty, ".html").decode())
    assert [cell.strip() for cell in page.cells] == ["id", "step", "state"]


def test_a_page_has_what_runs_cost_and_where_they_come_from_only_where_it_is_asked_for() -> None:
    tables = runs("a")
    for ending in (".md", ".tex", ".html"):
        brief, complete = write(tables, ending).decode(), write(tables, ending, complete=True).decode()
        for column in ("runtime", "attempt", "job", "commit", "peak"):
            assert column not in brief and column in complete
    assert write(tables, ".csv") == write(tables, ".csv", complete=True)
    assert {"runtime_s", "commit"} <= set(write(tables, ".csv").decode().splitlines()[0].split(","))
    best = answer([study(case({"x": 1}, 0.5))], Question(best="val/ssim"))
    assert b"commit" not in write(best, ".md") and b"commit" in write(best, ".md", complete=True)


def test_what_runs_cost_is_told_with_no_more_decimals_than_were_measured() -> None:
    cells = [(3.2, 0.05), (0.1, 1.234)]
    page = Table(kind="run", columns=("runtime_s", "peak_mem_gb"), rows=cells, decimals={"runtime_s": 1, "peak_mem_gb": 2})
    assert as_words(page) == [["3.2", "0.05"], ["0.1", "1.23"]]
    assert as_words(msgspec.structs.replace(page, rows=[(1234.5, 123.456)])) == [["1234", "123.5"]]


@pytest.mark.parametrize("name", ["table.xlsx", "table", "csv"])
def test_an_unknown_ending_names_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=r"use one of \.csv, \.tsv, \.parquet, \.json, \.md, \.tex, \.html"):
        check_suffix(Path(name))


def test_endings_may_be_written_in_capitals() -> None:
    assert check_suffix(Path("TABLE.CSV")) == ".csv"
    assert write(runs("a"), ".CSV") == write(runs("a"), ".csv")
