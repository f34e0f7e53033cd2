"""Writes a grid as one file that needs no other: what is kept as grid-<n>.yaml."""

from __future__ import annotations

from typing import Any

import yaml

from orchestrator.grid.loading import REMOVE, Node, Removal, resolve_scalar
from orchestrator.grid.spec import Spec

_WORDS = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_DUMPER):  # type: ignore[misc]
    """Quotes every text that YAML 1.2 would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal values out each time: aliases are hard to read."""
        return True


def _represent_text(dumper: Any, text: str) -> Any:
    try:
        plain = isinstance(resolve_scalar(text), str)
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain and text.isprintable() else '"')


def _represent_removal(dumper: Any, value: Removal) -> Any:
    return dumper.represent_scalar("!remove", "")


def _represent_float(dumper: Any, value: float) -> Any:
    """PyYAML knows 1.0e-05 as a float, but not 1e-05, and would tag it."""
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", _WORDS.get(text, text))


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(Removal, _represent_removal)


def frozen_text(spec: Spec) -> str:
    """Return the text of the grid with base files, csv columns, the chosen variant and --set in it.

    `read_spec` reads it back to the same runs and ids. The comment that opens the file is kept.
    """
    comment = "".join(f"# {line}".rstrip() + "\n" for line in spec.question.splitlines())
    content: str = yaml.dump(
        _with_removals(spec.document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
    )
    return comment + content


def _with_removals(node: Node) -> Any:
    """Return plain data in which !remove is still there."""
    if node.is_mapping:
        return {key: _with_removals(child) for key, child in node.items()}
    if node.is_list:
        return [_with_removals(child) for child in node.value]
    return REMOVE if node.value is REMOVE else node.value
