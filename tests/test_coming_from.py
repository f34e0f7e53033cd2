"""docs/coming_from/: every key in a column "Ours" exists, and every command, grid and link of the pages."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import click
import h5py
import msgspec
import numpy as np
import pytest
import yaml

from data.convert.command import build_parser as build_convert_parser
from data.kspace.__main__ import build_parser as build_mask_list_parser
from data.kspace.description import KINDS
from data.simulate.command import build_parser as build_simulate_parser
from data.volumes.description import CineData
from data.volumes.layouts import open_splits
from models.config import TASKS, TrainConfig
from models.federated.config import METHODS, FederatedConfig, read_federated
from models.sequential.config import SequentialConfig
from models.training_config import LOSSES, OPTIMISERS, WEIGHTINGS
from orchestrator.cli.main import VERBS
from orchestrator.cluster.resources import Resources
from orchestrator.grid.levels import SECTIONS
from orchestrator.grid.settings import KEYS

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs" / "coming_from").glob("*.md"))}
ALL = "\n".join(PAGES.values())
CONFIGS = (TrainConfig, FederatedConfig, SequentialConfig)
PARSERS = {"data.convert": build_convert_parser, "data.simulate": build_simulate_parser, "data.kspace": build_mask_list_parser}
CHOICES = {
    "task": TASKS,
    "mask.kind": KINDS,
    "loss.kind": LOSSES,
    "weighting.kind": WEIGHTINGS,
    "optim.kind": OPTIMISERS,
    "federated.method": METHODS,
}
"""Keys that hold a word, where the struct itself does not tell which."""
HEADS = sorted({field for config in CONFIGS for field in config.__struct_fields__})
GRID_KEYS = {"name", *KEYS, *SECTIONS, *(f"resources.{field}" for field in (*Resources.__struct_fields__, "max_parallel"))}


def cells(page: str, column: str) -> Iterator[str]:
    """Yield the cells of a column, of every table of a page that has it."""
    place = None
    for line in page.splitlines():
        row = [cell.strip() for cell in line.strip("| \n").split("|")] if line.startswith("|") else []
        if not row:
            place = None
        elif place is None:
            place = row.index(column) if column in row else -1
        elif place >= 0 and set(row[0]) - set("-"):
            yield row[place]


def keys_of(page: str) -> list[str]:
    """Return what stands in backticks in the columns Ours, and elsewhere what looks like a key of a config."""
    named = [text for cell in cells(page, "Ours") for text in re.findall(r"`([^`]+)`", cell)]
    return named + re.findall(rf"`((?:{'|'.join(HEADS)})(?:\.[a-z_.]+(?:: [^`]+)?|: [^`]+))`", page)


def structs_in(hint: Any) -> list[type[msgspec.Struct]]:
    """Return the structs that a type may hold."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [struct for part in get_args(hint) for struct in structs_in(part)]


def is_held(struct: type[msgspec.Struct], parts: list[str], value: Any) -> bool:
    """Say whether a config of this struct can have this key; of a key that tells structs apart, with this value (None: any)."""
    first, *rest = parts
    about = struct.__struct_config__
    if first == about.tag_field:
        return not rest and value in (None, about.tag)
    hints = {field.name: field.type for field in msgspec.structs.fields(struct)}
    if first not in hints:
        return False
    below = structs_in(hints[first])
    return not rest or any(is_held(each, rest, value) for each in below) or (not below and "dict" in str(hints[first]))


def is_known(key: str, value: Any) -> bool:
    """Say whether a grid file can hold this key, and a config this value of it (None: any)."""
    if value is not None and value not in CHOICES.get(key, (value,)):
        return False
    if key in GRID_KEYS or key.split(".")[0] in ("needs", "policy", "notify"):
        return True
    return any(is_held(config, key.split("."), value) for config in CONFIGS)


def commands() -> list[str]:
    """Return every command of the pages, in blocks and in lines."""
    shown = re.findall(r"^ *((?:mrsweep|python -m) .*)$", ALL, re.MULTILINE) + re.findall(r"`((?:mrsweep|python -m) [^`\n]+)`", ALL)
    return list(dict.fromkeys(shown))


def test_each_of_the_five_projects_has_its_page():
    assert set(PAGES) == {"multi_task_learning", "mask_learning", "unet_cine", "fl_mrcm", "snu_varnet_rcan"}


@pytest.mark.parametrize("name", PAGES)
def test_every_key_that_is_called_ours_exists(name):
    keys = keys_of(PAGES[name])
    assert len(keys) > 10
    for text in keys:
        ((key, value),) = (yaml.safe_load(text) if ": " in text else {text: None}).items()
        assert is_known(key, value), f"{name}: {text}"
        if isinstance(value, dict) and "kind" in value:
            assert is_known(f"{key}.kind", value["kind"]), f"{name}: {text}"


@pytest.mark.parametrize("command", [text for text in commands() if text.startswith("mrsweep ")])
def test_mrsweep_understands_every_command(command):
    verb, *arguments = shlex.split(command)[1:]
    assert verb in VERBS
    shown: click.Command = import_module(f"orchestrator.cli.{verb}").command
    if not arguments:
        return
    given = shown.make_context(verb, arguments).params
    assert all(is_known(key, None) for option in ("by", "over", "across", "per", "x", "hue") for key in named_keys(given.get(option)))
    for override in given.get("overrides", ()):
        assert is_known(override.partition("=")[0].removeprefix("grid."), None)


def named_keys(given: str | tuple[str, ...] | None) -> list[str]:
    """Return the keys of an option, without the two words that are none."""
    words = (given,) if isinstance(given, str) else given or ()
    return [key for word in words for key in word.split(",") if key not in ("", "step", "grid")]


@pytest.mark.parametrize("command", [text for text in commands() if text.startswith("python -m ")])
def test_every_module_understands_its_command(command):
    module, *arguments = shlex.split(command)[2:]
    if module in PARSERS:
        PARSERS[module]().parse_args(arguments)
    else:
        assert find_spec(f"{module}.__main__") is not None
        assert arguments[0].endswith(".json")


def test_every_grid_that_the_pages_name_exists():
    files = set(re.findall(r"\bgrids/[\w/]+\.(?:yaml|csv)", ALL))
    files |= {f"grids/{name}.yaml" for name in re.findall(r"^mrsweep (?:summary|plot) (\w+)", ALL, re.MULTILINE)}
    assert len(files) > 10
    assert sorted(file for file in files if not (ROOT / file).is_file()) == []


def test_the_links_of_the_pages_lead_somewhere_and_studies_links_each_page():
    links = [link for link in re.findall(r"\]\(([^)#]+)", ALL) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / "docs" / "coming_from" / link).is_file()] == []
    studies = (ROOT / "docs" / "studies.md").read_text()
    assert [name for name in PAGES if f"(coming_from/{name}.md)" not in studies] == []


def test_the_config_of_the_federated_page_is_right():
    (text,) = re.findall(r"```json\n(.*?)```", PAGES["fl_mrcm"], flags=re.DOTALL)
    assert read_federated(json.loads(text)).federated.clients == ("B", "F", "H", "I")


def test_six_files_of_cine_series_become_the_three_that_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for number, name in enumerate(("train", "validation", "test")):
        for part, key in (("input", "imagesRecon"), ("truth", "imagesTrue")):
            with h5py.File(f"data/{part}_{name}.h5", "w") as file:
                file[key] = np.random.default_rng(number).random((3 - number, 9, 7, 5))
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGES["unet_cine"], flags=re.DOTALL)
    exec(snippet, {})
    splits = open_splits(CineData(root="datasets/cine"))
    assert [len(split) for split in (splits.train, splits.val, splits.test)] == [3, 2, 1]
