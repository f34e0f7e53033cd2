"""The smoke variants of the shipped grids on this machine, from simulated data to the tables and figures of docs/studies.md."""

from __future__ import annotations

import contextlib
import math
import re
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.cli.conftest import Project
from tests.grids.shipped import CHALLENGE, KNEES, MASKS, ROOT, SEQUENTIAL, SMOKE_RUNS

pytestmark = [pytest.mark.slow, pytest.mark.journey]

PAGE = (ROOT / "docs" / "studies.md").read_text()
CONTRASTS = ("div_coronal_pd_fs", "div_coronal_pd")
WITHIN_S = 600
CUT = {"mask_fixed_digits": ["grid.optim.lr=[1e-3]", "grid.model.kernel=[5]", "grid.model.blocks=[1, 5]"]}
"""What is left here of smoke variants that are whole grids."""
RUNS = SMOKE_RUNS | {"mask_fixed_digits": 66}
IN_SMOKE = {"weighting.kind=naive": "weighting.kind=uncertainty"}
"""What the commands of the page name that the smoke variants have cut."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A clone in which the smoke variants of all studies have completed, launched one after the other."""
    project = Project(tmp_path_factory.mktemp("studies") / "my 'own' clone")
    for name in ("models", "data", "grids"):
        shutil.copytree(ROOT / name, project.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*KNEES, "cine_unets", "federated_sites", *CHALLENGE, *MASKS, *SEQUENTIAL):
        overrides = [word for override in CUT.get(name, []) for word in ("--set", override)]
        project.launch(f"grids/{name}.yaml", "--variant", "smoke", *overrides)
        finish(project, f"{name}@smoke", RUNS[name])
    yield project
    for process in project.workers():
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)


def finish(project: Project, grid: str, runs: int) -> None:
    """Watch round by round until all runs completed; a run that fails ends the wait."""
    deadline = time.monotonic() + WITHIN_S
    counts: dict[str, int] = {}
    while counts != {"completed": runs}:
        counts = project.ok("watch", grid, "--once", "--json").document["counts"]
        assert "failed" not in counts and time.monotonic() < deadline, (grid, counts, project.ok("status", grid).out)
        time.sleep(0.2)


def rows(project: Project, grid: str) -> list[dict[str, Any]]:
    """Return the rows of a grid's summary."""
    return project.ok("summary", f"{grid}@smoke", "--json").document["rows"]


@pytest.mark.parametrize("name", [name for name in RUNS if name != "sequential_digits"])
def test_smoke_completes_and_its_summary_has_the_test_metrics(study: Project, name: str) -> None:
    found = rows(study, name)
    assert [row["state"] for row in found] == ["completed"] * RUNS[name]
    for row in found:
        assert row["test/degenerate"] == 0
        assert all(math.isfinite(row[f"test/{metric}"]) for metric in ("loss", "ssim", "psnr", "nrmse", "mse", "ssim_worst", "ssim_best"))
    assert len({row["test/loss"] for row in found}) == RUNS[name]


def test_every_sampler_has_its_curve_and_the_oracle_the_lowest(study: Project) -> None:
    found = rows(study, "sequential_digits")
    assert [row["state"] for row in found] == ["completed"] * RUNS["sequential_digits"]
    areas = [sum(row[f"test/nmse/{columns}"] for columns in range(2, 8)) for row in found]
    assert areas == pytest.approx([row["test/auc_nmse"] for row in found])
    (oracle,) = (row["test/auc_nmse"] for row in found if row["policy.kind"] == "greedy")
    assert min(areas) == pytest.approx(oracle)


def test_evaluation_has_each_tasks_metrics_and_the_slices_that_make_the_ratio(study: Project) -> None:
    for row in rows(study, "mtl_evaluate"):
        for task in CONTRASTS:
            assert all(math.isfinite(row[f"test/{metric}/{task}"]) for metric in ("loss", "ssim", "psnr", "nrmse"))
            assert row[f"test/slice_n/{task}"] == 6  # 2 volumes of 4 slices, the first of each left out
        scarce, other = (row[f"train/slices/{task}"] for task in CONTRASTS)
        assert (scarce, other) == (12 / 2 ** row["data.halvings"], 12)  # 4 volumes of 3 slices


def test_transfer_begins_with_the_weights_of_the_other_contrast(study: Project) -> None:
    (source,) = (row["id"] for row in rows(study, "stl_single") if row["data.scarce"] == "div_coronal_pd")
    for row in rows(study, "stl_transfer"):
        assert f"/{source}/" in study.ok("logs", row["id"]).out


def commands(verb: str) -> list[str]:
    """Return the page's commands of a verb, as they are typed."""
    return re.findall(rf"^(mrsweep {verb} .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", commands("summary") + commands("plot"), ids=lambda command: " ".join(command.split()[1:3]))
def test_the_commands_of_the_page_work(study: Project, command: str) -> None:
    for full, cut in IN_SMOKE.items():
        command = command.replace(full, cut)
    words = [f"{word}@smoke" if word in RUNS else word for word in shlex.split(command)[1:]]
    done = study.ok(*words)
    assert "no run" not in done.out + done.err
    if "-o" in words:
        assert (study.folder / words[words.index("-o") + 1]).stat().st_size > 0
