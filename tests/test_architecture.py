"""The shape of the source, read from the source: imports point down the floors, only cli prints, modules stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("orchestrator", "models", "data")

MAY_IMPORT = {
    "store": set(),
    "cluster": {"store"},
    "grid": {"store", "cluster.resources"},
    "metrics": {"store", "grid"},
    "worker": {"store", "grid", "metrics", "cluster.resources"},
    "launch": {"store", "cluster", "grid", "worker", "results"},
    "results": {"store", "cluster", "grid", "metrics", "worker"},
    "tables": {"store", "grid", "metrics", "results"},
    "plots": {"store", "grid", "metrics", "results", "tables"},
    "report": {"store", "cluster", "grid", "metrics", "results", "tables"},
    "boards": {"store", "grid", "metrics", "results"},
    "messages": {"store", "grid", "results", "tables"},
    "pruning": {"store", "cluster", "grid", "metrics", "worker", "launch", "results"},
    "watchdog": {"store", "cluster", "grid", "metrics", "worker", "launch", "results", "tables", "messages", "pruning"},
    "doctor": {"store", "cluster", "launch", "worker.outcome", "watchdog.look"},
    "live": {"store", "cluster", "grid", "metrics", "worker", "launch", "results", "tables", "pruning", "watchdog"},
    "cli": {
        "store",
        "cluster",
        "grid",
        "metrics",
        "worker",
        "launch",
        "results",
        "tables",
        "plots",
        "report",
        "boards",
        "messages",
        "pruning",
        "watchdog",
        "doctor",
        "live",
    },
    "starter": set(),
    "": {"store", "cluster", "grid", "worker", "launch", "results", "tables", "watchdog"},
}
"""Room → rooms or modules below it, one arrow each; "" is orchestrator's own modules, the Python interface."""
ALTERNATIVES = {"orchestrator.cluster.local", "orchestrator.cluster.slurm"}
"""Of these a command needs one; cluster/choose.py imports it when it is known which."""
CROSSING = {"orchestrator": {"orchestrator"}, "models": {"models", "data"}, "data": {"data"}}
"""Package → packages of the project that it may import."""
HEAVY = {"torch", "pandas", "submitit", "h5py", "tensorboard", "skimage", "scipy", "bokeh", "matplotlib", "textual", "apprise", "pyarrow"}
"""Never imported when a module of the orchestrator is."""
SLOW_BUT_ALLOWED = HEAVY | {"rich", "numpy", "psutil", "yaml", "PIL", "pynvml"}
"""What may be imported inside a function of the orchestrator, to keep the command line quick."""
ADAPTERS = {"orchestrator.cluster.executor", "orchestrator.cluster.detached", "orchestrator.live"}
"""Modules and rooms whose classes derive from those of a heavy package; they alone may be imported inside a function, and only there."""
EMPTY_NAMES = {"utils", "util", "helpers", "common", "misc", "tools"}
MOST_LINES = 400


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    name: str
    line: int
    deep: bool
    """Inside a function."""


def modules(root: Path) -> dict[str, Path]:
    """Return dotted name → file of every module of the three packages."""
    files = (file for package in PACKAGES for file in (root / package).rglob("*.py"))
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imports(tree: ast.AST, *, deep: bool = False) -> Iterator[Import]:
    """Yield what a module imports when it runs; what only type checkers see is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, deep) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(f"{'.' * node.level}{node.module or ''}.{alias.name}", node.lineno, deep) for alias in node.names)
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield from imports(node, deep=deep or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def offences(root: Path) -> list[str]:
    """Return one line for each place where the source has the wrong shape."""
    return [f"{name.replace('.', '/')}: {wrong}" for name, file in modules(root).items() for wrong in module_offences(name, file)]


def module_offences(name: str, file: Path) -> Iterator[str]:
    text = file.read_text()
    tree = ast.parse(text)
    yield from shape_offences(name, text, tree)
    for imported in imports(tree):
        yield from (f"line {imported.line}: {wrong}" for wrong in import_offences(name, imported))


def shape_offences(name: str, text: str, tree: ast.Module) -> Iterator[str]:
    if text.count("\n") > MOST_LINES:
        yield f"{text.count(chr(10))} lines; split it (at most {MOST_LINES})"
    if EMPTY_NAMES & set(name.split(".")):
        yield "a name that tells no job"
    if tree.body and not ast.get_docstring(tree):
        yield "the first line does not say the module's job"
    if not name.startswith(("orchestrator.cli", "orchestrator.starter")) and not name.endswith("__main__"):
        yield from (f"line {line}: prints; only orchestrator/cli does" for line in prints(tree))


def prints(tree: ast.Module) -> Iterator[int]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return (call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print")


def import_offences(name: str, imported: Import) -> Iterator[str]:
    package, top = name.split(".")[0], imported.name.split(".")[0]
    if imported.name.startswith("."):
        yield f"relative import {imported.name}"
    if imported.name.endswith(".*"):
        yield f"star import of {imported.name[:-2]}"
    if top in PACKAGES and top not in CROSSING[package]:
        yield f"{package} imports {top}"
    if package != "orchestrator" or room(name) == "starter":
        return
    adapter = is_adapter(imported.name)
    if (top in HEAVY or adapter) and not imported.deep and not is_adapter(name):
        yield f"imports {imported.name} as soon as it is imported itself; move it into the function"
    chosen = name == "orchestrator.cluster.choose" and imported.name.rpartition(".")[0] in ALTERNATIVES
    if imported.deep and top not in SLOW_BUT_ALLOWED and not (adapter or chosen):
        yield f"imports {imported.name} inside a function"
    if top == "orchestrator" and not may_import(name, imported.name):
        yield f"{room(name) or 'orchestrator'} imports {imported.name}: the arrow points the wrong way"


def is_adapter(name: str) -> bool:
    """Say whether a dotted name is an adapter, or lies in one."""
    return any(f"{name}.".startswith(f"{each}.") for each in ADAPTERS)


def may_import(name: str, target: str) -> bool:
    """Say whether a module of one room may import `target`, a dotted name below orchestrator."""
    below = target.removeprefix("orchestrator.")
    allowed = MAY_IMPORT.get(room(name), set()) | {room(name)}
    return any(below == each or below.startswith(f"{each}.") for each in allowed if each) or (not room(name) and "." not in below)


def room(name: str) -> str:
    """Return the room of a module: store, grid … and "" for one directly in orchestrator."""
    first = name.removeprefix("orchestrator").lstrip(".").split(".")[0]
    return first if first in MAY_IMPORT else ""


def test_source_has_the_shape_that_was_decided() -> None:
    found = modules(ROOT)
    assert {"orchestrator.store.files", "orchestrator.cluster.scheduler"} <= set(found)
    assert offences(ROOT) == []


def test_every_room_is_known() -> None:
    rooms = {folder.name for folder in (ROOT / "orchestrator").iterdir() if folder.is_dir() and any(folder.glob("*.py"))}
    assert rooms <= set(MAY_IMPORT)


def test_importing_the_whole_orchestrator_loads_nothing_heavy() -> None:
    """What the rules above cannot see: a light package that loads a heavy one."""
    light = [name for name in modules(ROOT) if name.startswith("orchestrator") and not is_adapter(name) and room(name) != "starter"]
    light = [name for name in light if not name.endswith("__main__")]
    program = f"import sys, importlib\nfor name in {light}: importlib.import_module(name)\nprint(*({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == ([], "")


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("orchestrator/store/ledger.py", "from orchestrator.grid import spec", "store imports orchestrator.grid.spec: the arrow"),
        ("orchestrator/grid/spec.py", "import orchestrator.cluster.slurm", "grid imports orchestrator.cluster.slurm: the arrow"),
        ("orchestrator/cluster/slurm.py", "from orchestrator.grid.manifest import Manifest", "the arrow points the wrong way"),
        ("orchestrator/results/summary.py", "from orchestrator.launch.plan import Plan", "results imports orchestrator.launch.plan.Plan:"),
        ("orchestrator/grid/spec.py", "from orchestrator.worker.claim import claim", "grid imports orchestrator.worker.claim.claim:"),
        ("orchestrator/worker/claim.py", "from orchestrator.launch.plan import Plan", "worker imports orchestrator.launch.plan.Plan:"),
        ("orchestrator/worker/claim.py", "from models.unet import Unet", "orchestrator imports models"),
        ("orchestrator/worker/claim.py", "from .claim import x", "relative import .claim.x"),
        ("models/unet.py", "from orchestrator.store import files", "models imports orchestrator"),
        ("data/masks.py", "import models.unet", "data imports models"),
        ("data/masks.py", "from numpy import *", "star import of numpy"),
        ("orchestrator/results/summary.py", "import pandas as pd", "imports pandas as soon as"),
        ("orchestrator/cluster/slurm.py", "from orchestrator.cluster.executor import ArrayExecutor", "as soon as"),
        ("orchestrator/results/summary.py", "def f():\n    import json", "imports json inside a function"),
        ("orchestrator/results/summary.py", "if True:\n    import torch", "imports torch as soon as"),
        ("orchestrator/results/summary.py", "print(1)", "line 2: prints"),
        ("models/utils.py", "x = 1", "a name that tells no job"),
        ("models/unet.py", "x = 1\n" * 401, "403 lines"),
    ],
)
def test_wrong_arrow_is_seen(tmp_path: Path, module: str, source: str, said: str) -> None:
    write(tmp_path / module, f'"""Its job."""\n{source}\n')
    (wrong,) = offences(tmp_path)
    assert said in wrong
    assert wrong.startswith(module.removesuffix(".py"))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("orchestrator/grid/spec.py", "from orchestrator.cluster.resources import Resources"),
        ("orchestrator/worker/claim.py", "from orchestrator.worker import context"),
        ("orchestrator/results/summary.py", "def f():\n    import pandas as pd"),
        ("orchestrator/results/summary.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd"),
        ("orchestrator/cluster/executor.py", "from submitit import SlurmJob"),
        ("orchestrator/cluster/slurm.py", "def f():\n    from orchestrator.cluster.executor import ArrayExecutor"),
        ("orchestrator/cli/status.py", "print(1)"),
        ("orchestrator/__init__.py", "from orchestrator.launch import plan"),
        ("models/unet.py", "import torch\nfrom data.kspace import masks"),
    ],
)
def test_right_arrow_passes(tmp_path: Path, module: str, source: str) -> None:
    write(tmp_path / module, f'"""Its job."""\n{source}\n')
    assert offences(tmp_path) == []


def test_module_without_a_first_line_is_seen(tmp_path: Path) -> None:
    write(tmp_path / "data/masks.py", "x = 1\n")
    assert offences(tmp_path) == ["data/masks: the first line does not say the module's job"]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
