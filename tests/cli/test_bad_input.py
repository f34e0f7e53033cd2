"""What is wrong is told in one line that names it and the way out, with the right exit code, and nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import take_pen
from tests.cli.conftest import MRSWEEP, RECORDED, Done, Project

QUICK = ("--profile", "quick", "--yes")
SCHEMA = "import msgspec\nclass Config(msgspec.Struct, forbid_unknown_fields=True):\n    x: int = 1\n    lr: float = 0.1\n"

GRIDS = [
    # (what is wrong, lines that follow the name in line 1, what the one line names)
    ("unknown key", "entry: trial:quick\ngird: {x: [1]}", ["g.yaml:3:", "gird", "Did you mean grid?"]),
    ("duplicate key", "entry: trial:quick\nconfig: {x: 1, x: 2}", ["g.yaml:3:", "x", "line 3"]),
    ("bad type", "entry: trial:quick\nresources: {mem_gb: lots}", ["g.yaml:3:", "resources.mem_gb", "'lots'", "Write mem_gb: 32"]),
    ("axis that nothing reads", "entry: trial:quick\nschema: schema:Config\ngrid: {size: [1]}", ["g.yaml:4:", "size", "Known: lr, x"]),
    ("axis that is a slip", "entry: trial:quick\nconfig: {o: {lr: 1}}\ngrid: {o.lrr: [1]}", ["g.yaml:4:", "o.lrr", "[1]", "mean o.lr?"]),
    ("every point excluded", "entry: trial:quick\ngrid: {x: [1]}\nexclude: [{x: 1}]", ["g.yaml:4:", "{'x': 1}", "drops 1", "Narrow"]),
    ("empty axis", "entry: trial:quick\ngrid: {x: []}", ["g.yaml:3:", "grid.x", "[]"]),
    ("zip of unequal lengths", "entry: trial:quick\nzip: [{a: [1, 2], b: [1]}]", ["g.yaml:3:", "a has 2, b has 1"]),
    ("module that cannot be found", "entry: nowhere:train", ["g.yaml:2:", "nowhere", "Check the spelling"]),
    ("function that cannot be found", "entry: trial:quik", ["g.yaml:2:", "trial.py", "quik", "Did you mean quick?"]),
    ("entry that cannot be parsed", "entry: broken:train", ["broken.py:2", "Mend the file"]),
    ("config that the schema refuses", "entry: trial:quick\nschema: schema:Config\nconfig: {x: much}", ["g.yaml:4:", "x", "much", "int"]),
    ("schema that cannot be found", "entry: trial:quick\nschema: schema:Confg", ["g.yaml:3:", "schema", "Confg", "Did you mean Config?"]),
    ("base file that is not there", "entry: trial:quick\nconfig: [base.yaml]", ["g.yaml:3:", "base.yaml", "cannot be read"]),
    ("absurd count", "entry: trial:quick\ngrid: {a: {range: [0, 10000]}, b: {range: [0, 10000]}}", ["100,000,000", "g.yaml"]),
    ("unknown variant", "entry: trial:quick\nvariants: {smoke: {}}", ["nonsense", "Known: smoke"]),
    ("tab in the file", "entry: trial:quick\n\tgrid: {}", ["g.yaml:3:", "tab"]),
    ("unclosed bracket", "entry: trial:quick\ngrid: {x: [1", ["g.yaml:"]),
    ("needs of an unknown grid", "entry: trial:quick\nneeds: {weights: {grid: nowhere}}", ["nowhere", "Launch that grid first"]),
]


def assert_refused(done: Done, code: int, named: Sequence[str]) -> None:
    """One line on stderr that names what it should, nothing on stdout, the exit code."""
    assert (done.code, done.out) == (code, ""), done
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("mrsweep: ")
    assert [part for part in named if part not in done.err] == [], done.err


@pytest.mark.parametrize(("text", "named"), [case[1:] for case in GRIDS], ids=[case[0] for case in GRIDS])
@pytest.mark.parametrize("verb", ["expand", "launch"])
def test_a_wrong_grid_is_refused_and_nothing_is_written(project: Project, verb: str, text: str, named: list[str]) -> None:
    project.write("schema.py", SCHEMA)
    project.write("broken.py", "def train():\n    return (\n")
    project.write("grids/g.yaml", f"name: g\n{text}\n")
    before = project.tree()
    options = ("--variant", "nonsense") if "variants" in text else ()
    assert_refused(project.run(verb, "grids/g.yaml", *options, *(QUICK if verb == "launch" else ())), 2, named)
    assert project.tree() == before
    assert not (project.folder / "runs").exists()


@pytest.mark.parametrize(
    ("grid", "named"),
    [
        ("grids/no such.yaml", ["grids/no such.yaml", "No such file"]),
        ("grids/folder.yaml", ["grids/folder.yaml", "directory"]),
        ("grids/picture.yaml", ["grids/picture.yaml", "UTF-8"]),
        ("nothing", ["nothing", "mrsweep launch"]),
        ("../escape", ["escape"]),
        ("$(touch hacked)", ["$(touch hacked)"]),
    ],
)
def test_a_grid_that_is_missing_or_unreadable_is_refused(project: Project, grid: str, named: list[str]) -> None:
    (project.folder / "grids" / "folder.yaml").mkdir(parents=True)
    (project.folder / "grids" / "picture.yaml").write_bytes(b"\x89PNG\r\n\xff\xfe")
    before = project.tree()
    for verb in (("launch", "--yes"), ("status",), ("watch", "--once"), ("requeue",), ("cancel",), ("summary",)):
        assert_refused(project.run(verb[0], grid, *verb[1:]), 2, named)
    assert project.tree() == before


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_grid_without_permission_is_refused(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    (project.folder / grid).chmod(0)
    assert_refused(project.run("launch", grid, *QUICK), 2, ["g.yaml", "Permission denied"])


@pytest.mark.parametrize("runs", ["a file", "a file/deep"])
def test_a_runs_folder_that_cannot_be_made_is_refused(project: Project, runs: str) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    project.write("a file", "")
    before = project.tree()
    assert_refused(project.run("launch", grid, *QUICK, "--runs", runs), 2, ["a file", "is not a folder", "--runs DIR"])
    assert project.tree() == before


def test_a_runs_folder_that_the_system_refuses_to_make_is_told(project: Project) -> None:
    done = project.run("launch", project.grid("quick", "config: {x: 1}"), *QUICK, "--runs", "/proc/runs")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "/proc/runs" in done.err and "--runs DIR" in done.err


def test_a_folder_that_holds_something_else_is_refused(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    project.write("runs/g/holiday.jpg", "")
    before = project.tree()
    assert_refused(project.run("launch", grid, *QUICK), 2, ["runs/g", "holiday.jpg", "--runs DIR"])
    assert project.tree() == before


def test_a_symlinked_grid_folder_is_refused(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    (project.folder / "elsewhere").mkdir()
    (project.folder / "runs").mkdir()
    (project.folder / "runs" / "g").symlink_to(project.folder / "elsewhere")
    assert_refused(project.run("launch", grid, *QUICK), 2, ["runs/g", "symbolic link", "--runs DIR"])
    assert list((project.folder / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder that belongs to another user")
def test_a_foreign_grid_folder_is_refused(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    folder = project.folder / "runs" / "g"
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)
    assert_refused(project.run("launch", grid, *QUICK), 2, ["runs/g", "12345", "--runs DIR"])
    assert list(folder.iterdir()) == []


def test_an_unknown_profile_lists_the_known_ones(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    before = project.tree()
    assert_refused(project.run("launch", grid, "--profile", "quik", "--yes"), 2, ["quik", "Did you mean quick?", "slurm-gpu"])
    assert project.tree() == before


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("#SBATCH --partition=nowhere", ["site.sh:2", "partition", "nowhere"]),
        ("#MRSWEEP pol_s=3", ["site.sh:2", "pol_s", "Did you mean poll_s?"]),
        ("#SBATCH --comment=$(touch hacked)", ["site.sh:2"]),
    ],
)
def test_a_profile_that_the_cluster_cannot_serve_is_refused(project: Project, line: str, named: list[str]) -> None:
    project.stand_in_cluster()
    project.write("slurm_templates/site.sh", f"#MRSWEEP scheduler=slurm gpu=gres\n{line}\n")
    grid = project.grid("quick", "config: {x: 1}")
    before = project.tree()
    assert_refused(project.run("launch", grid, "--profile", "site", "--yes"), 2, named)
    assert project.tree() == before


def test_memory_that_no_node_has_is_refused_before_anything_is_written(project: Project) -> None:
    project.stand_in_cluster()
    grid = project.grid("quick", "config: {x: 1}\nvariants: {big: {resources: {mem_gb: 9000}}}")
    before = project.tree()
    done = project.run("launch", grid, "--variant", "big", "--profile", "slurm-cpu", "--yes")
    assert_refused(done, 2, ["g.yaml:", "9000", "mem_gb"])
    assert project.tree() == before


REFUSALS = [part.partition("\n") for part in (RECORDED / "sbatch_failures.txt").read_text().split("### ") if part.startswith(("-", "Max"))]


@pytest.mark.parametrize("text", [text for _, _, text in REFUSALS], ids=[name for name, _, _ in REFUSALS])
def test_sbatch_that_refuses_is_told_and_the_runs_wait_again(project: Project, text: str) -> None:
    project.stand_in_cluster()
    project.stand_in("sbatch", error=text, code=1)
    done = project.run("launch", project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}"), "--profile", "slurm-cpu", "--yes")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "sbatch refused" in done.err
    assert project.counts() == {"planned": 2}
    assert project.ok("launch", "grids/g.yaml", "--profile", "quick", "--yes", "--json").document["submitted"] == 2


def test_sbatch_that_says_nothing_leaves_an_open_intent_that_the_next_launch_settles(project: Project) -> None:
    project.stand_in_cluster()
    project.write("slurm_templates/test.sh", "#MRSWEEP scheduler=slurm gpu=none confirm_s=0.1\n")
    project.stand_in("sbatch", error="sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", code=1)
    done = project.run("launch", project.grid("quick", "config: {x: 1}"), "--profile", "test", "--yes")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "may be queued all the same" in done.err
    assert project.counts() == {"queued": 1}
    project.stand_in("sbatch", "4711\n")
    assert "submitted as job 4711" in project.ok("launch", "grids/g.yaml", "--profile", "test", "--yes").out
    assert len(list((project.folder / "runs" / "g" / "submissions").iterdir())) == 1


def test_sbatch_that_is_not_there_is_told(project: Project, bare_path: str) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    done = project.run("launch", grid, "--profile", "slurm-gpu", "--yes", PATH=bare_path)
    assert_refused(done, 1, ["was not found", "--profile local"])
    assert not (project.folder / "runs").exists()


UNREACHABLE = "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)"


def test_a_cluster_that_does_not_answer_is_told_with_the_way_out(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}")
    for command in ("sbatch", "scontrol", "sinfo", "squeue", "sacct", "sacctmgr"):
        project.stand_in(command, error=UNREACHABLE, code=1)
    assert_refused(project.run("launch", grid, "--yes"), 1, ["Unable to contact slurm controller", "--profile local"])
    assert not (project.folder / "runs").exists()
    doctor = project.run("doctor")
    assert (doctor.code, doctor.err) == (1, "")
    assert "does not answer" in doctor.out


def test_two_launches_at_the_same_time_submit_every_run_once(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}\ngrid: {x: {range: [0, 20]}}")
    both: list[Done] = []
    threads = [threading.Thread(target=lambda: both.append(project.run("launch", grid, *QUICK))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.code for done in both] == [0, 0], both
    assert sorted("Nothing to submit" in done.out for done in both) == [False, True]
    project.watch()
    assert project.counts() == {"completed": 20}
    assert len(list((project.folder / "runs" / "g").glob("??/*/attempt-*"))) == 20


def test_a_grid_that_another_process_writes_to_is_told_with_its_name(project: Project) -> None:
    """The real wait is a minute; here the program is started with a shorter one."""
    grid = project.grid("quick", "config: {x: 1}")
    project.ok("expand", grid)
    program = (
        "from orchestrator.watchdog.proposal import carry_out\n"
        "carry_out.__kwdefaults__['wait_s'] = 0.3\n"
        "from orchestrator.cli.main import main\n"
        f"main({['launch', grid, *QUICK]!r})"
    )
    with take_pen(GridPaths(project.folder / "runs" / "g")):
        before = project.tree()
        done = subprocess.run([sys.executable, "-c", program], cwd=project.folder, env=project.environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert f"process {os.getpid()} on " in done.stderr
        assert project.tree() == before


def test_a_wait_for_another_process_says_whom_it_is_for(project: Project) -> None:
    """The real silence is two seconds; here it is shorter, and so is the wait."""
    grid = project.grid("quick", "config: {x: 1}")
    project.ok("expand", grid)
    program = (
        "from orchestrator.store import ledger\n"
        "ledger.SILENT_S = 0.1\n"
        "ledger.take_pen.__kwdefaults__['wait_s'] = 0.8\n"
        "from orchestrator.cli.main import main\n"
        f"main(['expand', {grid!r}, '--json'])"
    )
    with take_pen(GridPaths(project.folder / "runs" / "g")):
        done = subprocess.run([sys.executable, "-c", program], cwd=project.folder, env=project.environment, capture_output=True, text=True)
    told, refused = done.stderr.splitlines()
    assert told.startswith(f"g: waiting for process {os.getpid()} on ")
    assert refused.startswith("mrsweep: ")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("prefix", ["zzzz", "ffffffffffffffff", "../g", "", "$(touch hacked)"])
@pytest.mark.parametrize("verb", ["logs", "run"])
def test_a_run_id_that_matches_nothing_or_several_is_refused(computed: Project, verb: str, prefix: str) -> None:
    before = computed.tree()
    assert_refused(computed.run(verb, prefix), 2, [prefix or "matches"])
    assert computed.tree() == before


def test_a_run_id_that_matches_two_runs_lists_them(computed: Project) -> None:
    ids = [line["id"] for line in computed.lines().values()]
    first = next(digit for digit in "0123456789abcdef" if sum(run.startswith(digit) for run in ids) > 1)
    twins = [run for run in ids if run.startswith(first)]
    assert_refused(computed.run("logs", first), 2, [f"matches {len(twins)} runs", *(run[:12] for run in twins[:4]), "more digits"])


SELECTING = [
    ("status",),
    ("status", "--advise"),
    ("requeue", "--yes"),
    ("cancel", "--yes"),
    ("prune", "--yes"),
    ("summary",),
    ("report",),
    ("tensorboard",),
    ("plot", "--x", "x", "--y", "loss", "-o", "figure.svg"),
]


@pytest.mark.parametrize("verb", SELECTING, ids=" ".join)
@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--where", ""), ["--where '': is empty", "Leave --where out"]),
        (("--where", "  "), ["--where", "is empty"]),
        (("--signature", ""), ["--signature '': is empty"]),
        (("--where", "nothing=1"), ["'nothing' is unknown", "Known:"]),
        (("--where", "x=77"), ["--where 'x=77' selects none of", "x is 0, 1, 2, "]),
    ],
    ids=str,
)
def test_every_verb_refuses_what_selects_nothing(computed: Project, verb: Sequence[str], option: Sequence[str], named: list[str]) -> None:
    before = computed.tree()
    assert_refused(computed.run(verb[0], "g", *verb[1:], *option), 2, named)
    assert computed.tree() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("summary", "g", "--metric", ""), ["--metric", "is empty"]),
        (("summary", "g", "--by", " , "), ["--by", "is empty"]),
        (("summary", "g", "--best", ""), ["--best", "is empty"]),
        (("plot", "g", "--x", "x", "--y", "loss", "--hue", "", "-o", "f.svg"), ["--hue", "is empty"]),
        (("status", "g", "--where", "x=="), ["--where", "x=="]),
        (("status", "g", "--where", "nothing=1"), ["nothing", "Known:", "x"]),
        (("status", "g", "--where", "__import__('os')"), ["--where"]),
        (("status", "g", "--state", "runing"), ["runing", "Did you mean running?"]),
        (("status", "g", "--cause", "oom"), ["oom", "host_oom"]),
        (("requeue", "g", "--set", "resources.mem=4"), ["resources.mem=4", "mem_gb"]),
        (("requeue", "g", "--set", "x=4"), ["x=4", "resources"]),
        (("requeue", "g", "--set", "resources.mem_gb=lots"), ["lots", "number"]),
        (("requeue", "g", "--set", "resources.mem_gb=nan"), ["nan", "number"]),
        (("summary", "g", "-o", "table.xlsx"), ["table.xlsx", ".csv"]),
        (("summary", "g", "-o", "no/such/folder/table.csv"), ["no folder no/such/folder", "Make it"]),
        (("run", "trial:nothing"), ["trial.py", "nothing", "Known:"]),
        (("run", "trial:quick", "--set", "x"), ["x", "--set"]),
        (("run", "runs/g/nothing.json"), ["nothing.json", "No such file"]),
        (("run", "trial.json"), ["trial.json", "manifest"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_selection_or_option_is_refused(computed: Project, arguments: tuple[str, ...], named: list[str]) -> None:
    computed.write("trial.json", "{}")
    before = computed.tree()
    done = computed.run(*arguments)
    assert_refused(done, 2, named)
    assert computed.tree() == before


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A grid of 17 completed runs: two of their ids begin with the same digit."""
    project = Project(tmp_path_factory.mktemp("computed"))
    project.compute("quick", "config: {x: 1}\ngrid: {x: {range: [0, 17]}}")
    return project


def test_a_missing_data_file_is_the_cause_of_the_failed_run(project: Project) -> None:
    done = project.run("run", "trial:reader", "--set", "file=nowhere.h5")
    assert done.code == 1
    assert "bad_input" in done.err and "nowhere.h5" in done.err
    project.compute("reader", "config: {file: nowhere.h5}")
    (line,) = project.lines().values()
    assert (line["state"], line["cause"]) == ("failed", "bad_input")
    assert "nowhere.h5" in line["note"]


def test_a_dataset_without_the_expected_key_is_the_cause_of_the_failed_run(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for split in ("train", "val", "test"):
        (tmp_path / "data set" / split).mkdir(parents=True)
        with h5py.File(tmp_path / "data set" / split / f"{split}.h5", "w") as file:
            file["image"] = [1.0, 2.0]
    checkout = Path(__file__).parents[2]
    grid = tmp_path / "g.yaml"
    grid.write_text(
        f"name: g\nentry: models.training:train\nconfig: [{checkout}/grids/base/unet.yaml, "
        f"{{data: {{layout: fastmri, root: '{tmp_path / 'data set'}'}}}}]\n"
    )

    def mrsweep(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([MRSWEEP, *arguments, "--runs", tmp_path / "runs"], cwd=checkout, capture_output=True, text=True, timeout=120)

    run = json.loads(mrsweep("expand", str(grid), "--json").stdout)["runs"][0]["id"]
    done = mrsweep("run", run)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "bad_input" in last and "kspace" in last and "train.h5" in last


def test_a_runs_folder_that_is_a_file_or_leads_nowhere_is_refused(project: Project) -> None:
    project.write("a file", "")
    (project.folder / "runs").symlink_to("/not/there")
    for verb in (("status",), ("logs", "g"), ("watch", "g", "--once")):
        assert_refused(project.run(*verb, "--runs", "a file"), 2, ["a file", "is not a folder", "--runs DIR"])
        assert_refused(project.run(*verb), 2, ["runs", "/not/there", "Mend the link", "--runs DIR"])


def test_init_where_a_file_is_in_the_way_is_refused(project: Project) -> None:
    project.write("new/grids", "")
    before = project.tree()
    assert_refused(project.run("init", "new"), 2, ["new/grids/first.yaml", "new/grids is no folder", "FOLDER"])
    assert_refused(project.run("init", "/proc/new"), 2, ["/proc/new/grids/first.yaml", "Give another FOLDER"])
    assert project.tree() == before


def test_a_working_folder_that_was_deleted_is_told(project: Project) -> None:
    (project.folder / "gone").mkdir()
    line = f"cd gone && rmdir ../gone && exec '{MRSWEEP}' status"
    done = subprocess.run(["sh", "-c", line], cwd=project.folder, env=project.environment, capture_output=True, text=True)
    assert_refused(Done(done.returncode, done.stdout, done.stderr), 2, ["working folder", "cd DIR"])


def test_a_grid_that_is_an_empty_word_is_refused(project: Project) -> None:
    assert_refused(project.run("expand", ""), 2, ["cannot be read", "Name a file", "grids/NAME.yaml"])


def test_a_wrong_override_is_blamed_and_not_the_line_it_overrides(project: Project) -> None:
    project.write(
        "strict.py",
        "import msgspec\nclass Optim(msgspec.Struct, frozen=True):\n    name: str = 'adam'\n    lr: float = 0.1\n"
        "    def __post_init__(self):\n        if self.lr <= 0: raise ValueError('lr must be above 0')\n"
        "class Config(msgspec.Struct, frozen=True):\n    optim: Optim = Optim()\n",
    )
    project.write("grids/base.yaml", "optim:\n  name: sgd\n  lr: 0.5\n")
    grid = project.grid("quick", "schema: strict:Config\nconfig: [base.yaml]")
    assert_refused(project.run("expand", grid, "--set", "optim.lr=-1"), 2, ["--set optim.lr=-1: ", "lr must be above 0"])
    project.write("grids/base.yaml", "optim:\n  name: sgd\n  lr: -0.5\n")
    assert_refused(project.run("expand", grid, "--set", "optim.name=adam"), 2, ["base.yaml:3: ", "lr must be above 0"])


NEEDS = [
    ("{grid: nowhere}", ["needs.weights: there is no grid 'nowhere'", "Launch that grid first"]),
    ("{grid: other, where: 'y = 1'}", ["needs.weights: where: 'y = 1'", "Known: ", "x"]),
    ("{grid: other, where: 'x = 9'}", ["needs.weights: grid 'other' has no run where x = 9"]),
]


@pytest.mark.parametrize(("need", "named"), NEEDS)
def test_a_need_that_cannot_be_answered_is_told_with_its_line(project: Project, need: str, named: list[str]) -> None:
    project.ok("expand", project.grid("quick", "grid: {x: [1, 2]}", name="other"))
    done = project.run("expand", project.grid("quick", f"config: {{x: 1}}\nneeds:\n  weights: {need}"))
    assert_refused(done, 2, ["grids/g.yaml:9: ", *named])
    assert "--where" not in done.err


def test_a_full_disk_is_told_with_the_way_out(project: Project) -> None:
    """What is written to /dev/full meets a full disk."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [MRSWEEP, "--help"], cwd=project.folder, env=project.environment, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert_refused(Done(done.returncode, "", done.stderr), 1, ["No space left on device", "Free some space", "quota"])


@pytest.mark.parametrize(
    "arguments",
    [("--watch",), ("--advise",), ("--state", "failed"), ("g", "--watch", "--json"), ("g", "--watch", "--advise"), ("g", "--gpu-gb", "24")],
)
def test_status_refuses_what_it_would_not_heed(project: Project, arguments: tuple[str, ...]) -> None:
    assert project.run("status", *arguments).code == 2
