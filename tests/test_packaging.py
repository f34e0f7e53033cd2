"""The wheel: what it carries, and that it works in a project with packages named models, data, tests and utils."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.journey

ROOT = Path(__file__).parents[1]
SHIPPED = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "orchestrator", "slurm_templates")
OWN_PACKAGES = ("models", "data", "tests", "utils")
OWN_ENTRY = """\
import data, models, tests, utils

def train(config, run):
    run.report(0, loss=config["lr"])
    return {"loss": config["lr"], "own": sum(package.OWN for package in (data, models, tests, utils))}
"""
OWN_GRID = "name: own\nentry: models.mine:train\ngrid:\n  lr: [0.5, 0.25]\npreload: []\n"


def run(argv: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run([*map(str, argv)], cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that no build folder is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", "."]
    built = run(pip, folder)
    assert built.returncode == 0, built.stderr
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def mrsweep(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as installed from the wheel into an environment of its own, which borrows only the dependencies."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    assert run([sys.executable, "-m", "venv", "--without-pip", venv], venv.parent).returncode == 0
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", "--quiet", "--no-deps", "--no-index", wheel]
    installed = run(pip, venv.parent)
    assert installed.returncode == 0, installed.stderr
    (site_packages,) = venv.glob("lib/python*/site-packages")
    # A plain line: .pth files in there, such as that of an editable install, are not followed.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin" / "mrsweep"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with packages of its own that have the names of ours, in a folder with an awkward name."""
    folder = tmp_path / "it's a project"
    for name in OWN_PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("OWN = 1\n")
    (folder / "models" / "mine.py").write_text(OWN_ENTRY)
    (folder / "own.yaml").write_text(OWN_GRID)
    return folder


def source_files() -> set[str]:
    """Return what the wheel should carry, by its path in the wheel."""
    mapped = {"orchestrator": ROOT / "orchestrator", "orchestrator/templates": ROOT / "slurm_templates"}
    files = ((name, folder, file) for name, folder in mapped.items() for file in folder.rglob("*") if file.is_file())
    return {f"{name}/{file.relative_to(folder)}" for name, folder, file in files if "__pycache__" not in file.parts}


def test_wheel_carries_the_orchestrator_with_profiles_and_starter_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert carried == source_files()
    assert any(name.startswith("orchestrator/templates/") for name in carried)
    assert any(name.startswith("orchestrator/starter/") and name.endswith(".yaml") for name in carried)


def test_torch_is_an_extra_and_lower_bounds_are_met_by_the_pins() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = setup["options"]["install_requires"].split()
    assert not [line for line in needed if line.startswith(("torch", "h5py", "tensorboard", "scikit-image"))]
    pins = (ROOT / "constraints.txt").read_text()
    everything = needed + [line for extra in setup["options.extras_require"].values() for line in extra.split()]
    assert [line for line in everything if f"\n{line.split('>=')[0].lower()}==" not in pins.lower()] == []
    assert "\ntorch==2.13.0\n" in pins


def test_help_and_version_need_no_torch(mrsweep: Path, project: Path) -> None:
    told = run([mrsweep, "--help"], project)
    assert (told.stderr, told.returncode) == ("", 0)
    assert "launch" in told.stdout
    loaded = run([mrsweep.with_name("python"), "-X", "importtime", mrsweep, "--version"], project)
    assert "0.1.0" in loaded.stdout
    assert not {"torch", "pandas", "submitit"} & {line.split("|")[-1].strip() for line in loaded.stderr.splitlines()}


def test_init_writes_a_grid_that_expands(mrsweep: Path, project: Path) -> None:
    written = run([mrsweep, "init", "new place"], project)
    assert (written.stderr, written.returncode) == ("", 0)
    (grid,) = (project / "new place").rglob("*.yaml")
    told = run([mrsweep, "expand", grid, "--dry-run"], project / "new place")
    assert (told.stderr, told.returncode) == ("", 0)
    assert "12" in told.stdout  # 3 x 2 x 2 runs
    assert not (project / "new place" / "runs").exists()


def test_project_computes_with_its_own_packages(mrsweep: Path, project: Path) -> None:
    told = run([mrsweep, "expand", "own.yaml", "--dry-run"], project)
    assert (told.stderr, told.returncode) == ("", 0)
    computed = run([mrsweep, "run", "models.mine:train", "--set", "lr=0.5"], project)
    assert computed.returncode == 0, computed.stderr
    assert '"own":4' in "".join(path.read_text().replace(" ", "") for path in project.rglob("result.json"))


def test_entry_of_the_checkout_is_not_found_in_anothers_project(mrsweep: Path, project: Path) -> None:
    (project / "theirs.yaml").write_text(OWN_GRID.replace("models.mine:train", "models.training:train"))
    refused = run([mrsweep, "launch", "theirs.yaml", "--profile", "local", "--yes"], project)
    assert refused.returncode == 2
    assert "models.training" in refused.stderr
    assert "Traceback" not in refused.stderr
