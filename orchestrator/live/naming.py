"""What the keys and values that tell runs apart are called in a row, in full and short (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.live.words import Words
from orchestrator.results.abbreviations import last_words, short_names, short_values, told_short
from orchestrator.results.overview import Line

MOST_VALUES = 40
"""Of a key with so many values or more they are written in full."""


class RunNames(NamedTuple):
    """How the keys that vary are written, and what needs not be: keys that have one value in every row."""

    names: Mapping[str, str]
    """Key → what it is called."""
    short: Mapping[str, str] = {}
    """Key → the shortest beginning of that, for where there is little room."""
    values: Mapping[str, Mapping[str, str]] = {}
    """Key → value → its shortest beginning."""
    shared: str = ""

    @property
    def full(self) -> int:
        """Room that the keys take when all is written out."""
        return sum(len(name) + 2 + max(map(len, self.values.get(key, {})), default=4) for key, name in self.names.items())

    @property
    def need(self) -> int:
        """Room that the keys take when all is written short."""
        return sum(len(name) + 2 + max(map(len, self.values.get(key, {}).values()), default=4) for key, name in self.short.items())

    @property
    def legend(self) -> str:
        """What the short names mean; empty where they are whole."""
        return told_short(self.short)

    def written(self, line: Line, *, brief_names: bool, brief_values: bool) -> str:
        """Return the keys of one run and their values."""
        names, values = self.short if brief_names else self.names, self.values if brief_values else {}
        told = ((key, name, str(line.varying[key])) for key, name in names.items() if key in line.varying)
        return " ".join(f"{name}={values.get(key, {}).get(value, value)}" for key, name, value in told)


def name_keys(lines: Sequence[Line], words: Words) -> RunNames:
    """Return what the keys that differ among the rows are called, and those that do not as text."""
    values: dict[str, dict[str, object]] = {}
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(iter(line.varying))
        for key, value in line.varying.items():
            if len(known := values.setdefault(key, {})) < MOST_VALUES:
                known[str(value)] = value
    same = {key: next(iter(found)) for key, found in values.items() if len(found) == 1 and counts[key] == len(lines)}
    same = same if len(lines) > 1 and len(same) < len(values) else {}
    names, short = last_words(values), short_names(key for key in values if key not in same)
    brief = {key: _brief(found, words) for key, found in values.items() if len(found) < MOST_VALUES}
    shared = ", ".join(f"{names[key]}={same[key]}" for key in same)
    return RunNames({key: names[key] for key in short}, short, brief, shared)


def _brief(values: Mapping[str, object], words: Words) -> dict[str, str]:
    """Return value as text → its short writing."""
    told = {text: words.cell(value) for text, value in values.items() if isinstance(value, str)}
    short = short_values(told.values())
    return {text: short[cleaned] for text, cleaned in told.items()}
