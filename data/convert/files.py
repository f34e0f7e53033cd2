"""Converted files on disk: stamped with what they were made of, never another's overwritten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py

from data.errors import BadInput
from data.volumes.formats import member, open_file
from data.whole_files import written_whole

STAMP_KEY = "convert_from"
"""Attribute: JSON of the source and the options that decided the content."""
EDGE_BYTES = 1 << 20
"""Bytes at either end of a source that enter its fingerprint."""


def stamp_of(kind: str, source: Path, options: Mapping[str, object]) -> str:
    """Return what a converted file is made of, as JSON: the converter, the source by size and content, the options."""
    return json.dumps({"kind": kind, "source": source.name, "fingerprint": fingerprint(source), "options": dict(options)}, sort_keys=True)


def fingerprint(path: Path) -> str:
    """Return a hash of the size, the first and the last MiB of a file: another for a file that was cut off or made again."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file. Check the path.")
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(EDGE_BYTES))
        file.seek(max(size - EDGE_BYTES, 0))
        digest.update(file.read(EDGE_BYTES))
    return digest.hexdigest()[:32]


def is_made(target: Path, stamp: str) -> bool:
    """Say whether `target` is there already. Raises BadInput where something else has its name: it was made otherwise."""
    if not target.exists():
        return False
    with open_file(target) as file:
        found = file.attrs.get(STAMP_KEY)
    if found == stamp:
        return True
    raise BadInput(f"{target}: is there already, and {difference(found, stamp)}. Remove it, or choose another --out.")


def difference(found: object, asked: str) -> str:
    """Say in words how two stamps differ."""
    if not isinstance(found, str):
        return "was not made by this command"
    ours, theirs = _flat(asked), _flat(found)
    keys = sorted(key for key in ours | theirs if ours.get(key) != theirs.get(key))
    return "was made otherwise: " + ", ".join(f"{key} {theirs.get(key)}, asked {ours.get(key)}" for key in keys)


def _flat(stamp: str) -> dict[str, object]:
    values = json.loads(stamp)
    return {**{key: value for key, value in values.items() if key != "options"}, **values["options"]}


@contextmanager
def amended(path: Path, *, without: str) -> Iterator[tuple[h5py.File, h5py.File]]:
    """Replace `path` by a copy that lacks the dataset `without`, to which the block may add. Yields (original, copy)."""
    with open_file(path) as original, written_whole(path) as copy:
        for key in original:
            if key != without:
                original.copy(member(original, key), copy, name=key)
        for name, value in original.attrs.items():
            copy.attrs[name] = value
        yield original, copy
