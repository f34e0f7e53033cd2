"""The frozen description of one run, and the append-only file that holds all of a grid."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.store.files import read_lines


class Need(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A result of another run that this one starts from, as found when the id was made."""

    grid: str
    run: str
    sha256: str
    """Hash of the checkpoint."""
    path: str
    """The checkpoint, relative to the runs folder."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run: everything that decides what it computes. One line of manifest.jsonl."""

    id: str
    """16 hex digits of the hash of entry + config (grid/identity.py)."""
    version: int
    """The applied grid file, grid-<version>.yaml, that first asked for the run."""
    entry: str = ""
    """module:function, or empty for a command."""
    command: tuple[str, ...] = ()
    """argv of a command, placeholders filled in."""
    config: dict[str, Any]
    """Complete: every default of the schema is written out."""
    varying: dict[str, Any] = {}
    """Dotted key → value, for the keys that vary in the grid: the label and the columns of tables."""
    resources: Resources = Resources()
    prepare: str = ""
    """Hash of the prepare command the run waits for."""
    needs: dict[str, Need] = {}
    nonfinite: tuple[tuple[str | int, ...], ...] = ()
    """Where config and varying hold NaN or an infinity, which JSON cannot: ("inf", "config", "train", "clip")."""

    def __post_init__(self) -> None:
        for word, section, *path in self.nonfinite:
            inner: Any = getattr(self, str(section))
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = float(word)

    @property
    def label(self) -> str:
        """The varying keys as text, for people; never part of a path. Of a key its last word, where that tells it apart."""
        words = zip(_last_words(tuple(self.varying)), self.varying.values(), strict=True)
        return " ".join(f"{word}={value}" for word, value in words) or self.id


@cache
def _last_words(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return of each key its last word, or all of it where another key ends alike. All runs of a grid ask for the same few."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    return tuple(word if last[word := key.rpartition(".")[2]] == 1 else key for key in keys)


decode_manifest = msgspec.json.Decoder(Manifest).decode


def content(manifest: Manifest) -> bytes:
    """Return what a run computes as text, the results that it starts from left aside."""
    return msgspec.json.encode((manifest.entry, manifest.command, manifest.config), order="sorted")


def read_manifests(path: Path) -> dict[str, Manifest]:
    """Read manifest.jsonl, id → manifest, in the order of the file; the last line of an id holds. A torn tail is passed over."""
    return {manifest.id: manifest for manifest in read_lines(path, decode_manifest)}
