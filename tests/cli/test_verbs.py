"""Every verb, as it is meant to be used: what it prints, what it leaves, how it exits."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.main import VERBS
from tests.cli.conftest import MRSWEEP, Project, poll

TWO = "config: {x: 1}\ngrid: {x: [1, 2]}"
CHECKOUT = Path(__file__).parents[2]


def test_init_launch_watch_and_summary_from_an_empty_folder(tmp_path: Path, bare_path: str) -> None:
    folder = tmp_path / "an empty folder"
    env = {**os.environ, "PATH": bare_path}

    def mrsweep(*arguments: str, cwd: Path = folder) -> str:
        done = subprocess.run([MRSWEEP, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert mrsweep("init", str(folder), cwd=tmp_path).count("written") == 3
    mrsweep("launch", "grids/first.yaml", "--variant", "smoke", "--yes")  # no sbatch on the path: this machine is meant
    poll(lambda: json.loads(mrsweep("status", "first@smoke", "--json"))["counts"] == {"completed": 12})
    rows = list(csv.DictReader(io.StringIO(csv_of(folder, mrsweep))))
    assert len(rows) == 12
    assert {row["state"] for row in rows} == {"completed"}
    assert {row["optim.lr"] for row in rows} == {"0.1", "0.01", "0.001"}


def csv_of(folder: Path, mrsweep) -> str:
    mrsweep("summary", "first@smoke", "-o", "a table.csv")
    return (folder / "a table.csv").read_text()


def test_init_leaves_what_exists_alone(project: Project) -> None:
    mine = project.write("experiment.py", "mine")
    told = project.ok("init", ".").out
    assert "experiment.py: exists, left alone" in told
    assert mine.read_text() == "mine"


def test_init_into_a_named_folder_says_where_to_go(project: Project) -> None:
    told = project.ok("init", "new one").out
    assert "cd 'new one'" in told
    assert (project.folder / "new one" / "grids" / "first.yaml").exists()


def test_doctor_says_what_works_here(project: Project) -> None:
    facts = {fact["name"]: fact for fact in project.ok("doctor", "--profile", "quick", "--json").document["facts"]}
    assert facts["atomic files"]["verdict"] == "ok"
    assert str(project.folder) in facts["runs folder"]["value"]
    shown = project.ok("doctor", "--profile", "quick").out
    assert [name for name in facts if name not in shown] == []


def test_doctor_exits_with_1_when_slurm_does_not_answer(project: Project) -> None:
    project.stand_in("scontrol", error="slurm_load_ctl_conf error: Unable to contact slurm controller", code=1)
    done = project.run("doctor", "--profile", "slurm-gpu")
    assert done.code == 1
    assert "Unable to contact slurm controller" in done.out


def test_expand_dry_run_writes_nothing(project: Project) -> None:
    grid = project.grid("quick", TWO)
    before = project.tree()
    told = project.ok("expand", grid, "--dry-run").out
    assert "g: 2 runs" in told
    assert project.tree() == before


def test_expand_writes_manifests_and_launch_submits_them(project: Project) -> None:
    grid = project.grid("quick", TWO)
    document = project.ok("expand", grid, "--json").document
    assert (document["new"], [run["x"] for run in document["runs"]]) == (2, [1, 2])
    assert project.counts() == {"planned": 2}
    launched = project.launch(grid)
    assert (launched["new"], launched["missing"], launched["submitted"]) == (0, 2, 2)
    project.watch()
    assert project.counts() == {"completed": 2}


def test_launch_dry_run_shows_the_plan_and_writes_nothing(project: Project) -> None:
    grid = project.grid("quick", TWO)
    before = project.tree()
    told = project.ok("launch", grid, "--profile", "slurm-gpu", "--dry-run", **_cluster(project)).out
    assert "new" in told and "2 runs in 1 array" in told
    assert "#SBATCH --array=0-1%2" in told
    assert "trial" not in told.partition("#!")[2]  # nothing of the user's config enters the script
    assert {path: text for path, text in project.tree().items() if not path.startswith("bin/")} == before


def _cluster(project: Project) -> dict[str, str]:
    project.stand_in_cluster()
    return {"PATH": project.environment["PATH"]}


def test_launch_asks_and_without_a_terminal_does_nothing(project: Project) -> None:
    grid = project.grid("quick", TWO)
    done = project.run("launch", grid, "--profile", "quick")
    assert done.code == 2
    assert "--yes" in done.err
    assert not (project.folder / "runs").exists()


def test_run_computes_in_the_foreground_with_output_on_the_terminal(project: Project) -> None:
    done = project.ok("run", "trial:quick", "--set", "x=4")
    assert "x is 4" in done.out and "twice = 8" in done.out
    document = project.ok("run", "trial:quick", "--set", "x=4", "--json").document
    assert document["ended"]["metrics"] == {"loss": 4, "twice": 8}
    assert (project.folder / document["folder"] / "result.json").exists()


def test_run_repeats_a_run_of_a_grid_by_any_unique_beginning_of_its_id(project: Project) -> None:
    project.compute("quick", TWO)
    run = project.lines()["x=2"]["id"]
    assert "x is 2" in project.ok("run", run[:6]).out
    assert "x is 5" in project.ok("run", f"runs/g/{run[:2]}/{run}/manifest.json", "--set", "x=5").out


def test_a_run_that_fails_in_the_foreground_exits_with_1(project: Project) -> None:
    done = project.run("run", "trial:fussy", "--set", "x=2")
    assert done.code == 1
    assert "x must not be 2" in done.err.splitlines()[-1]


def test_status_shows_states_metrics_and_the_first_line_of_each_failure(project: Project) -> None:
    project.compute("fussy", "config: {x: 1}\ngrid: {x: [1, 2, 3]}")
    told = project.ok("status", "g").out
    assert "g: 3 runs:" in told and "1 failed" in told and "2 completed" in told
    assert "ValueError: x must not be 2" in told
    assert "| raise ValueError(f" in told and "mrsweep requeue g --signature " in told
    line = project.lines()["x=2"]
    assert (line["state"], line["cause"], line["attempt"]) == ("failed", "error", 1)
    overview = project.ok("status", "--json").document
    assert [(grid["grid"], grid["counts"]) for grid in overview["grids"]] == [("g", {"completed": 2, "failed": 1})]
    assert "g" in project.ok("status").out


def test_status_writes_nothing(project: Project) -> None:
    project.launch(project.grid("quick", TWO))
    poll(lambda: project.counts() == {"completed": 2})
    poll(lambda: not project.workers())
    before = project.tree()
    project.ok("status", "g")
    assert project.tree() == before


def test_status_selects_by_where_state_cause_and_limit(project: Project) -> None:
    project.compute("fussy", "config: {x: 1}\ngrid: {x: [1, 2, 3]}")

    def chosen(*options: str) -> list[str]:
        return [line["label"] for line in project.ok("status", "g", "--json", *options).document["lines"]]

    assert chosen("--where", "x>1") == ["x=2", "x=3"]
    assert chosen("--state", "failed") == ["x=2"]
    assert chosen("--cause", "error") == ["x=2"]
    (failure,) = project.ok("status", "g", "--json").document["failures"]
    assert chosen("--signature", failure["id"][:3]) == ["x=2"]
    assert chosen("--limit", "1") == ["x=1"]


def test_watch_once_records_and_exits(project: Project) -> None:
    project.launch(project.grid("quick", TWO))
    document = poll(lambda: (found := project.ok("watch", "g", "--once", "--json").document)["counts"] == {"completed": 2} and found)
    assert document["grid"] == "g"
    assert project.ok("watch", "g", "--once").out == ""  # nothing new, nothing to say


def test_logs_prints_and_follows_until_the_end(project: Project) -> None:
    project.launch(project.grid("patient", "config: {x: 1}"))
    run = poll(lambda: next(iter(project.ok("status", "g", "--state", "running", "--json").document["lines"]), None))["id"]
    poll(lambda: "began anew" in (project.attempt(run) / "log.txt").read_text())
    follower = subprocess.Popen([MRSWEEP, "logs", run[:5], "-f"], cwd=project.folder, stdout=subprocess.PIPE, text=True)
    (project.folder / "go").touch()
    assert "began anew" in follower.communicate(timeout=30)[0]
    assert follower.returncode == 0
    document = project.ok("logs", run, "-n", "1", "--json").document
    assert (document["run"], document["attempt"]) == (run, "attempt-1")


def test_requeue_with_changed_resources(project: Project) -> None:
    project.compute("fussy", "config: {x: 1}\ngrid: {x: [1, 2]}")
    project.write("mended", "")
    before = project.tree()
    assert "1 runs" in project.ok("requeue", "g", "--dry-run").out or "1 run " in project.ok("requeue", "g", "--dry-run").out
    assert project.tree() == before
    document = project.ok("requeue", "g", "--cause", "error", "--set", "resources.mem_gb=3", "--yes", "--json").document
    assert len(document["runs"]) == 1
    project.watch()
    assert project.counts() == {"completed": 2}
    assert project.lines()["x=2"]["attempt"] == 2
    newest = max((project.folder / "runs" / "g" / "submissions").iterdir(), key=lambda path: path.stat().st_mtime)
    assert json.loads((newest / "request.json").read_text())["resources"]["mem_gb"] == 3


def test_cancel_ends_running_runs_and_keeps_queued_ones_from_starting(project: Project) -> None:
    project.launch(project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2, 3, 4]}"))
    poll(lambda: project.counts().get("running") == 2)
    assert "4 runs to cancel" in project.ok("cancel", "g", "--dry-run").out
    project.ok("cancel", "g", "--yes")
    poll(lambda: project.counts() == {"cancelled": 4})
    poll(lambda: not project.workers())
    assert {line["cause"] for line in project.lines().values()} == {"cancelled", "cancelled_before_start"}
    assert project.launch("grids/g.yaml")["submitted"] == 0  # launch does not undo what a person wanted


def test_prune_moves_duplicates_to_the_trash_and_restore_brings_them_back(project: Project) -> None:
    project.compute("quick", TWO)
    project.compute("quick", "config: {x: 1}\ngrid: {x: [2, 3]}", "--no-adopt", name="again")
    assert project.counts("again") == {"completed": 2}
    run = project.lines("again")["x=2"]["id"]
    told = project.ok("prune", "again", "--duplicates", "--dry-run").out
    assert run[:8] in told and "same id" in told
    document = project.ok("prune", "again", "--duplicates", "--yes", "--json").document
    assert list(document["runs"]) == [run]
    assert project.counts("again") == {"completed": 1, "pruned": 1}
    assert (project.folder / "runs" / "again" / "trash" / run / "attempt-1" / "result.json").exists()
    assert project.ok("restore", "again", "--yes", "--json").document["runs"] == [run]
    assert project.counts("again") == {"completed": 2}
    assert (project.attempt(run, grid="again") / "result.json").exists()


def test_prune_refuses_to_guess(project: Project) -> None:
    project.compute("quick", TWO)
    done = project.run("prune", "g", "--yes")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--duplicates" in done.err


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "md"])
def test_summary_writes_the_same_bytes_for_the_same_results(project: Project, suffix: str) -> None:
    project.compute("quick", TWO)
    written = []
    for name in ("one", "two"):
        project.ok("summary", "g", "-o", f"{name}.{suffix}")
        written.append((project.folder / f"{name}.{suffix}").read_bytes())
    assert written[0] == written[1]
    text = written[0].decode()
    assert "completed" in text and "twice" in text
    if suffix == "json":
        assert [row["twice"] for row in json.loads(text)["rows"]] == [2, 4]


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "--profile", "quick"),
        ("expand", "grids/g.yaml", "--dry-run"),
        ("expand", "grids/g.yaml"),
        ("launch", "grids/g.yaml", "--profile", "quick", "--dry-run"),
        ("launch", "grids/g.yaml", "--profile", "quick"),
        ("status",),
        ("status", "g"),
        ("status", "g", "--advise"),
        ("watch", "g", "--once"),
        ("requeue", "g", "--dry-run"),
        ("requeue", "g", "--yes"),
        ("cancel", "g", "--dry-run"),
        ("cancel", "g", "--state", "failed"),
        ("prune", "g", "--duplicates"),
        ("restore", "g"),
        ("summary", "g"),
        ("logs", "ID"),
        ("run", "trial:quick", "--set", "x=1"),
    ],
    ids=" ".join,
)
def test_json_is_one_versioned_document_and_nothing_else(computed: Project, arguments: tuple[str, ...]) -> None:
    run = computed.lines()["x=1"]["id"]
    done = computed.ok(*(run if argument == "ID" else argument for argument in arguments), "--json")
    assert done.document["mrsweep"] == 1
    assert done.document["kind"]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A grid of two completed runs, for tests that only look."""
    project = Project(tmp_path_factory.mktemp("computed"))
    project.compute("quick", TWO)
    return project


@pytest.mark.parametrize("verb", VERBS)
def test_help_ends_with_examples(verb: str) -> None:
    done = subprocess.run([MRSWEEP, verb, "--help"], capture_output=True, text=True, check=True)
    head, examples, tail = done.stdout.partition("Examples:\n")
    assert f"Usage: mrsweep {verb}" in head
    assert examples
    assert all(line.startswith(f"  mrsweep {verb}") or "mrsweep" in line for line in tail.strip().splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("doctor", "--profile", "quick"),
        ("expand", "grids/g.yaml"),
        ("launch", "grids/g.yaml", "--yes"),
        ("status", "g"),
        ("watch", "g", "--once"),
        ("logs", "ID"),
        ("requeue", "g", "--yes"),
        ("cancel", "g", "--yes"),
        ("prune", "g", "--duplicates", "--yes"),
        ("restore", "g", "--yes"),
        ("summary", "g", "-o", "table.csv"),
        ("plot", "g", "--x", "x", "--y", "twice", "-o", "f.svg"),
        ("report", "g", "-o", "page.html"),
    ],
    ids=" ".join,
)
def test_no_verb_but_run_imports_torch_or_pandas(computed: Project, arguments: tuple[str, ...]) -> None:
    run = computed.lines()["x=1"]["id"]
    arguments = tuple(run if argument == "ID" else argument for argument in arguments)
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*({'torch', 'pandas', 'h5py'} & set(sys.modules)), file=sys.stderr))\n"
        "from orchestrator.cli.main import main\n"
        f"main({list(arguments)!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=computed.folder, env=computed.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), 0),
        (("nonsense",), 2),
        (("status", "--nonsense"), 2),
        (("status", "nothing"), 2),
        (("run", "trial:fussy", "--set", "x=2"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_exit_codes_are_0_done_1_failed_2_wrong_input(computed: Project, arguments: tuple[str, ...], code: int) -> None:
    assert computed.run(*arguments).code == code


def test_launch_says_that_the_profile_has_no_larger_gpu_which_the_policy_asks_for(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}\npolicy: {gpu_oom: {gpu: larger}}")
    told = project.ok("launch", grid, "--profile", "local", "--dry-run").out
    assert "policy.gpu_oom asks for a larger GPU, and the profile names none (#MRSWEEP larger_gpu=...): profile local" in " ".join(
        told.split()
    )
