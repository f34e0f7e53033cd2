"""The description of data: complete, strict, told in one line, and without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from data.volumes import description as module
from data.volumes.description import LAYOUTS, DataDescription, layout_of

SHORTEST = {
    "fastmri": {},
    "knee": {"datasets": ["pd", "fs"]},
    "cine": {},
    "sites": {"sites": ["B", "F"], "contrast": "T1"},
    "paired": {},
    "arrays": {},
}


def read(layout: str, **changed: object) -> DataDescription:
    return msgspec.convert({"layout": layout, "root": "a", **SHORTEST[layout], **changed}, DataDescription)


def test_it_imports_neither_torch_nor_numpy():
    code = "import sys, data.volumes.description; print(sorted({'torch', 'numpy', 'h5py'} & set(sys.modules)))"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_every_layout_is_told_by_its_name_and_survives_a_round_trip():
    assert tuple(SHORTEST) == LAYOUTS
    for layout in LAYOUTS:
        description = read(layout)
        assert layout_of(description) == layout
        assert msgspec.convert(msgspec.to_builtins(description), DataDescription) == description


def test_tasks_are_the_datasets_or_sites_where_there_are_several():
    assert [read(layout).tasks for layout in LAYOUTS] == [("",), ("pd", "fs"), ("",), ("B", "F"), ("",), ("",)]
    assert read("knee", datasets=["pd"]).tasks == ("",)


WRONG = [
    ("fastmri", {"root": " "}, r"data.root is ' '"),
    ("fastmri", {"val": "train"}, r"three different folders"),
    ("knee", {"datasets": []}, r"data.datasets is \(\); it must be one or more different names"),
    ("knee", {"datasets": ["a", "a"]}, r"data.datasets is \('a', 'a'\)"),
    ("knee", {"datasets": ["../a"]}, r"data.datasets is \('../a',\)"),
    ("knee", {"scarce": "fss"}, r"data.scarce: 'fss' is unknown. Did you mean fs\? Known: pd, fs"),
    ("knee", {"halvings": -1}, r"data.halvings is -1"),
    ("knee", {"sampling": "up"}, r"data.sampling: 'up' is unknown.*Known: none, upsample, downsample"),
    ("knee", {"crop": [0, 320]}, r"data.crop is \(0, 320\)"),
    ("knee", {"crop": [320]}, r"length 2"),
    ("knee", {"skip_slices": -1}, r"data.skip_slices is -1"),
    ("knee", {"subset_seed": -1}, r"data.subset_seed is -1"),
    ("cine", {"data_range": 0.0}, r"data.data_range is 0.0"),
    ("sites", {"sites": ["B", "B"]}, r"data.sites is"),
    ("sites", {"contrast": "T1/train"}, r"data.contrast is"),
    ("paired", {"mask": "x"}, r"unknown field `mask`"),
    ("cine", {"datasets": ["a"]}, r"unknown field `datasets`"),
]


@pytest.mark.parametrize(("layout", "changed", "message"), WRONG)
def test_wrong_value_is_told_with_key_and_what_is_allowed(layout, changed, message):
    with pytest.raises(msgspec.ValidationError, match=message):
        read(layout, **changed)


def test_every_field_is_described():
    tree = ast.parse(Path(module.__file__).read_text())
    for struct in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, after in pairwise([*struct.body, None]):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{struct.name}.{ast.unparse(field.target)}"
