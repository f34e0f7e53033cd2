"""What status prints, line by line: every line fits the terminal, says what to do, and fools nobody's terminal."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.cli.labels import COLUMNS, SHRINK, list_runs
from orchestrator.cli.show import arrange
from orchestrator.cli.standing import advice_lines, below, head, inert, tail
from orchestrator.results.advice import Advice, Suggestion
from orchestrator.results.cost import Cost
from orchestrator.results.failures import Failure
from orchestrator.results.overview import Line, Overview
from orchestrator.results.spending import Spending
from orchestrator.results.waiting import Wait

NOTHING = Cost(gpu_hours=0.0, core_hours=0.0)
EMPTY = Overview(
    grid="g",
    counts={"failed": 3},
    orphans=0,
    spent=Spending(useful=NOTHING, wasted={}, running=NOTHING),
    eta_min=None,
    waits=(),
    failures=(),
    looked_at=0.0,
    notes=(),
    lines=(),
)
FAILURE = Failure(id="3f9a1c", cause="host_oom", message="killed", confidence="likely", runs=("ab" * 8,), states={"failed": 1})


def gpu(hours: float) -> Cost:
    return Cost(gpu_hours=hours, core_hours=hours)


def shown(width: int = 80, **fields: object) -> list[str]:
    return list(tail(msgspec.structs.replace(EMPTY, **fields), width))


def test_the_head_says_where_the_hours_went() -> None:
    spent = Spending(useful=gpu(31), wasted={"host_oom": gpu(3.1), "error": gpu(1.1)}, running=gpu(6))
    lines = list(head(msgspec.structs.replace(EMPTY, spent=spent), 200))
    assert lines[0] == "g: 3 runs: 3 failed"
    assert lines[1].startswith("41 GPU hours spent: 31 useful, 6.0 running, 4.2 wasted (3.1 host_oom, 1.1 error); nobody has watched")
    assert list(head(EMPTY, 200))[1].startswith("nothing spent yet; ")


def test_a_single_cause_of_waste_is_named_without_its_number() -> None:
    spent = Spending(useful=NOTHING, wasted={"error": gpu(1.1)}, running=NOTHING)
    assert "spent: 1.1 wasted (error);" in list(head(msgspec.structs.replace(EMPTY, spent=spent), 200))[1]


def test_who_watches_is_told() -> None:
    watched = msgspec.structs.replace(EMPTY, janitor=True)
    assert list(head(watched, 200))[1] == "nothing spent yet; a janitor watches"
    assert "a janitor watches, last recorded " in list(head(msgspec.structs.replace(watched, looked_at=1.0), 200))[1]
    assert "nobody has watched yet (mrsweep watch g)" in list(head(EMPTY, 200))[1]


def test_a_pause_is_told_in_the_head_with_the_way_out() -> None:
    told = list(head(msgspec.structs.replace(EMPTY, paused="5 runs ended alike"), 200))[2]
    assert told == "PAUSED: 5 runs ended alike. Mend it, then: mrsweep launch g --resume"


def test_a_failure_names_its_runs_its_excerpt_and_how_to_submit_just_these() -> None:
    failure = msgspec.structs.replace(FAILURE, excerpt='  File "train.py", line 3, in f\nkilled')
    assert shown(width=200, failures=(failure,)) == [
        "1 failed, 1 cause:",
        "  [3f9a1c] 1 × host_oom (likely): killed",
        '      | File "train.py", line 3, in f',
        "      look at one (mrsweep logs abababab), submit them again (mrsweep requeue g --signature 3f9a1c)",
        "  (likely): inferred from what the runs wrote or used; a cause without such a word is certain",
    ]


def test_of_many_failures_five_are_shown_and_the_rest_is_counted() -> None:
    failures = tuple(msgspec.structs.replace(FAILURE, id=f"{place:06x}") for place in range(7))
    lines = shown(failures=failures)
    assert lines[0] == "7 failed, 1 cause, 7 messages:"
    assert sum("×" in line for line in lines) == 5
    assert lines[-1] == "  … and 2 more messages (--json has them all)"


def test_reasons_for_waiting_are_told_with_what_would_start_sooner() -> None:
    first = Wait(
        source="slurm", reason="Priority", sentence="others come first", advice="ask for less", commands=("status g --advise",), runs=1200
    )
    last = Wait(source="mrsweep", reason="slots", sentence="all slots are taken", runs=2)
    assert shown(waits=(first, last)) == [
        "1,202 runs wait:",
        "  1,200 × others come first (Priority)",
        "      sooner: ask for less (mrsweep status g --advise)",
        "  2 × all slots are taken",
    ]


def test_stalled_runs_are_a_warning() -> None:
    told, steps = shown(width=200, stalled=("ab" * 8, "cd" * 8))
    assert told == "warning: 2 runs give no sign of life, though the scheduler holds the task"
    assert "(mrsweep logs abababab)" in steps and "(mrsweep cancel g --state stalled)" in steps


@pytest.mark.parametrize("width", [80, 120])
def test_every_line_fits_the_terminal_and_no_command_is_broken(width: int) -> None:
    words = "a sentence of many words that does not fit " * 4
    wait = Wait(source="slurm", reason="Priority", sentence=words, advice=words, commands=("status g --advise",))
    failure = msgspec.structs.replace(FAILURE, message=words, excerpt="x" * 300)
    lines = shown(width, waits=(wait,), failures=(failure,))
    assert max(map(len, lines)) <= width
    assert any("mrsweep requeue g --signature 3f9a1c" in line for line in lines)
    assert any("mrsweep status g --advise" in line for line in lines)


def test_escape_sequences_are_inert_and_lines_stay_indented() -> None:
    failure = msgspec.structs.replace(FAILURE, message="red\x1b[31m", excerpt="\x1b]0;title\x07 and \u202e more")
    lines = list(inert(shown(failures=(failure,))))
    assert all(char.isprintable() for line in lines for char in line)
    assert lines[1].startswith("  [3f9a1c]")


def line(number: int, **varying: object) -> Line:
    label = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in varying.items())
    return Line(
        id=f"{number:016x}", label=label, state="failed", cause="host_oom", attempt=1, varying=varying, note="killed " * 9, node="n1"
    )


KINDS = ["equispaced_fraction", "random_lines", "caipirinha_blocks"]


def test_many_keys_fit_80_columns_without_a_cut_value() -> None:
    given = {"model.blocks": "IIVVVVVVVVVV", "optim.lr": 1e-3}
    lines = [line(place, **given, **{"loss.weighting": kind, "mask.acceleration": 4 + place}) for place, kind in enumerate(KINDS)]
    rows, notes = list_runs(lines, 80)
    labels = [row[6] for row in rows]
    assert notes[0] == "in each of these rows: model.blocks=IIVVVVVVVVVV, optim.lr=0.001"
    assert notes[1] == "short: wei is loss.weighting, acc is mask.acceleration"
    assert labels == ["wei=equispaced_fraction acc=4", "wei=random_lines acc=5", "wei=caipirinha_blocks acc=6"]
    assert rows[0][1] == "failed (host_oom)"


def test_values_are_shortened_to_what_tells_them_apart_where_nothing_else_helps() -> None:
    lines = [line(place, **{f"key{letter}.name": f"{kind}_{letter}" for letter in "abc"}) for place, kind in enumerate(KINDS)]
    rows, _ = list_runs(lines, 80)
    assert [str(row[6]).count("=equ") for row in rows] == [3, 0, 0]
    assert list_runs(lines, 300).rows[0][6] == lines[0].label


def test_a_key_that_some_runs_lack_is_shared_by_none() -> None:
    lines = [line(1, **{"mask.kind": "random_lines_of_k_space", "mask.acs": 8}), line(2, **{"mask.kind": "equispaced_lines_of_k_space"})]
    rows, notes = list_runs(lines, 60)
    assert notes == ()
    assert "acs=8" in str(rows[0][6])


@pytest.mark.parametrize("width", [60, 70, 80, 90, 100])
def test_states_are_worth_more_than_notes(width: int) -> None:
    lines = [line(place, **{"optim.learning_rate": 1e-3 * place, "seed": place}) for place in range(1, 3)]
    rows, _ = list_runs(lines, width)
    shown, cells, _ = arrange(COLUMNS, rows, width, SHRINK)
    assert cells[0][shown.index("state")] == "failed (host_oom)"


def test_a_cause_that_is_certain_is_not_qualified() -> None:
    sure = msgspec.structs.replace(FAILURE, confidence="certain")
    lines = shown(failures=(sure,))
    assert lines[1] == "  [3f9a1c] 1 × host_oom: killed"
    assert not any("certain" in line for line in lines)


def test_rows_that_are_left_out_are_counted() -> None:
    picture = msgspec.structs.replace(EMPTY, counts={"failed": 2000}, lines=(line(1, x=1),))
    assert list(below(picture, ["in each of these rows: a=1"], 80)) == ["in each of these rows: a=1", "… and 1,999 more (--all lists them)"]


def test_advice_is_the_line_to_change_and_why() -> None:
    change = Suggestion(key="mem_gb", asked="32", better="12", reason="peak of 240 runs: 9.1 GB, + 25 %", place="grids/g.yaml:14")
    advice = Advice(asked="1 GPU", runs=240, suggestions=(change,), notes=("and more",))
    assert list(advice_lines([advice], "g", 200))[:4] == [
        "1 GPU: 240 runs completed",
        "  mem_gb: 32 -> 12   grids/g.yaml:14",
        "      peak of 240 runs: 9.1 GB, + 25 %",
        "  and more",
    ]
    fitting = msgspec.structs.replace(advice, suggestions=(), notes=())
    assert list(advice_lines([fitting], "g", 200))[1:] == ["  what is asked for fits what was used"]
