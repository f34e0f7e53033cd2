"""What is wrong in a grid file is told in one line: file, line, key, value, way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.grid.build import build_manifests
from orchestrator.grid.entry import find_entry
from orchestrator.grid.expand import expand
from orchestrator.grid.loading import Mark
from orchestrator.grid.manifest import Need
from orchestrator.grid.needs import NeedQuery
from orchestrator.grid.schema import Schema, load_schema
from orchestrator.grid.spec import read_spec
from orchestrator.store.errors import EntryError, InputError, ProfileError, SpecError, told_at
from tests.grid.conftest import SCHEMA

ENTRY = "entry: m:f\n"
CASES = [
    # (text below the line `name: g`, line at fault, what the message names: key, value, way out)
    ("entry: m:f\ngird: {a: [1]}", 3, ["gird", "{'a': [1]}", "Did you mean grid?"]),
    ("entry: m:f\noptim.lr: 3", 3, ["optim.lr", "3", "below config:"]),
    ("entry: train.py", 2, ["entry", "train.py", "Write entry: models.training:train"]),
    ("entry: m:f\ncommand: python x.py", 3, ["entry and command", "Write entry:"]),
    ("command: python 'x.py", 2, ["command", "python 'x.py", "Close the quotes"]),
    (ENTRY + "schema: m.Config", 3, ["schema", "m.Config", "module:Class"]),
    (ENTRY + "grid: {seed: 1}", 3, ["grid.seed", "1", "Write [1]"]),
    (ENTRY + "grid: {seed: []}", 3, ["grid.seed", "[]", "Give it a value"]),
    (ENTRY + "grid: [1]", 3, ["grid", "[1]", "Write grid: {"]),
    (ENTRY + "grid:\n  model: {depth: [1, 2]}", 4, ["grid.model", "depth", "dotted"]),
    (ENTRY + "grid: {a: {range: [4, 0]}}", 3, ["grid.a", "[4, 0]", "stop beyond start"]),
    (ENTRY + "grid: {a: {range: [0, 4, 0]}}", 3, ["grid.a", "[0, 4, 0]", "another step"]),
    (ENTRY + "grid: {a: {range: [0.5, 4]}}", 3, ["grid.a", "[0.5, 4]", "linspace"]),
    (ENTRY + "grid: {a: {range: 4}}", 3, ["grid.a", "4", "Write range: [start, stop]"]),
    (ENTRY + "grid: {a: {linspace: [0, 1]}}", 3, ["grid.a", "[0, 1]", "[start, stop, n]"]),
    (ENTRY + "grid: {a: {linspace: [0, 1, 0]}}", 3, ["grid.a", "n = 0", "Write a whole number"]),
    (ENTRY + "grid: {a: {linspace: [0, .inf, 3]}}", 3, ["grid.a", "inf", "it takes numbers"]),
    (ENTRY + "grid: {a: {logspace: [-5, -2, 4]}}", 3, ["grid.a", "[-5, -2, 4]", "not exponents"]),
    (ENTRY + "grid: {a: [1]}\nzip: [{a: [2]}]", 4, ["zip varies a", "line 3", "Keep one"]),
    (ENTRY + "grid: {a: [1]}\nrandom: {samples: 2, axes: {a: {uniform: [0, 1]}}}", 4, ["random varies a", "line 3", "Keep one"]),
    (ENTRY + "zip: [{a: [2]}, {a: [3]}]", 3, ["zip varies a", "Keep one"]),
    (ENTRY + "grid:\n  a.b: [1]\n  a: [{b: 1}]", 4, ["a.b", "a (line 5)", "Keep one"]),
    (ENTRY + "zip:\n- a: [1, 2]\n  b: [1]", 5, ["a has 2, b has 1", "same number"]),
    (ENTRY + "zip: [3]", 3, ["zip", "3", "Write zip:"]),
    (ENTRY + "zip: [{csv: nothing.csv}]", 3, ["csv", "nothing.csv", "cannot be read"]),
    (ENTRY + "config:\n  a: {b: 1}\n  a.b: 2", 5, ["a.b", "line 4", "nested and once dotted"]),
    (ENTRY + "config:\n  a.b: 2\n  a: 1", 4, ["a.b", "line 5", "Remove one"]),
    (ENTRY + "config: {a: 3}\ngrid: {a.b: [1]}", 4, ["a.b varies", "a holds 3", "!remove"]),
    (ENTRY + "config: {a..b: 3}", 3, ["a..b", "empty part", "Write words"]),
    (ENTRY + "config: {'a\u202eb': 3}", 3, ["a\\u202eb", "invisible", "Write words"]),
    (ENTRY + "config: [x.yaml]", 3, ["config", "x.yaml", "cannot be read"]),
    (ENTRY + "config: [3]", 3, ["config", "3", "files and mappings"]),
    (ENTRY + "config: [{a: 1}, {b: !remove}]", 3, ["!remove drops b", "Known: a"]),
    (ENTRY + "config: {a: [!remove ]}", 3, ["!remove", "inside a value"]),
    (ENTRY + "random: {samples: 0, axes: {a: {uniform: [0, 1]}}}", 3, ["random.samples", "0", "Write samples: 50"]),
    (ENTRY + "random: {axes: {a: {uniform: [0, 1]}}}", 3, ["random.axes.a", "number of samples", "Write random:"]),
    (ENTRY + "random: {sample: 3}", 3, ["random.sample", "3", "Did you mean samples?"]),
    (ENTRY + "random: {samples: 2, axes: {a: {normal: [0, 1]}}}", 3, ["random.axes.a", "normal", "Known:"]),
    (ENTRY + "random: {samples: 2, axes: {a: [0, 1]}}", 3, ["random.axes.a", "[0, 1]", "choice"]),
    (ENTRY + "random: {samples: 2, axes: {a: {loguniform: [0, 1]}}}", 3, ["random.axes.a", "[0, 1]", "positive"]),
    (ENTRY + "random: {samples: 2, axes: {a: {uniform: [1, 0]}}}", 3, ["random.axes.a", "[1, 0]", "below high"]),
    (ENTRY + "cases: {}", 3, ["cases", "{}", "Write cases:"]),
    (ENTRY + "cases: {a: 3}", 3, ["cases.a", "3", "mapping"]),
    (ENTRY + "cases:\n  a: {train.epochs: 3}", 4, ["cases.a.train.epochs", "3", "below config:"]),
    (ENTRY + "cases:\n  a: {policy: {timeout: keep}}", 4, ["cases.a.policy", "keep", "Known:"]),
    (ENTRY + "grid: {m: [{k: 1}]}\ncases:\n  a: {config: {m.k: 3}}", 5, ["m.k", "axis m", "grid: {m: !remove}"]),
    (ENTRY + "cases:\n  a: {grid: {x: !remove}}", 4, ["drops the axis x", "Known: none"]),
    (ENTRY + "grid: {w: [a]}\nexclude: [{v: a}]", 4, ["exclude", "v", "Known: w"]),
    (ENTRY + "exclude: {w: a}", 3, ["exclude", "{'w': 'a'}", "Write exclude: ["]),
    (ENTRY + "grid: {w: [a]}\nexclude: [{}]", 4, ["exclude", "{}", "Write {"]),
    (ENTRY + "grid: {w: [a]}\nwhen: {x: {w: a}}", 4, ["when.x", "neither set nor varied", "Known: w"]),
    (ENTRY + "grid: {w: [a], x: [1]}\nwhen: {x: {v: a}}", 4, ["when.x", "v", "Known: w, x"]),
    (ENTRY + "grid: {w: [a], x: [1]}\nwhen: {x: {w: a}, w: {x: 1}}", 4, ["depend on each other", "x and w", "Remove one"]),
    (ENTRY + "grid: {w: ['{x}'], x: [1], y: [1]}\nwhen: {y: {w: 1}}", 4, ["when.y", "w", "placeholder"]),
    (ENTRY + "grid: {w: [a, b], x: [1]}\nexclude: [{w: a}, {w: b}]", 4, ["every point (2)", "{'w': 'a'} in line 4 drops 1", "Narrow"]),
    (ENTRY + "config: {optim: {lr: 1}}\ngrid: {optim.lrr: [2, 3]}", 4, ["grid.optim.lrr", "[2, 3]", "Did you mean optim.lr?", "config:"]),
    (ENTRY + "config: {optim: {lr: 1}}\nzip: [{optm.lr: [2, 3]}]", 4, ["zip.optm.lr", "[2, 3]", "Did you mean optim.lr?"]),
    (ENTRY + "runtime: train.num_workers", 3, ["runtime", "train.num_workers", "Write runtime: ["]),
    (ENTRY + "resources: {gpu: 1}", 3, ["resources.gpu", "1", "Did you mean gpus?"]),
    (ENTRY + "resources:\n  mem_gb: 32G", 4, ["resources.mem_gb", "'32G'", "Write mem_gb: 32"]),
    (ENTRY + "resources: {cpus: 0}", 3, ["resources.cpus", "0", "at least 1"]),
    (ENTRY + "resources: {gpus: true}", 3, ["resources.gpus", "True", "whole number"]),
    (ENTRY + "resources: {time_min: .inf}", 3, ["resources.time_min", "inf", "above 0"]),
    (ENTRY + "resources: {max_parallel: 0}", 3, ["max_parallel", "0", "Write max_parallel: 9"]),
    (ENTRY + "resources: {mem_gb: {brain: 64}}", 3, ["resources.mem_gb", "{'brain': 64}", "Write {by:"]),
    (ENTRY + "config: {k: knee}\nresources: {mem_gb: {by: k, brain: 64}}", 4, ["resources.mem_gb", "k = knee", "Add knee:"]),
    (ENTRY + "config: {k: knee}\nresources: {mem_gb: {by: kk, brain: 64}}", 4, ["mem_gb.by", "'kk'", "Did you mean k?", "Set it under"]),
    (ENTRY + "config: {k: b}\nresources: {mem_gb: {by: k, b: lots}}", 4, ["resources.mem_gb", "'lots'", "Write mem_gb: 32"]),
    (ENTRY + 'resources: {sbatch: {qos: "a\\nb"}}', 3, ["resources.sbatch.qos", "a\\nb", "Shorten"]),
    (ENTRY + "resources: {sbatch: {array: 1-3}}", 3, ["resources.sbatch.array", "1-3", "Remove it"]),
    (ENTRY + "resources: {sbatch: {'$(x)': 1}}", 3, ["sbatch", "$(x)", "long names"]),
    (ENTRY + "cases:\n  a: {resources: {max_parallel: 3}}", 4, ["resources.max_parallel", "3", "Known:"]),
    (ENTRY + "policy: {host_omo: keep}", 3, ["policy.host_omo", "keep", "Did you mean host_oom?"]),
    (ENTRY + "policy: {unknown: requeue}", 3, ["policy.unknown", "requeue", "Known:"]),
    (ENTRY + "policy: {timeout: retry}", 3, ["policy.timeout", "retry", "resume"]),
    (ENTRY + "policy: {host_oom: {mem: 2}}", 3, ["policy.host_oom.mem", "2", "Write x2"]),
    (ENTRY + "policy: {host_oom: {mem: x0.5}}", 3, ["policy.host_oom.mem", "x0.5", "above 1"]),
    (ENTRY + "policy: {timeout: {mem: x2}}", 3, ["policy.timeout.mem", "x2", "Known:"]),
    (ENTRY + "policy: {error: {attempts: 1.5}}", 3, ["policy.error.attempts", "1.5", "Write attempts: 3"]),
    (ENTRY + "policy: {gpu_oom: {set: {lr: /2}}}", 3, ["policy.gpu_oom.set", "lr", "under runtime:"]),
    (ENTRY + "metrics: {mode: max}", 3, ["metrics", "objective", "Write metrics:"]),
    (ENTRY + "metrics: {objective: val/ssim, mode: best}", 3, ["metrics.mode", "best", "max, min"]),
    (ENTRY + "pack: {per_task: 0}", 3, ["pack.per_task", "0", "Write per_task: 4"]),
    (
        ENTRY + "pack: {per_task: 8, per_gpu: 4}\nresources: {max_parallel: 2}",
        3,
        ["compute 4 runs", "max_parallel is 2", "lower pack.per_gpu"],
    ),
    (ENTRY + "pack: {per_node: 2}", 3, ["pack.per_node", "2", "Known:"]),
    (ENTRY + "signal: USR1", 3, ["signal", "USR1", "run.stop_requested"]),
    ("command: x\nsignal: KILL", 3, ["signal", "KILL", "Known:"]),
    (ENTRY + "keep_env: [PATH]", 3, ["keep_env", "PATH", "SLURM_JOB_ID"]),
    (ENTRY + "preload: [os; rm]", 3, ["preload", "os; rm", "[torch, numpy]"]),
    (ENTRY + "start: thread", 3, ["start", "thread", "fork, spawn"]),
    (ENTRY + "code: yes", 3, ["code", "yes", "snapshot"]),
    (ENTRY + "variants: {'../up': {}}", 3, ["variants", "../up", "Use letters"]),
    (ENTRY + "variants: {smoke: {seed: [1]}}", 3, ["variants.smoke.seed", "[1]", "Known:"]),
    (ENTRY + "variants: {smoke: {train.epochs: 1}}", 3, ["variants.smoke.train.epochs", "1", "below config:"]),
    (ENTRY + "prepare: ''", 3, ["prepare", "''", "Write prepare:"]),
    (ENTRY + "prepare: make {x", 3, ["prepare", "{x", "{{"]),
    (ENTRY + "prepare: make {x}", 3, ["prepare", "{x}", "Set it under config:"]),
    (ENTRY + "needs: {w: {where: a=1}}", 3, ["needs.w", "a=1", "Write grid: NAME"]),
    (ENTRY + "needs: {w: {grid: a/b}}", 3, ["needs", "a/b", "Write NAME"]),
    (ENTRY + "needs: {w: {grid: a, pick: worst}}", 3, ["needs.w.pick", "worst", "Known:"]),
    (ENTRY + "needs: {w: {grid: a, where: 'a=='}}", 3, ["needs", "a==", "position 4"]),
    (ENTRY + "needs: {'a b': {grid: a}}", 3, ["needs", "a b", "Write a word"]),
    (ENTRY + "config:\n  a: '{b}'\n  b: '{c}'\n  c: 'x{a}'", 4, ["a → b → c → a", "circle", "Give one"]),
    (ENTRY + "config:\n  x: 1\n  a: '{optim.lr}'\n  lr: 3", 5, ["a: ", "{optim.lr}", "Did you mean lr?"]),
    (ENTRY + "config: {a: '{m}', m: {x: 1}}", 3, ["{m}", "mapping", "Write one of m.x"]),
    ("command: python train.py --lr {lr}\nconfig: {l: 1}", 2, ["command", "{lr}", "Set it under config:"]),
]


@pytest.mark.parametrize(
    ("text", "line", "named"), CASES, ids=[text.partition(ENTRY)[2].replace("\n", " ")[:50] or text[:40] for text, _, _ in CASES]
)
def test_a_mistake_is_told_with_file_line_key_value_and_way_out(write: Callable[..., Path], text: str, line: int, named: list[str]) -> None:
    path = write(text, head="name: g\n")
    with pytest.raises(SpecError) as caught:
        list(build_manifests(read_spec(path), schema=None, version=1, resolve_need=lambda query: None))
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert [part for part in named if part not in message] == []
    assert "\n" not in message
    assert message.endswith((".", "…"))


@pytest.mark.parametrize("name", ["../up", "a b", "a'b", "a\\nb", "$(rm)", "x" * 300, "\\u202egnp", "", ".hidden", "a/b"])
def test_names_that_could_leave_the_folder_are_refused(write: Callable[..., Path], name: str) -> None:
    with pytest.raises(SpecError, match=r":1: name holds "):
        read_spec(write(f'name: "{name}"\nentry: m:f\n', head=""))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ("[1, 2]", "a grid file is a mapping"),
        ("entry: m:f", "has no name"),
        ("name: g", "neither"),
    ],
)
def test_files_that_are_no_grid_are_refused(write: Callable[..., Path], text: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        read_spec(write(text, head=""))


def test_an_unknown_variant_lists_the_known_ones(write: Callable[..., Path]) -> None:
    path = write("variants: {smoke: {}, large: {}}")
    with pytest.raises(SpecError, match=r"no variant 'smok'. Did you mean smoke\? Known: smoke, large"):
        read_spec(path, variant="smok")


CSV = [
    ("a,b\n1\n", ":2: holds ['1'] where the columns are ['a', 'b']"),
    ("a,a\n1,2\n", ":1: the header ['a', 'a'] names a column twice"),
    ("a,b\n1,\n", ":2: the column b is empty"),
    ("a,b\n", "at least one row"),
    ("", "at least one row"),
    ('a,b\n1,"2\n', "not valid csv"),
    ("a,b..c\n1,2\n", ":1: the key 'b..c' has an empty part"),
    ("a,b\n1,1e999\n", ":2: the column b holds 1e999"),
]


@pytest.mark.parametrize(("content", "problem"), CSV)
def test_bad_csv_files_are_refused_with_their_line(write: Callable[..., Path], content: str, problem: str) -> None:
    write(content, head="", name="m.csv")
    with pytest.raises(SpecError) as caught:
        read_spec(write("zip: [{csv: m.csv}]"))
    assert "m.csv" in str(caught.value)
    assert problem in str(caught.value)


def test_a_need_without_an_answer_is_told_in_words_of_the_grid_file(write: Callable[..., Path]) -> None:
    def refuse(query: NeedQuery) -> Need | None:
        raise InputError(f"needs: there is no grid '{query.grid}'." if query.grid == "stl" else "--where 'y=1': unknown.")

    told = {"stl": "there is no grid 'stl'.", "other": "where: 'y=1': unknown."}
    for grid, problem in told.items():
        path = write(f"cases:\n  a: {{config: {{x: 1}}}}\n  b:\n    needs: {{weights: {{grid: {grid}}}}}\n")
        with pytest.raises(SpecError) as caught:
            list(build_manifests(read_spec(path), schema=None, version=1, resolve_need=refuse))
        assert str(caught.value) == f"{path}:6: needs.weights: {problem}"


def test_a_fault_of_a_section_is_told_with_the_line_of_the_key_it_names(write: Callable[..., Path], load: Callable[..., Schema]) -> None:
    check = "\n    def __post_init__(self):\n        if self.lr <= 0: raise ValueError('lr must be above 0')"
    schema = load(SCHEMA.replace("clip: float = math.inf", f"clip: float = math.inf{check}"))
    path = write("config:\n  optim.clip: 1.0\n  optim.lr: 0.5\n")
    with pytest.raises(SpecError, match=r"\A--set optim.lr=-1: optim is refused by .*: lr must be above 0"):
        list(expand(read_spec(path, overrides=["optim.lr=-1"]), schema=schema))
    path.write_text(path.read_text().replace("0.5", "-0.5"))
    with pytest.raises(SpecError, match=r":5: optim is refused by .*: lr must be above 0"):
        list(expand(read_spec(path, overrides=["optim.clip=2"]), schema=schema))


def test_a_fault_of_a_section_that_names_no_key_is_put_down_to_an_override(write: Callable[..., Path]) -> None:
    (leaf,) = read_spec(write("config: {o.a: 1, o.b: 2}"), overrides=["o.b=3"]).leaves
    assert str(leaf.blamed("o", "it is refused", Mark("g.yaml"))) == "--set o.b=3"
    assert str(leaf.blamed("o.a", "it is refused", Mark("g.yaml"))).endswith("g.yaml:3")
    assert str(leaf.blamed("p", "it is refused", Mark("g.yaml"))) == "g.yaml"


RESOURCES = """\
grid: {size: [small, large]}
resources:
  cpus: 3
  mem_gb: {by: size, small: 1, large: 900}
variants:
  big:
    resources: {sbatch: {constraint: a100}}
"""


def test_what_the_cluster_cannot_give_is_told_with_the_line_that_asks_for_it(write: Callable[..., Path]) -> None:
    spec = read_spec(write(RESOURCES), variant="big")
    large = [point.resources for point in expand(spec)][-1]
    lines = {"cpus": 5, "mem_gb": 6, "sbatch.constraint": 9, "nodes": 9}  # nodes is not set: the last resources section
    for key, line in lines.items():
        with pytest.raises(ProfileError) as caught, spec.telling(large):
            raise ProfileError("too much.", key=key)
        assert str(caught.value) == f"{spec.source}:{line}: too much."
    with pytest.raises(ProfileError, match=r"\Ap.sh:3: no such partition"), spec.telling(large):
        raise ProfileError("p.sh:3: no such partition")


def test_a_missing_module_can_be_told_with_the_line_that_names_it(write: Callable[..., Path]) -> None:
    spec = read_spec(write("schema: no:Thing\n"))
    with pytest.raises(EntryError) as caught, told_at(spec.place("entry")):
        find_entry("m.train:run", [])
    assert str(caught.value).startswith(f"{spec.source}:2: entry m.train:run: there is no module m ")
    with pytest.raises(EntryError) as caught, told_at(spec.place("schema")):
        load_schema("no:Thing", [])
    assert str(caught.value).startswith(f"{spec.source}:3: schema no:Thing: there is no module no ")


def test_a_value_with_a_nul_enters_no_command(write: Callable[..., Path]) -> None:
    path = write('name: g\ncommand: echo {a}\nconfig: {a: "x\\0y"}\n', head="")
    with pytest.raises(SpecError, match=r":2: command: the argument 'x\\x00y' holds a NUL character"):
        list(build_manifests(read_spec(path), schema=None, version=1, resolve_need=lambda query: None))


@pytest.mark.parametrize("character", ["\0", "\x01", "\x7f"])
def test_a_character_that_yaml_does_not_allow_is_told_with_its_line(write: Callable[..., Path], character: str) -> None:
    with pytest.raises(SpecError, match=r":4: holds the character '\\x"):
        read_spec(write(f"# é\nconfig: {{a: b{character}}}\n"))


def test_an_absurd_count_is_told_with_the_longest_axis(write: Callable[..., Path]) -> None:
    spec = read_spec(write("grid:\n  a: {range: [0, 3000]}\n  b: {range: [0, 4000]}\n"))
    with pytest.raises(SpecError, match=r":5: the grid has 3,000 x 4,000 = 12,000,000 points; .* such as b \(4,000 values\)"):
        expand(spec)
    with pytest.raises(SpecError, match=r"g.yaml: the grid has 1 = 1 points; .* Drop cases"):
        expand(read_spec(write("config: {a: 1}")), limit=0)


def test_nothing_is_expanded_where_the_count_is_absurd(write: Callable[..., Path]) -> None:
    spec = read_spec(write("grid: {a: {range: [0, 10000000]}}"))
    with pytest.raises(SpecError, match="10,000,000 points"):
        expand(spec)


@pytest.mark.parametrize("override", ["random.samples=5", "random.seed=7"])
def test_set_of_how_often_is_drawn_is_refused_where_nothing_is(write: Callable[..., Path], override: str) -> None:
    with pytest.raises(SpecError, match=rf"--set {override}: {override.partition('=')[0]} holds .* drawn at random\. Leave it out"):
        read_spec(write("grid: {a: [1, 2]}"), overrides=[override])
    drawn = write("random: {samples: 2, axes: {a: {uniform: [0, 1]}}}")
    assert read_spec(drawn, overrides=["random.samples=5"]).leaves[0].count == 5
    (leaf,) = read_spec(write("grid: {a: [1]}"), overrides=["random.samples=5", "random.axes.b={uniform: [0, 1]}"]).leaves
    assert leaf.count == 5
