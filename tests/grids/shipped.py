"""The grid files that come with the project, as the tests want them: their points, their runs, and who needs whom."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.grid.build import build_manifests
from orchestrator.grid.expand import Point, expand
from orchestrator.grid.manifest import Manifest, Need
from orchestrator.grid.needs import NeedQuery
from orchestrator.grid.schema import Schema, load_schema
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.grid.where import parse_where
from orchestrator.results.select import flat

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "grids").glob("*.yaml"))
EXAMPLES = sorted((ROOT / "grids" / "examples").glob("*.yaml"))
KNEES = ("stl_joint", "stl_single", "stl_transfer", "mtl_knee", "mtl_evaluate")
"""In an order in which each finds what it needs."""
CHALLENGE = ("snu_varnet", "snu_varnet_rcan")
"""In that order too."""
MASKS = ("mask_learned_digits", "mask_fixed_digits", "mask_learned_brain", "mask_fixed_brain")
STUDIES = (*KNEES, "cine_unets", "federated_sites", *CHALLENGE, *MASKS, "sequential_spirit")
SEQUENTIAL = ("sequential_spirit", "sequential_digits")
"""In that order too; the second one has a schema of its own."""
SMOKE_RUNS = {"stl_joint": 2, "stl_single": 3, "stl_transfer": 2, "mtl_knee": 4, "mtl_evaluate": 11, "cine_unets": 4, "federated_sites": 4}
SMOKE_RUNS |= {"snu_varnet": 1, "snu_varnet_rcan": 4}
SMOKE_RUNS |= {"mask_learned_digits": 8, "mask_fixed_digits": 990, "mask_learned_brain": 8, "mask_fixed_brain": 6}
SMOKE_RUNS |= {"sequential_spirit": 2, "sequential_digits": 7}
SIMULATED = {
    "mask_learned_digits": "digits",
    "mask_fixed_digits": "digits",
    "mask_learned_brain": "mask_brain",
    "mask_fixed_brain": "mask_brain",
    "sequential_spirit": "digits",
    "sequential_digits": "digits",
}
"""Grid → kind of its simulated data, where that is not called as its layout."""

Resolve = Callable[[NeedQuery], Need]


def spec_of(path: Path, variant: str | None = None, *, overrides: Sequence[str] = ()) -> Spec:
    """Read a grid file."""
    return read_spec(path, variant=variant, overrides=overrides)


def schema_of(spec: Spec) -> Schema | None:
    """Load the schema that a grid file names."""
    return load_schema(spec.schema, [str(ROOT)]) if spec.schema else None


def points_of(spec: Spec) -> list[Point]:
    """Expand a grid, its configs checked."""
    return list(expand(spec, schema=schema_of(spec)))


def runs_of(spec: Spec, resolve: Resolve | None = None) -> list[Manifest]:
    """Return the runs of a grid, in its order; what they need is taken as there."""
    made = list(build_manifests(spec, schema=schema_of(spec), version=1, resolve_need=resolve or found))
    assert all(isinstance(run, Manifest) for run in made)
    return [run for run in made if isinstance(run, Manifest)]


@cache
def shipped_runs(name: str) -> list[Manifest]:
    """Return the runs of a shipped grid by its name, such as stl_single@smoke."""
    base, _, variant = name.partition("@")
    return runs_of(spec_of(ROOT / "grids" / f"{base}.yaml", variant or None))


def matching(query: NeedQuery) -> list[Manifest]:
    """Return the runs of a shipped grid that a need may mean."""
    return list(parse_where(query.where).select(shipped_runs(query.grid), flat))


def found(query: NeedQuery) -> Need:
    """Answer a need with its first run."""
    return Need(grid=query.grid, run=matching(query)[0].id, sha256="0" * 64, path="p")


def claimed_runs(spec: Spec, text: str) -> int:
    """Return how many runs a file says that it has: in its first comment, or beside `smoke:`."""
    pattern, said = (r"^  smoke: +# (\d+) runs", text) if spec.variant else (r"= (\d+) runs", spec.question)
    (count,) = re.findall(pattern, said, re.MULTILINE)
    return int(count)


def value(config: dict[str, Any], key: str) -> Any:
    """Return the value of a dotted key."""
    for part in key.split("."):
        config = config[part]
    return config
