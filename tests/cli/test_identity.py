"""The same grid has the same runs: over hash seeds, the order of its keys, and the spelling of its numbers."""

from __future__ import annotations

from tests.cli.conftest import Project

ONE = """
config: {optim: {lr: 1e-3, beta: 0.9}, model: {kind: unet, depth: 4}, note: "caf\\u00e9"}
grid:
  optim.lr: [1e-3, 1e-4]
  model.depth: [3, 4]
  seed: [1, 2]
zip: [{mask.kind: [random, even], mask.seed: [0, 7]}]
exclude: [{optim.lr: 1e-4, seed: 2}]
"""
PERMUTED = """
exclude: [{seed: 2, optim.lr: 0.0001}]
zip: [{mask.seed: [0.0, 7], mask.kind: [random, even]}]
grid:
  seed: [2, 1]
  model.depth: [4, 3]
  optim.lr: [1.0e-4, 0.001]
config: {note: "cafe\\u0301", model: {depth: 4, kind: unet}, optim: {beta: 9e-1, lr: 1.0e-3}}
"""


def ids(project: Project, text: str, **environment: str) -> list[str]:
    """Return the ids that a dry run names, in its order."""
    project.write("grids/g.yaml", f"name: g\nentry: trial:quick\n{text}")
    document = project.ok("expand", "grids/g.yaml", "--dry-run", "--json", **environment).document
    return [run["id"] for run in document["runs"]]


def test_ids_and_their_order_do_not_depend_on_the_hash_seed(project: Project) -> None:
    found = [ids(project, ONE, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert found[0] == found[1]
    assert len(set(found[0])) == 2 * 2 * 2 * 2 - 2 * 2  # less the excluded ones: depth x mask


def test_permuted_yaml_has_the_same_ids(project: Project) -> None:
    assert sorted(ids(project, ONE, PYTHONHASHSEED="1")) == sorted(ids(project, PERMUTED, PYTHONHASHSEED="2"))
