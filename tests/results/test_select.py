"""Selections: what is named, nothing else; what matches nothing is said."""

from __future__ import annotations

import pytest

from orchestrator.grid.manifest import Manifest
from orchestrator.results.select import Selection, find_run, parse_cause, parse_state, select
from orchestrator.store.errors import SelectionError
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State

MANIFESTS = {
    f"{place:x}bc{place:013x}": Manifest(
        id=f"{place:x}bc{place:013x}", version=1, config={"loss": {"weighting": name}, "seed": place}, varying={"seed": place}
    )
    for place, name in enumerate(["naive", "dwa", "uncertainty", "dwa"])
}
IDS = list(MANIFESTS)
RECORDS = Records(runs={IDS[1]: Record(id=IDS[1], state=State.FAILED, cause=Cause.HOST_OOM)})


def chosen(**wanted: object) -> list[int]:
    return [manifest.config["seed"] for manifest, _ in select(MANIFESTS, RECORDS, Selection(**wanted))]  # type: ignore[arg-type]


CASES = [
    ({}, [0, 1, 2, 3]),
    ({"where": "loss.weighting=dwa"}, [1, 3]),
    ({"where": "loss.weighting=dwa and seed>2"}, [3]),
    ({"states": (State.FAILED,)}, [1]),
    ({"states": (State.PLANNED,), "limit": 2}, [0, 2]),
    ({"causes": (Cause.HOST_OOM,)}, [1]),
    ({"runs": (IDS[2][:3],)}, [2]),
]


@pytest.mark.parametrize(("wanted", "seeds"), CASES, ids=str)
def test_selection_gives_the_runs_in_the_order_of_the_manifest(wanted: dict[str, object], seeds: list[int]) -> None:
    assert chosen(**wanted) == seeds


def test_prefix_that_matches_two_runs_lists_them() -> None:
    twins = {f"abc{place:013x}": MANIFESTS[IDS[place]] for place in range(2)}
    with pytest.raises(SelectionError, match=r"'abc' matches 2 runs: abc0.*Write more digits"):
        find_run(twins, "abc")


@pytest.mark.parametrize("prefix", ["ffff", "../x", "$(rm)", "x" * 300])
def test_prefix_that_matches_nothing_says_so(prefix: str) -> None:
    with pytest.raises(SelectionError, match="matches none of 4 runs"):
        find_run(MANIFESTS, prefix)


def test_unknown_words_name_the_nearest() -> None:
    with pytest.raises(SelectionError, match=r"--state 'faild' is not a state\. Did you mean failed\?"):
        parse_state("faild")
    with pytest.raises(SelectionError, match=r"--cause 'oom' is not a cause\."):
        parse_cause("oom")


def test_unknown_key_in_where_names_the_nearest() -> None:
    with pytest.raises(SelectionError, match=r"loss\.weighting"):
        chosen(where="loss.weigthing=dwa")
