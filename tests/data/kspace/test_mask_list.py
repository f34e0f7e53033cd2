"""The csv file of masks: counts and seeds as published, and rows that a config can hold."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest

from data.kspace.__main__ import main
from data.kspace.description import MaskDescription
from data.kspace.mask_list import draw_seeds, mask_list

GRIDS = Path(__file__).parents[3] / "grids"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_seeds_are_those_of_numpys_promised_generator_and_hold_the_published_one():
    # of numpy.random.seed(123), numpy.random.choice(100000, 20, replace=False)
    expected = draw_seeds(20, 123)
    assert expected[:4] == [42083, 71825, 99535, 47879]
    assert 91329 in expected  # the best random mask of the source's table
    assert draw_seeds(30, 123)[:20] == expected


@pytest.mark.parametrize(("count", "rows"), [(0, 3), (20, 23), (30, 33)])
def test_list_has_three_regular_masks_and_as_many_random_ones_as_asked(count, rows):
    found = rows_of(mask_list(count, 123))
    assert len(found) == rows
    assert [row["mask.kind"] for row in found] == ["caipirinha", "uniform", "column_uniform"] + ["tile_random"] * count
    for row in found:
        described = msgspec.convert({"kind": row["mask.kind"], "seed": int(row["mask.seed"]), "acceleration": 4}, MaskDescription)
        assert described.acceleration == 4


@pytest.mark.parametrize(("name", "count"), [("masks_digits.csv", 30), ("masks_brain.csv", 20)])
def test_shipped_lists_are_what_the_command_writes(name, count, tmp_path, capsys):
    path = tmp_path / "it's a list" / name
    assert main([str(path), "--random", str(count), "--seed", "123"]) == 0
    assert path.read_text() == (GRIDS / name).read_text()
    assert f"3 regular masks, {count} random ones" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--random", "-1"], ["--random", "many"], ["--seed", "4294967296"]])
def test_wrong_number_is_refused(options, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "masks.csv"), *options])
    assert "expected a whole number between" in capsys.readouterr().err


def test_place_that_is_a_folder_is_told_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "Choose another place" in capsys.readouterr().err
