"""docs/data.md: its commands are understood, its tables name every kind of mask, converter and key there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import yaml

from data.convert.command import EXAMPLES, KINDS, build_parser
from data.kspace.description import BELONGS_TO, MaskDescription
from data.kspace.description import KINDS as MASK_KINDS
from data.volumes.description import DataDescription
from models.config import read_config

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
COMMANDS = re.findall(r"^ *python -m data\.convert (.*)$", PAGE + EXAMPLES, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
    assert build_parser().parse_args(shlex.split(command)).kind in KINDS


def test_every_converter_is_shown_with_a_command():
    assert {command.split()[0] for command in COMMANDS} == set(KINDS)
    assert all(f"| `{kind}` |" in PAGE for kind in KINDS)


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_every_kind_of_mask_has_its_row(kind):
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |")]
    assert rows, kind


@pytest.mark.parametrize("key", [field for field in MaskDescription.__struct_fields__ if field != "kind"])
def test_every_key_of_a_mask_has_its_row_with_its_default(key):
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{key}` |"))
    default = msgspec.json.decode(msgspec.json.encode(MaskDescription()))[key]
    readers = row.split("|")[2]
    assert default is None or (f"{default:g}" if isinstance(default, float) else str(default)) in row.split("|")[3]
    assert all(kind in readers for kind in BELONGS_TO.get(key, ())) or "points" in readers


@pytest.mark.parametrize("kind", get_args(DataDescription))
def test_every_layout_has_its_reader_and_every_key_of_it_a_row(kind):
    assert f"`layout: {kind.__struct_config__.tag}`, `data/volumes/" in PAGE
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]
    for key in kind.__struct_fields__:
        readers = " ".join(layouts for names, layouts in rows if f"`{key}`" in names)
        assert f"`{kind.__struct_config__.tag}`" in readers or "all" in readers, key


def test_shown_description_of_data_is_understood():
    (block,) = re.findall(r"```yaml\n(data:.*?)```", PAGE, flags=re.DOTALL)
    values = yaml.safe_load(block)
    read_config({"model": {"kind": "mtl_varnet"}, **values})
