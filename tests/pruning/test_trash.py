"""The trash of parts: everything comes back as it was, and a kill at any operation loses nothing."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.pruning.trash import Item, bring_back, finish, held, is_unsettled, read_batches, throw, written
from orchestrator.store.errors import StoreError
from orchestrator.store.layout import TrashPaths
from tests.pruning.shelf import HOSTILE, Killed, kill_at, tree

PLACES = ["run 1/attempt-1", "run 1/attempt-2/checkpoint/old.pt", "loose"]


@pytest.fixture
def paths(tmp_path: Path) -> TrashPaths:
    root = tmp_path / "it's a root"
    for place in (root / "run 1/attempt-1/log.txt", root / "run 1/attempt-1/checkpoint/a.pt", *(root / place for place in PLACES[1:])):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(os.fsencode(place.name) * 3)
    (root / "run 1/attempt-1/link").symlink_to("../../..")
    return TrashPaths(root, root / "trash" / "parts")


def items(*places: str) -> list[Item]:
    return [Item(path=written(PurePosixPath(place)), kind="part", why="not wanted", bytes=3) for place in places]


def test_what_is_thrown_away_comes_back_as_it_was(paths: TrashPaths) -> None:
    before = tree(paths.root)
    moved, refused = throw(paths, items(*PLACES), by="ada", at=5.0)
    assert ([item.path for item in moved], refused) == (PLACES, [])
    assert not any((paths.root / place).exists() for place in PLACES)
    [batch] = read_batches(paths).values()
    assert (batch.at, batch.by, [item.why for item in batch.items]) == (5.0, "ada", ["not wanted"] * 3)
    back, refused = bring_back(paths, [item for _, _, item in held(paths)])
    assert (len(back), refused) == (3, [])
    assert tree(paths.root) == before
    assert not paths.dir.exists() or os.listdir(paths.dir) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_odd_names_go_and_come_back(paths: TrashPaths, name: str) -> None:
    place = paths.root / "run 1" / name
    place.mkdir()
    (place / name).write_bytes(b"x")
    before = tree(paths.root)
    assert throw(paths, items(f"run 1/{name}"), by="", at=1.0)[1] == []
    assert not place.exists()
    assert bring_back(paths, [item for _, _, item in held(paths)])[1] == []
    assert tree(paths.root) == before


def content(paths: TrashPaths) -> dict[str, bytes]:
    """Return what there is of the things themselves, wherever it lies: in the trash under the path it came from."""
    found: dict[str, bytes] = {}
    for path, text in tree(paths.root).items():
        inner = path.partition("/files/")[2] or path
        if not path.endswith("index.json") and "/.index.json" not in path:
            assert inner not in found, f"{inner} is there twice"
            found[inner] = text
    return found


def test_kill_at_any_operation_of_a_move_loses_nothing_and_the_next_one_finishes_it(
    paths: TrashPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, kills = content(paths), 0
    while True:
        with monkeypatch.context() as patch:
            kill_at(patch, kills)
            try:
                throw(paths, items(*PLACES), by="", at=1.0)
            except Killed:
                died = True
            else:
                died = False
        assert content(paths) == before
        if not died:
            break
        finish(paths, set(PLACES))
        assert not is_unsettled(paths)
        in_trash = {item.path for _, _, item in held(paths)}
        assert in_trash == {place for place in PLACES if not (paths.root / place).exists()}
        assert in_trash in (set(), set(PLACES))
        bring_back(paths, [item for _, _, item in held(paths)])
        assert content(paths) == before
        kills += 1
    assert kills >= 8


def test_kill_at_any_operation_of_a_return_loses_nothing_and_the_next_one_finishes_it(
    paths: TrashPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, kills, died = content(paths), 0, True
    while died:
        throw(paths, items(*PLACES), by="", at=1.0)
        with monkeypatch.context() as patch:
            kill_at(patch, kills)
            try:
                bring_back(paths, [item for _, _, item in held(paths)])
                died = False
            except Killed:
                died = True
        assert content(paths) == before
        if died and is_unsettled(paths):
            finish(paths, set(PLACES))
            assert all((paths.root / place).exists() for place in PLACES)  # what was on its way back is not moved away again
        bring_back(paths, [item for _, _, item in held(paths)])
        kills += 1
    assert kills >= 8


def test_what_waits_since_a_kill_stays_when_it_is_wanted_again(paths: TrashPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, 6)
        with pytest.raises(Killed):
            throw(paths, items(*PLACES), by="", at=1.0)
    waiting = [place for place in PLACES if (paths.root / place).exists()]
    assert waiting
    finish(paths, set(PLACES) - set(waiting))
    assert all((paths.root / place).exists() for place in waiting)
    assert not is_unsettled(paths)


@pytest.mark.parametrize("target", ["elsewhere", ".", "nowhere"])
@pytest.mark.parametrize("link", ["trash", "trash/parts"])
def test_trash_that_is_a_link_is_not_used(paths: TrashPaths, link: str, target: str) -> None:
    (paths.root.parent / "elsewhere").mkdir()
    (paths.root / link).parent.mkdir(exist_ok=True)
    (paths.root / link).symlink_to(paths.root.parent / target)
    before = tree(paths.root.parent)
    with pytest.raises(StoreError, match="symbolic link"):
        throw(paths, items(*PLACES), by="", at=1.0)
    assert tree(paths.root.parent) == before


def test_links_among_the_things_are_left_and_told_and_the_rest_moves(paths: TrashPaths) -> None:
    (paths.root / "alias").symlink_to("loose")
    (paths.root / "way out").symlink_to("..")
    moved, refused = throw(paths, items("alias", "way out/x", "loose"), by="", at=1.0)
    assert [item.path for item in moved] == ["loose"]
    assert [("symbolic link" in told) for told in refused] == [True, True]
    assert (paths.root / "alias").is_symlink()


def test_newer_batch_comes_back_first_and_a_part_without_its_folder_stays(paths: TrashPaths) -> None:
    before = tree(paths.root)
    throw(paths, items("run 1/attempt-1/checkpoint/a.pt"), by="", at=1.0)
    throw(paths, items("run 1/attempt-1"), by="", at=2.0)
    [part] = [item for _, batch, item in held(paths) if batch.at == 1.0]
    back, [told] = bring_back(paths, [part])
    assert back == [] and "is not there" in told
    assert bring_back(paths, [item for _, _, item in held(paths)])[1] == []
    assert tree(paths.root) == before


def test_nothing_that_is_in_the_way_is_replaced_by_a_return(paths: TrashPaths) -> None:
    throw(paths, items("loose"), by="", at=1.0)
    (paths.root / "loose").write_text("newer")
    back, [told] = bring_back(paths, [item for _, _, item in held(paths)])
    assert back == [] and "exists already" in told
    assert (paths.root / "loose").read_text() == "newer"
    assert len(list(held(paths))) == 1


def test_batch_that_is_a_link_is_no_batch(paths: TrashPaths) -> None:
    throw(paths, items("loose"), by="", at=1.0)
    [name] = read_batches(paths)
    outside = (paths.dir / name).rename(paths.root.parent / "outside")
    (paths.dir / name).symlink_to(outside)
    before = tree(outside)
    assert list(held(paths)) == [] and not is_unsettled(paths)
    assert tree(outside) == before


def test_index_that_leads_out_of_the_root_moves_nothing(paths: TrashPaths) -> None:
    (paths.root.parent / "precious").touch()
    _, [told] = throw(paths, items("../precious"), by="", at=1.0)
    assert "leads out" in told
    assert (paths.root.parent / "precious").exists()
