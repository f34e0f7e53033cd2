"""What a config may say of a mask: each kind has its keys, no key is accepted and then not read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from data.kspace.description import KINDS, MaskDescription

ROOT = Path(__file__).parents[3]


def describe(**keys: object) -> MaskDescription:
    return msgspec.convert(keys, MaskDescription)


def test_description_imports_neither_numpy_nor_torch():
    code = "import sys, data.kspace.description; print(sorted({'torch', 'numpy', 'scipy', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_needs_its_name_only(kind):
    assert msgspec.convert(msgspec.to_builtins(describe(kind=kind)), MaskDescription) == describe(kind=kind)


@pytest.mark.parametrize(
    ("keys", "spacing"),
    [
        ({"acceleration": 4}, (2, 2)),
        ({"acceleration": 8}, (2, 4)),
        ({"acceleration": 5}, (1, 5)),
        ({"acceleration": 12}, (3, 4)),
        ({"acceleration": 6, "acceleration_y": 6}, (6, 1)),
    ],
)
def test_spacing_of_a_lattice_multiplies_to_its_acceleration(keys, spacing):
    assert describe(kind="uniform", **keys).spacing == spacing


WRONG = [
    ({"kind": "caipirina"}, "mask.kind: 'caipirina' is unknown. Did you mean caipirinha?"),
    ({"calibration": "square"}, "mask.calibration is 'square', but random does not read it"),
    ({"kind": "uniform", "shift": 2}, "mask.shift is 2, but uniform does not read it; only caipirinha can"),
    ({"kind": "poisson_disc", "seed": 3}, "mask.seed is 3, but poisson_disc does not read it; only tile_random can"),
    ({"kind": "uniform", "acceleration": 5.5}, "mask.acceleration is 5.5; it must be a whole number for uniform"),
    ({"kind": "magic", "acceleration": 5.5}, "mask.acceleration is 5.5; it must be a whole number for magic"),
    ({"kind": "uniform", "acceleration": 6, "acceleration_y": 4}, "mask.acceleration_y is 4; it must be a divisor of mask.acceleration, 6"),
    ({"kind": "uniform", "acceleration_y": 0}, "mask.acceleration_y is 0"),
    (
        {"kind": "caipirinha", "acceleration": 3},
        "mask.acceleration is 3, rows by columns 1 x 3; caipirinha shifts rows: set mask.acceleration_y: 3",
    ),
    (
        {"kind": "caipirinha", "acceleration_y": 1},
        "mask.acceleration is 4, rows by columns 1 x 4; caipirinha shifts rows: set mask.acceleration_y: 2",
    ),
    ({"kind": "caipirinha", "acceleration": 1}, "mask.acceleration is 1.0; it must be 2 or more for caipirinha"),
    ({"kind": "caipirinha", "shift": 2}, "mask.shift is 2; it must be between 1 and 1"),
    ({"kind": "tile_random", "acceleration": 3}, "mask.acceleration is 3.0; it must be 16, 8, 4, 2"),
    ({"kind": "tile_random", "seed": -1}, "mask.seed is -1"),
    ({"kind": "poisson_disc", "density_slope": -1}, "mask.density_slope is -1"),
    ({"kind": "poisson_disc", "calibration": "round"}, "mask.calibration: 'round' is unknown. Known: none, square, column"),
    ({"kind": "poisson_disc", "calibration": "column", "center_fraction": 0.3}, "center_fraction * mask.acceleration is 1.2"),
    ({"kind": "poisson_disc", "calibration": "square", "center_fraction": 0.6}, "center_fraction squared * mask.acceleration is 1.44"),
    ({"center_fraction": float("nan")}, "mask.center_fraction is nan"),
    ({"kind": "uniform", "tile": [28, 28]}, "mask.tile is (28, 28), but uniform does not read it; only learned can"),
    ({"kind": "learned", "seed": 3}, "mask.seed is 3, but learned does not read it"),
    ({"kind": "learned", "tile": [0, 4]}, "mask.tile is (0, 4); it must be a size (y, x) of 1 or more points"),
    ({"kind": "learned", "noise_std": -1}, "mask.noise_std is -1"),
    ({"kind": "learned", "noise_end": 0.1}, "mask.noise_end is 0.1; it must be at most mask.noise_std"),
    ({"kind": "learned", "noise_epochs": 0}, "mask.noise_epochs is 0"),
    ({"kind": "learned", "rounding": "bernouli"}, "mask.rounding: 'bernouli' is unknown. Did you mean bernoulli?"),
    ({"kind": "learned", "acceleration": 8, "calibration": "column", "center_fraction": 0.2}, "center_fraction * mask.acceleration is 1.6"),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_wrong_value_is_told_with_key_and_way_out(keys, message):
    with pytest.raises(msgspec.ValidationError) as caught:
        describe(**keys)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["random", "equispaced_fraction", "magic_fraction"])
def test_large_centre_is_refused_where_it_is_part_of_the_budget(kind):
    with pytest.raises(msgspec.ValidationError, match="the centre alone exceeds the budget"):
        describe(kind=kind, center_fraction=0.5)


@pytest.mark.parametrize("kind", ["equispaced", "magic"])
def test_large_centre_is_allowed_where_it_comes_on_top(kind):
    assert describe(kind=kind, center_fraction=0.5).center_fraction == 0.5


def test_large_centre_is_allowed_where_no_calibration_is_asked():
    assert describe(kind="uniform", center_fraction=0.9).calibration == "none"
