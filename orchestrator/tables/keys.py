"""Keys of the config as columns: which vary, what a run holds under one, and which one a word on the command line means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.grid.canonical import canonical
from orchestrator.grid.dotted import ABSENT, flatten, lookup, nearest_keys
from orchestrator.results.abbreviations import last_words
from orchestrator.results.select import varying_keys
from orchestrator.store.errors import InputError
from orchestrator.tables.sample import Run, Sample

GRID = "grid"
"""Names the grid of a run where a key is expected."""
_MOST_CONFIGS = 200
"""Configs that are looked through for the keys there are."""


def varying(sample: Sample) -> list[str]:
    """Return the keys that tell the runs apart: those that vary in a grid, and those that differ between grids."""
    keys = dict.fromkeys(varying_keys(run.manifest for run in sample.runs))
    firsts = [flatten(run.manifest.config) for run in {run.grid: run for run in reversed(sample.runs)}.values()]
    constant = dict.fromkeys(key for config in firsts for key in config if key not in keys)
    differing = [key for key in constant if len({canonical(config.get(key)) for config in firsts}) > 1]
    return [*keys, *differing]


def all_keys(sample: Sample) -> list[str]:
    """Return every key of the complete configs, those that vary first."""
    return list(dict.fromkeys([*varying(sample), *(key for run in sample.runs for key in flatten(run.manifest.config))]))


def value_at(run: Run, key: str) -> Any:
    """Return what a run's config holds under a key, None where it has no such key."""
    known = run.manifest.varying
    if key in known:
        return known[key]
    found = lookup(run.manifest.config, key)
    return (run.grid if key == GRID else None) if found is ABSENT else found


def has_key(run: Run, key: str) -> bool:
    """Say whether a run's config holds a key, be it with null."""
    return key in run.manifest.varying or lookup(run.manifest.config, key) is not ABSENT


def values_at(run: Run, keys: Iterable[str]) -> tuple[Any, ...]:
    """Return what a run's config holds under several keys."""
    known = run.manifest.varying
    return tuple([known[key] if key in known else value_at(run, key) for key in keys])


def identity(values: Iterable[Any]) -> tuple[str, ...]:
    """Return values as texts that are equal where the values are: 1 and 1.0 are, 1 and true are not."""
    return tuple(map(canonical, values))


def find_keys(words: Sequence[str], sample: Sample, option: str) -> tuple[str, ...]:
    """Return the keys that words mean; raise InputError for one that is unknown or means several, or that is named twice."""
    found = tuple(_find_key(word, sample, option) for word in words)
    twice = next((key for key in found if found.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"{option} {','.join(words)}: names {twice} twice. Leave one out.")
    return found


def _find_key(word: str, sample: Sample, option: str) -> str:
    """Return the key itself, or the only one, first among those that vary, whose last word it is."""
    several = varying(sample)
    known = dict.fromkeys([*several, *(key for run in sample.runs[:_MOST_CONFIGS] for key in flatten(run.manifest.config))])
    if word in known or word == GRID:
        return word
    for keys in (several, known):
        ending = [key for key in keys if key.endswith(f".{word}")]
        if len(ending) == 1:
            return ending[0]
        if ending:
            raise InputError(f"{option} {word}: means {len(ending)} keys: {', '.join(ending[:8])}. Write the one that you mean.")
    raise InputError(f"{option} {word}: no run has such a key. {nearest_keys(word, known)}")


def key_columns(keys: Sequence[str], others: Collection[str]) -> tuple[str, ...]:
    """Return the columns of keys; one whose name another column has says that it is of the config."""
    return tuple(f"{key} (config)" if key in others else key for key in keys)


def told(keys: Sequence[str], values: Sequence[Any], short: Mapping[str, str] | None = None) -> str:
    """Return "kind=random keep=0.25", for people."""
    names = last_words(keys) if short is None else short
    return " ".join(f"{names[key]}={as_word(value)}" for key, value in zip(keys, values, strict=True))


def as_word(value: Any) -> str:
    """Return a value of a config as a person writes it."""
    return value if isinstance(value, str) else canonical(value)
