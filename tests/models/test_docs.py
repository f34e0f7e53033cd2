"""docs/models.md: every network, loss, weighting and key has its row, its defaults are those of the code, its files exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from models.config import TASKS, read_config
from models.model_config import LETTERS, MODEL_KINDS
from models.training_config import LOSSES, WEIGHTINGS, LoopConfig, OptimConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "models.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
NAMED = {name for row in ROWS for name in re.findall(r"`([^`]*)`", row[0])}
WORDS = {None: ("none", "the batch", "as it is"), "": ("none",), (): ("none",)}


@pytest.mark.parametrize("name", [*MODEL_KINDS, *LETTERS, *LOSSES, *WEIGHTINGS, *TASKS])
def test_every_name_that_a_config_may_hold_has_its_row(name):
    assert name in NAMED


@pytest.mark.parametrize(("section", "struct"), [("optim", OptimConfig), ("train", LoopConfig)])
def test_every_key_has_its_row_with_its_default(section, struct):
    for key, default in zip(struct.__struct_fields__, struct.__struct_defaults__, strict=True):
        (row,) = (row for row in ROWS if row[0] == f"`{section}.{key}`")
        if isinstance(default, msgspec.Struct):
            assert row[1] == default.__struct_config__.tag
        elif key == "lr_of":
            assert row[1] == "{}"
        elif isinstance(default, bool):
            assert row[1] == str(default).lower()
        elif isinstance(default, int | float):
            assert row[1] == f"{default:g}"
        else:
            assert row[1] in WORDS.get(default, (default,)), key


def test_files_that_the_page_names_exist():
    named = re.findall(r"`((?:models|tests)/[\w/]+\.py)`", PAGE)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_grids_that_the_page_names_exist():
    rows = [row for row in ROWS if len(row) == 4 and "models/" in row[2]]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[3])]
    assert named
    assert [name for name in named if not (ROOT / "grids" / f"{name}.yaml").is_file()] == []


def test_config_of_the_page_is_right():
    text, *_ = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    assert read_config(json.loads(text)).optim.schedule.epochs == 3


def test_prediction_of_the_page_measures_the_network_of_the_page_as_it_was_trained():
    training, *_, prediction = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL))
    trained, asked = read_config(training), read_config(prediction)
    assert {"mask", "loss"} <= set(prediction)
    assert (asked.task, asked.data, asked.mask, asked.loss) == ("predict", trained.data, trained.mask, trained.loss)
