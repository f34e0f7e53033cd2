"""The summary: the same bytes for the same results, nothing averaged away, inert in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json

import pytest

from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.results.summary import number, render, summarise
from orchestrator.store.errors import InputError
from orchestrator.store.events import Number
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import Cause, State

SSIM = Objective(name="val/ssim", mode="max")


def pair(place: int, best: Number, *, state: State = State.COMPLETED, **varying: object) -> tuple[Manifest, Record]:
    run_id = f"{place:016x}"
    manifest = Manifest(id=run_id, version=1, entry="m:f", config=dict(varying), varying=dict(varying))
    done = state is State.COMPLETED
    attempt = Attempt(number=1, host="n1", state=state, runtime_s=12.34, peak_mem_gb=0.5)
    record = Record(
        id=run_id,
        state=state,
        cause=None if done else Cause.ERROR,
        attempts=(attempt,),
        metrics={"test/ssim": best} if done else {},
        best=best if done else None,
        last=best if done else None,
        sha256="ab" if done else "",
    )
    return manifest, record


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_row_holds_what_varies_the_objective_and_what_it_cost() -> None:
    table = summarise([pair(1, 0.875, seed=1, **{"mask.kind": "random"})], SSIM)
    [row] = read_csv(render(table, ".csv"))
    assert row["seed"] == "1"
    assert row["mask.kind"] == "random"
    assert (row["val/ssim (best)"], row["test/ssim"], row["runtime_s"], row["peak_mem_gb"], row["node"]) == (
        "0.875",
        "0.875",
        "12.3",
        "0.5",
        "n1",
    )


def test_failed_run_has_empty_cells_and_is_counted() -> None:
    table = summarise([pair(1, 0.5, seed=1), pair(2, None, state=State.FAILED, seed=2)], SSIM)
    rows = read_csv(render(table, ".csv"))
    assert table.missing == 1
    assert (rows[1]["state"], rows[1]["cause"], rows[1]["val/ssim (best)"]) == ("failed", "error", "")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_value_that_is_not_finite_is_shown_and_counted(value: str) -> None:
    table = summarise([pair(1, value, seed=1), pair(2, 0.5, seed=2)], SSIM)
    assert table.not_finite == 1
    assert read_csv(render(table, ".csv"))[0]["val/ssim (best)"] == value


def test_floats_survive_the_round_trip() -> None:
    table = summarise([pair(1, 0.1 + 0.2, lr=1e-4)], SSIM)
    [row] = read_csv(render(table, ".csv"))
    assert (float(row["val/ssim (best)"]), float(row["lr"])) == (0.1 + 0.2, 1e-4)


@pytest.mark.parametrize("hostile", ["=cmd()", "+1", "-1+1", "@SUM(A1)", "two\nlines", 'quote"', "a,b", "", "ü", "\u202eabc"])
def test_hostile_text_is_one_inert_cell(hostile: str) -> None:
    [row] = read_csv(render(summarise([pair(1, 0.5, name=hostile)], SSIM), ".csv"))
    assert not row["name"].startswith(("=", "+", "-", "@"))
    assert "\n" not in row["name"]
    assert row["state"] == "completed"


@pytest.mark.parametrize("formula", ["=cmd()", "+1", "-1+1", "@SUM(A1)"])
def test_the_guard_against_formulas_is_for_spreadsheets_only(formula: str) -> None:
    table = summarise([pair(1, 0.5, name=formula)], SSIM)
    for suffix in (".csv", ".tsv"):
        assert f"'{formula}" in render(table, suffix)
    assert f"| {formula} |" in render(table, ".md")
    assert json.loads(render(table, ".json"))["rows"][0]["name"] == formula


def test_markdown_writes_out_the_marks_that_could_fool_its_reader() -> None:
    names = {"\u202ecba": "\\u202ecba", "a\x1b[31mb": "a\\x1b[31mb", "two\nlines": "two lines", "a|b": "a\\|b", "\u2066ü": "\\u2066ü"}
    text = render(summarise([pair(place, 0.5, name=name) for place, name in enumerate(names)], SSIM), ".md")
    assert [line.split(" | ")[1] for line in text.splitlines()[2:]] == list(names.values())
    assert all(char.isprintable() or char == "\n" for char in text)


def test_same_results_give_the_same_bytes_in_every_format() -> None:
    pairs = [pair(place, 0.1 * place, seed=place) for place in range(5)]
    for suffix in (".csv", ".tsv", ".json", ".md"):
        assert render(summarise(pairs, SSIM), suffix) == render(summarise(list(pairs), SSIM), suffix)


def test_json_document_is_versioned() -> None:
    document = json.loads(render(summarise([pair(1, 0.5, seed=1)], SSIM), ".json"))
    assert (document["mrsweep"], document["kind"], len(document["rows"])) == (1, "summary", 1)


def test_empty_grid_gives_an_empty_table() -> None:
    assert render(summarise([], None), ".csv") == "\n"


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"\.xlsx.*\.csv, \.tsv, \.json, \.md"):
        render(summarise([], None), ".xlsx")


def test_number_understands_the_words_that_json_lacks() -> None:
    assert number("-inf") == float("-inf")
    assert number("nan") != number("nan")
    assert number(None) != number(None)
    assert number(3) == 3.0
