"""Pictures that an entry saves: which shapes are taken, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.store.layout import AttemptPaths
from orchestrator.worker.context import Run

SHAPES = [
    ((5, 7), (7, 5)),
    ((1, 5, 7), (7, 5)),
    ((5, 7, 3), (7, 5)),
    ((1, 7, 3), (7, 1)),  # a single row in colours
]


def run_in(folder: Path) -> Run:
    return Run(AttemptPaths(folder), run_id="0" * 16, attempt=1, resume_from=None, needs={})


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_pictures_are_grey_or_in_colours_and_may_have_an_axis_of_one_before(
    tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int], kind: type
) -> None:
    array = np.random.default_rng(1).integers(0, 255, shape).astype(kind)
    with Image.open(run_in(tmp_path).image("x", array)) as picture:
        assert picture.size == size
        assert (picture.mode == "RGB") == (shape[-1] == 3)


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 5, 7), (1, 1, 5, 7), (5,), ()])
def test_picture_of_another_shape_is_refused_by_its_name_and_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError) as raised:
        run_in(tmp_path).image("recon/first", np.zeros(shape))
    assert str(raised.value) == f"image: recon/first has the shape {shape}; give (y, x), or (y, x, 3) with the channels last"
    assert not list(tmp_path.rglob("*.png"))
