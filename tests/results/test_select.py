"""Selections: what is named, nothing else; what matches nothing is said."""

from __future__ import annotations

import pytest

from orchestrator.grid.manifest import Manifest
from orchestrator.results.failures import failure_id
from orchestrator.results.select import Selection, check_where, find_run, parse_cause, parse_state, select
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


FAILED = {
    run_id: Record(id=run_id, state=State.FAILED, cause=cause, signature="s")
    for run_id, cause in zip(IDS, [Cause.ERROR, Cause.ERROR, Cause.HOST_OOM, Cause.ERROR], strict=True)
}
ERROR, OOM = failure_id(FAILED[IDS[0]]), failure_id(FAILED[IDS[2]])


def seeds_of(signature: str, **more: object) -> list[int]:
    selection = Selection(signature=signature, **more)  # type: ignore[arg-type]
    return [manifest.config["seed"] for manifest, _ in select(MANIFESTS, Records(runs=FAILED), selection)]


def test_a_signature_selects_the_runs_that_ended_alike() -> None:
    assert seeds_of(ERROR) == [0, 1, 3]
    assert seeds_of(OOM[:2].upper()) == [2]
    assert seeds_of(ERROR, where="seed>0", limit=1) == [1]


def test_a_signature_of_no_run_or_of_several_groups_lists_the_known() -> None:
    with pytest.raises(SelectionError, match=rf"--signature 'zz' is that of no run\. Known: {ERROR} \(3 runs\), {OOM} \(1 run\)"):
        seeds_of("zz")
    with pytest.raises(SelectionError, match="No run has ended badly"):
        select(MANIFESTS, Records(), Selection(signature=ERROR))
    many = {f"{n:016x}": Record(id=f"{n:016x}", state=State.FAILED, cause=Cause.ERROR, signature=str(n)) for n in range(40)}
    letter = next(digit for digit in "0123456789abcdef" if sum(failure_id(one).startswith(digit) for one in many.values()) > 1)
    with pytest.raises(SelectionError, match="Write more digits"):
        select(MANIFESTS, Records(runs=many), Selection(signature=letter))


def test_an_expression_that_selects_no_run_tells_what_its_keys_hold() -> None:
    with pytest.raises(
        SelectionError, match=r"^--where 'weighting=nope' selects none of 4 runs; loss\.weighting is dwa, naive, uncertainty\.$"
    ):
        check_where(MANIFESTS, "weighting=nope")
    with pytest.raises(SelectionError, match=r"selects none of 4 runs; seed is 0, 1, 2, 3\.$"):
        check_where(MANIFESTS, "seed>3")
    for right in ("", "seed=3", f"id={IDS[2][:3]}"):
        check_where(MANIFESTS, right)
    check_where({}, "seed=3")


def test_a_key_may_be_written_by_its_last_word() -> None:
    assert chosen(where="weighting=dwa and seed>1") == [3]


@pytest.mark.parametrize("word", ["finished", "done", "Success"])
def test_words_of_others_for_a_state_name_it(word: str) -> None:
    with pytest.raises(SelectionError, match=rf"--state '{word}' is not a state\. Did you mean completed\?"):
        parse_state(word)
