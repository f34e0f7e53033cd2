"""The trash of single files and folders: moved there in batches, each with an index that says what came from where, and back.

The index is written before anything moves. What it names and what lies in the trash may differ after a kill; an entry then
still waits, or was already brought back, and `finish` settles that.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote_to_bytes

import msgspec

from orchestrator.store.errors import StoreError
from orchestrator.store.files import move_below, opened_below, read_json, remove_below, remove_empty_below, write_atomic
from orchestrator.store.layout import TrashPaths

_BATCH = re.compile(r"\d{13,}-[0-9a-f]{8}\Z")
_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""Characters that a path keeps in the index, beside letters and digits."""


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file or folder that is moved to the trash."""

    path: str
    """Where it came from, relative to the root of the trash; bytes that are no printable ASCII are written as %XX."""
    kind: str
    why: str
    run: str = ""
    bytes: int = 0

    @property
    def place(self) -> PurePosixPath:
        """The path as the filesystem knows it."""
        return PurePosixPath(os.fsdecode(unquote_to_bytes(self.path)))


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """index.json: what one prune moved."""

    at: float
    by: str = ""
    items: tuple[Item, ...] = ()
    back: frozenset[str] = frozenset()
    """Paths that are being brought back."""


def written(path: PurePosixPath | Path) -> str:
    """Return a relative path as an index holds it."""
    return quote(os.fsencode(str(path)), safe=_PLAIN)


def read_batches(paths: TrashPaths) -> dict[str, Batch]:
    """Return name → batch, newest first; a link, and a folder without a whole index, hold nothing that anybody moved."""
    try:
        with opened_below(paths.root, _inner(paths, paths.dir)) as folder:
            names = sorted((name for name in os.listdir(folder) if _BATCH.match(name)), reverse=True)
    except FileNotFoundError:
        return {}
    batches = {name: read_json(paths.index(name), Batch) for name in names if not (paths.dir / name).is_symlink()}
    return {name: batch for name, batch in batches.items() if batch is not None}


def throw(paths: TrashPaths, items: Iterable[Item], *, by: str, at: float) -> tuple[list[Item], list[str]]:
    """Move things to the trash, as one batch; returns what was moved, and a sentence for each thing that was left."""
    batch = Batch(at=at, by=by, items=tuple(items))
    if not batch.items:
        return [], []
    name = f"{at * 1000:013.0f}-{uuid.uuid4().hex[:8]}"
    with opened_below(paths.root, _inner(paths, paths.dir / name), make=True):
        _write(paths, name, batch)
    refused = [told for item in batch.items if (told := _move_out(paths, name, item))]
    kept = _settle(paths, name, batch)
    return [item for item in batch.items if item.path in kept], refused


def is_unsettled(paths: TrashPaths) -> bool:
    """Say whether an earlier move was cut off: an index names what is not in the trash, or what is on its way back."""
    return any(batch.back or not all(is_in(paths, name, item) for item in batch.items) for name, batch in read_batches(paths).items())


def finish(paths: TrashPaths, wanted: Collection[str]) -> list[str]:
    """Finish what was cut off: bring back what was on its way back, and move what waits if it is still among the `wanted` paths."""
    refused: list[str] = []
    for name, batch in read_batches(paths).items():
        waiting = [item for item in batch.items if not is_in(paths, name, item)]
        on_the_way = [item for item in batch.items if item.path in batch.back and item not in waiting]
        if not waiting and not batch.back:
            continue
        refused += [told for item in on_the_way if (told := _move_back(paths, name, item))]
        still = [item for item in waiting if item.path in wanted and item.path not in batch.back]
        refused += [told for item in still if os.path.lexists(paths.root / item.place) and (told := _move_out(paths, name, item))]
        _settle(paths, name, msgspec.structs.replace(batch, back=frozenset()))
    return refused


def bring_back(paths: TrashPaths, wanted: Collection[Item]) -> tuple[list[Item], list[str]]:
    """Move things back to where they came from, the newest batch first; returns what came back, and a sentence for each that did not."""
    back: list[Item] = []
    refused: list[str] = []
    asked = frozenset(wanted)
    for name, batch in read_batches(paths).items():
        chosen = [item for item in batch.items if item in asked and is_in(paths, name, item)]
        if not chosen:
            continue
        _write(paths, name, msgspec.structs.replace(batch, back=frozenset(item.path for item in chosen)))
        told = {item: _move_back(paths, name, item) for item in chosen}
        refused += filter(None, told.values())
        back += [item for item in chosen if not told[item]]
        _settle(paths, name, batch)
    return back, refused


def held(paths: TrashPaths) -> Iterator[tuple[str, Batch, Item]]:
    """Yield what lies in the trash now: the name of its batch, the batch, and the item."""
    for name, batch in read_batches(paths).items():
        yield from ((name, batch, item) for item in batch.items if is_in(paths, name, item))


def is_in(paths: TrashPaths, batch: str, item: Item) -> bool:
    """Say whether an item of a batch lies in the trash."""
    return os.path.lexists(paths.root / _target(paths, batch, item))


def _target(paths: TrashPaths, batch: str, item: Item) -> PurePosixPath:
    """Return where a batch keeps an item. An event file gets a name under which TensorBoard does not show it."""
    place = item.place
    return _inner(paths, paths.files(batch)) / place.with_name(place.name.replace("tfevents", "tf-events"))


def _inner(paths: TrashPaths, path: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(paths.root))


def _move_out(paths: TrashPaths, batch: str, item: Item) -> str:
    return _move(paths, item.place, _target(paths, batch, item), make=True)


def _move_back(paths: TrashPaths, batch: str, item: Item) -> str:
    return _move(paths, _target(paths, batch, item), item.place, make=False)


def _move(paths: TrashPaths, source: PurePosixPath, target: PurePosixPath, *, make: bool) -> str:
    """Move one thing; returns why it stays where it is, empty when it moved."""
    try:
        move_below(paths.root, source, target, make=make)
    except StoreError as error:
        return str(error)
    except FileNotFoundError:
        missing = paths.root / (source if not os.path.lexists(paths.root / source) else target.parent)
        return f"{paths.root / source}: stays, as {missing} is not there."
    except OSError as error:
        return f"{paths.root / source}: stays where it is ({error.strerror}). Repeat this later."
    return ""


def _settle(paths: TrashPaths, name: str, batch: Batch) -> set[str]:
    """Write down what a batch holds now, and remove it when that is nothing; returns the paths that it holds."""
    kept = tuple(item for item in batch.items if is_in(paths, name, item))
    if kept:
        _write(paths, name, msgspec.structs.replace(batch, items=kept))
    else:
        remove_empty_below(paths.root, _inner(paths, paths.files(name)))
        remove_below(paths.root, _inner(paths, paths.index(name)))
        remove_empty_below(paths.root, _inner(paths, paths.dir / name))
    return {item.path for item in kept}


def _write(paths: TrashPaths, name: str, batch: Batch) -> None:
    write_atomic(paths.index(name), msgspec.json.encode(batch))
