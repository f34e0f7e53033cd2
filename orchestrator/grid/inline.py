"""Reads the files that a grid file names into it: base configs and csv columns. After this, the grid stands alone."""

from __future__ import annotations

from pathlib import Path

from orchestrator.grid.axes import read_columns
from orchestrator.grid.loading import Mark, Node, load_file, show
from orchestrator.store.errors import SpecError


def inline_files(level: Node, folder: Path) -> Node:
    """Return a level, cases included, with its files read in; paths are relative to `folder`. Wrong shapes are left for their readers."""
    if not level.is_mapping:
        return level
    entries = dict(level.value)
    if "config" in entries:
        entries["config"] = _config(entries["config"], folder)
    if "zip" in entries:
        entries["zip"] = _zip(entries["zip"], folder)
    if "cases" in entries and entries["cases"].is_mapping:
        cases = entries["cases"]
        entries["cases"] = Node({name: inline_files(case, folder) for name, case in cases.items()}, cases.mark)
    return Node(entries, level.mark)


def _config(node: Node, folder: Path) -> Node:
    if node.is_list:
        return Node([_config_entry(item, folder) for item in node.value], node.mark)
    return _config_entry(node, folder)


def _config_entry(node: Node, folder: Path) -> Node:
    if not isinstance(node.value, str):
        return node
    try:
        base = load_file(_path(node.value, folder))
    except SpecError as error:
        raise SpecError(f"{node.mark}: config names a base file that fails: {error}") from error
    if base.value is None:
        return Node({}, base.mark)
    if not base.is_mapping:
        raise SpecError(
            f"{base.mark}: the base file holds {show(base)}; it must be a mapping of keys to values. It is named in {node.mark}. Write "
            f"key: value."
        )
    return base


def _zip(node: Node, folder: Path) -> Node:
    if node.is_list:
        return Node([_bundle(item, folder) for item in node.value], node.mark)
    return _bundle(node, folder)


def _bundle(node: Node, folder: Path) -> Node:
    """Replace the entry `csv: file` of a bundle by its columns."""
    if not node.is_mapping or not isinstance(getattr(node.value.get("csv"), "value", None), str):
        return node
    entries: dict[str, Node] = {}
    for key, child in node.items():
        columns = _columns(child, folder) if key == "csv" else {key: child}
        for name, column in columns.items():
            if name in entries:
                raise SpecError(f"{column.mark}: zip varies {name} twice, once in the csv file. Remove one of the two.")
            entries[name] = column
    return Node(entries, node.mark)


def _columns(node: Node, folder: Path) -> dict[str, Node]:
    mark: Mark = node.mark
    return read_columns(_path(node.value, folder), mark)


def _path(text: str, folder: Path) -> Path:
    return folder / Path(text).expanduser()
