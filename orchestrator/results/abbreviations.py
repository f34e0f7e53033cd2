"""What keys and values are called, and how they are written shorter where there is no room for them (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

LEAST = 3
"""Letters that are left of a name or value at least."""
SHORT = 4
"""Names of keys of so many letters are never shortened."""


def last_words(keys: Iterable[str]) -> dict[str, str]:
    """Return key → what it is called: its last word, or all of it where another key ends alike."""
    keys = list(keys)
    words = Counter(key.rpartition(".")[2] for key in keys)
    return {key: word if words[word := key.rpartition(".")[2]] == 1 else key for key in keys}


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return key → what it is called, of a long name the shortest beginning, at least three letters, that tells it from the others."""
    names = last_words(keys)
    return {
        key: name if len(name) <= SHORT else _beginning(name, [other for other in names.values() if other != name])
        for key, name in names.items()
    }


def told_short(names: Mapping[str, str]) -> str:
    """Return what beginnings of names mean: "acc is mask.acceleration, wei is loss.weighting"; empty where every name is whole."""
    whole = last_words(names)
    return ", ".join(f"{name} is {key}" for key, name in names.items() if name != whole[key])


def short_values(values: Iterable[object]) -> dict[str, str]:
    """Return text → its shortest beginning, at least three letters, that none of the other texts has; numbers stay as they are."""
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    return {text: _beginning(text, [other for other in texts if other != text]) for text in texts}


def _beginning(text: str, others: Sequence[str]) -> str:
    lengths = range(LEAST, len(text))
    return next((text[:length] for length in lengths if not any(other.startswith(text[:length]) for other in others)), text)
