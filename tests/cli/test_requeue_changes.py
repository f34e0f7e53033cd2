"""What requeue --set may change: what runs ask for and runtime keys; a key of a run's id is refused with the place of the list."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import requeue
from orchestrator.cli.changes import check_by_schema, read_changes
from orchestrator.cli.options import Target
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.store.errors import SelectionError
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State
from tests.cli.conftest import Project
from tests.watchdog.study import Study
from tests.watchdog.study import clock as clock
from tests.watchdog.study import study as study

RUN = f"{1:016x}"
LISTED = "config: {x: 1, train: {micro_batch: 4, amp: false, workers: auto}}\nruntime: [train]"


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    path = tmp_path / "g.yaml"
    path.write_text(f"name: g\nentry: m:f\n{LISTED}\n")
    return read_spec(path)


VALUES = [
    ("train.micro_batch=2", 2),
    ("train.amp=true", True),
    ("train.lr=1e-4", 1e-4),
    ("train.mode=no", "no"),  # YAML 1.2
    ("train.sizes=[1, 2]", [1, 2]),
    ("train.micro_batch=/2", 2),  # 4 / 2
    ("train.micro_batch=x1.5", 6),  # 4 x 1.5
    ("train.micro_batch=/16", 1),  # never below 1
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_runtime_key_is_read_as_in_the_grid_file(spec: Spec, text: str, value: object) -> None:
    manifest = Manifest(id=RUN, version=1, config={"train": {"micro_batch": 4}})
    overrides = read_changes([text], spec).overrides([manifest], Records())
    assert overrides == {RUN: {text.partition("=")[0]: value}}
    assert type(overrides[RUN][text.partition("=")[0]]) is type(value)


def test_a_factor_holds_for_what_the_last_attempt_had(spec: Spec) -> None:
    manifest = Manifest(id=RUN, version=1, config={"train": {"micro_batch": 8}})
    records = Records(runs={RUN: Record(id=RUN, overrides={"train.micro_batch": 2})})
    assert read_changes(["train.micro_batch=/2"], spec).overrides([manifest], records) == {RUN: {"train.micro_batch": 1}}


def test_resources_and_runtime_keys_are_told_apart(spec: Spec) -> None:
    changes = read_changes(["resources.mem_gb=64", "train.micro_batch=2", "resources.cpus=3"], spec)
    assert (changes.resources, changes.runtime) == ({"mem_gb": 64.0, "cpus": 3}, {"train.micro_batch": 2})
    assert read_changes(["resources.cpus=3"], spec).overrides([Manifest(id=RUN, version=1, config={})], Records()) == {}


REFUSED = [
    ("x=4", ["--set x=4", "part of a run's id", "g.yaml:4", "lists train", "make new runs"]),
    ("trainer=4", ["trainer is part of a run's id"]),
    ("resources.mem=4", ["resources has no such key", "mem_gb"]),
    ("resources.cpus=1.5", ["'1.5' is not a whole number"]),
    ("resources.mem_gb=-1", ["no number above 0"]),
    ("train.micro_batch", ["a change is a key and a value"]),
    ("train.micro_batch={a: 1}", ["a mapping"]),
    ("train.micro_batch=/0", ["a factor is written x2 or /2"]),
]


@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_what_cannot_be_changed_is_refused_with_the_way_out(spec: Spec, text: str, named: list[str]) -> None:
    with pytest.raises(SelectionError) as refused:
        read_changes([text], spec)
    assert [part for part in named if part not in str(refused.value)] == []


@pytest.mark.parametrize(("key", "held"), [("train.workers", "holds 'auto', which is no number"), ("train.nothing", "is not set")])
def test_a_factor_on_what_is_no_number_is_refused(spec: Spec, key: str, held: str) -> None:
    manifest = Manifest(id=RUN, version=1, config={"train": {"workers": "auto"}})
    with pytest.raises(SelectionError, match=held):
        read_changes([f"{key}=x2"], spec).overrides([manifest], Records())


def test_a_key_that_stands_in_the_command_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text("name: g\ncommand: python train.py --micro {micro}\nconfig: {micro: 1}\nruntime: [micro]\n")
    with pytest.raises(SelectionError, match="stands in the command line"):
        read_changes(["micro=2"], read_spec(path))


def test_what_the_schema_refuses_is_refused_before_it_is_submitted(tmp_path: Path) -> None:
    (tmp_path / "strict_schema.py").write_text("import msgspec\nclass C(msgspec.Struct, forbid_unknown_fields=True):\n    micro: int = 1\n")
    path = tmp_path / "g.yaml"
    path.write_text("name: g\nentry: m:f\nschema: strict_schema:C\nruntime: [micro]\nconfig: {micro: 1}\n")
    manifest, spec = Manifest(id=RUN, version=1, config={"micro": 1}), read_spec(path)
    check_by_schema(manifest, {"micro": 2}, spec, [str(tmp_path)])
    with pytest.raises(SelectionError, match=r"--set micro=many: micro holds 'many'"):
        check_by_schema(manifest, {"micro": "many"}, spec, [str(tmp_path)])


PICKY = "def picky(config, run):\n    if config['speed'] > 2:\n        raise ValueError('too fast')\n    return {'loss': config['speed']}\n"


def test_a_changed_runtime_key_reaches_the_next_attempt_under_the_same_id(project: Project) -> None:
    project.write("trial.py", PICKY)
    project.compute("picky", "config: {speed: 4}\nruntime: [speed]")
    (line,) = project.lines().values()
    (failure,) = project.ok("status", "g", "--json").document["failures"]
    done = project.ok("requeue", "g", "--signature", failure["id"], "--set", "speed=/2", "--yes", "--json").document
    assert done["runs"] == [line["id"]]
    project.watch()
    (after,) = project.lines().values()
    assert (after["id"], after["state"], after["objective"]) == (line["id"], "completed", 2)


@pytest.mark.parametrize("limit", [[], ["--limit", "1"]])
def test_only_the_runs_that_were_shown_are_submitted(study: Study, monkeypatch: pytest.MonkeyPatch, limit: list[str]) -> None:
    study.launch(1, 2, 3)
    study.end(2, state=State.FAILED, cause=Cause.ERROR)
    study.watch()
    asked = list[str]()

    def confirm(text: str, *, yes: bool) -> None:
        asked.append(text)
        study.end(1, 3, state=State.FAILED, cause=Cause.ERROR)  # while the question stands

    monkeypatch.setattr(Target, "open", lambda target: (study.grid, study.site))
    monkeypatch.setattr(requeue, "confirm", confirm)
    done = CliRunner().invoke(requeue.command, ["g", "--state", "failed", "--code", "same", *limit])
    assert (done.exit_code, asked) == (0, ["Submit 1 run?"])
    assert study.states(1, 2, 3) == [State.FAILED, State.QUEUED, State.FAILED]
