"""What the verbs say: labels that fit, counts, hints that hold, modes of files that are the user's."""

from __future__ import annotations

import os
import stat

import pytest

from orchestrator.cli.main import VERBS
from orchestrator.cli.standing import _failed
from orchestrator.results.abbreviations import short_names, told_short
from orchestrator.results.counting import count
from orchestrator.results.failures import Failure
from tests.cli.conftest import Project


@pytest.mark.parametrize(("number", "told"), [(0, "0 runs"), (1, "1 run"), (1000, "1,000 runs")])
def test_counts_are_told_in_words(number: int, told: str) -> None:
    assert count(number, "run") == told


SEVERAL = {"summary", "plot", "report"}
"""Verbs that take several grids."""
NAMES = [
    (["mask.kind", "mask.acceleration", "seed"], ["kind", "acc", "seed"]),
    (["loss.weighting", "loss.weights"], ["weighti", "weights"]),
    (["mask.kind", "model.kind"], ["mas", "mod"]),
    (["optim.lr"], ["lr"]),
    ([], []),
]


@pytest.mark.parametrize(("keys", "names"), NAMES, ids=str)
def test_short_names_tell_the_keys_apart(keys: list[str], names: list[str]) -> None:
    assert list(short_names(keys).values()) == names


def test_short_names_are_explained_and_whole_ones_are_not() -> None:
    assert told_short(short_names(["mask.kind", "mask.acceleration", "seed"])) == "acc is mask.acceleration"
    assert told_short(short_names(["mask.kind", "model.kind"])) == "mas is mask.kind, mod is model.kind"
    assert told_short(short_names(["optim.lr", "mask.kind"])) == ""


def test_status_calls_keys_as_every_table_does_and_explains_what_it_shortens(project: Project) -> None:
    axes = "mask.kind: [even, random], mask.acceleration: [4, 8], seed: [1]"
    project.launch(project.grid("quick", f"config: {{x: 1}}\ngrid: {{{axes}}}"))
    project.watch()
    for width in ("80", "160"):
        told = project.ok("status", "g", COLUMNS=width).out
        assert "kind=even acceleration=4" in told and "short:" not in told
    told = project.ok("status", "g", COLUMNS="70").out
    assert "kind=even acc=4" in told and "in each of these rows: seed=1\nshort: acc is mask.acceleration\n" in told
    assert "step" not in told  # nothing runs


def test_failures_are_told_by_states_causes_and_messages() -> None:
    states = ({"failed": 1}, {"blocked": 1}, {"failed": 1})
    failures = [Failure(id=f"{place}", cause="error", message="m", states=one, runs=(f"{place}",)) for place, one in enumerate(states)]
    assert _failed(failures) == "3 blocked or failed, 1 cause, 3 messages:"


WRONG = [
    (("lanch",), ["'lanch'", "Did you mean launch?"]),
    (("status", "--nonsense"), ["--nonsense", "mrsweep status --help"]),
    (("requeue",), ["GRID", "mrsweep requeue --help"]),
    (("requeue", "g", "--code", "other"), ["--code", "'today', 'same'", "mrsweep requeue --help"]),
    (("summary", "g", "--details"), ["--details", ".md", "mrsweep summary --help"]),
    (("status", "g", "--limit", "many"), ["--limit", "many", "mrsweep status --help"]),
    (("logs", "abc", "--follw"), ["--follw", "Did you mean '--follow'?"]),
    (("requeue", "843c"), ["looks like a run id", "--where 'id=843c'"]),
    (("status", "nothing"), ["mrsweep launch grids/nothing.yaml"]),
    (("summary", "g", "-o", "/proc/table.csv"), ["/proc/table.csv", "cannot be written"]),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=str)
def test_wrong_usage_is_one_line_with_the_way_out(project: Project, arguments: tuple[str, ...], named: list[str]) -> None:
    project.ok("expand", project.grid("quick", "config: {x: 1}"))
    done = project.run(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert done.err.startswith("mrsweep: ")
    assert [part for part in named if part not in done.err] == [], done.err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_what_it_does_not_know_in_one_line(project: Project, verb: str) -> None:
    for arguments, named in ((("--nonsense",), "--nonsense"), *(() if verb in SEVERAL else ((("a", "b", "c"), "c"),))):
        done = project.run(verb, *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert named in done.err and done.err.endswith(f"See: mrsweep {verb} --help\n")
    assert not (project.folder / "runs").exists()


def test_launch_counts_what_is_adopted_once(project: Project) -> None:
    project.compute("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    launched = project.launch(project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2, 3]}", name="h"))
    assert (launched["new"], launched["adopted"], launched["submitted"]) == (1, 2, 1)


def test_a_completed_run_without_its_objective_is_visible(project: Project) -> None:
    project.write("file.txt", "text")
    project.compute("reader", "config: {file: file.txt}")
    for verb in ("status", "summary"):
        assert "without a finite value of 'loss'" in " ".join(project.ok(verb, "g").out.split())


def test_where_takes_the_beginning_of_an_id(project: Project) -> None:
    project.ok("expand", project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}"))
    run = project.lines()["x=2"]["id"]
    (line,) = project.ok("status", "g", "--where", f"id={run[:6]} and x=2", "--json").document["lines"]
    assert line["id"] == run
    assert "matches none of 2 runs" in project.run("status", "g", "--where", f"id={run}0").err


def test_summary_leaves_out_what_is_in_the_trash(project: Project) -> None:
    project.compute("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    project.ok("prune", "g", "--where", "x=2", "--yes")
    assert len(project.ok("summary", "g", "--json").document["rows"]) == 1
    assert len(project.ok("summary", "g", "--json", "--state", "pruned").document["rows"]) == 1


def test_files_for_the_user_follow_the_umask(project: Project) -> None:
    before = os.umask(0o022)
    try:
        written = project.ok("init", "new one", "--json").document["files"]
        project.ok("expand", project.grid("quick", "config: {x: 1}"))
        project.ok("summary", "g", "-o", "table.csv")
    finally:
        os.umask(before)
    paths = [project.folder / name for name in (*written, "table.csv")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o644] * 4
    assert stat.S_IMODE((project.folder / "new one" / "grids").stat().st_mode) == 0o755
