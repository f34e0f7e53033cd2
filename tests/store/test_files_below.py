"""Moves and deletions below a folder: no link is followed, nothing outside is touched, what belongs to others stays."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.store import files
from orchestrator.store.errors import StoreError
from orchestrator.store.files import move_below, remove_below, remove_empty_below

ODD = PurePosixPath("a 'b'\n$(c)")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one file in it, beside a folder that is nobody's business."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("precious")
    folder = tmp_path / "root"
    (folder / ODD).mkdir(parents=True)
    (folder / ODD / "file").write_text("content")
    return folder


def test_move_makes_the_folders_of_its_target_and_takes_odd_names(root: Path) -> None:
    move_below(root, ODD / "file", PurePosixPath("trash/x") / ODD / "file")
    assert (root / "trash" / "x" / ODD / "file").read_text() == "content"
    assert not (root / ODD / "file").exists()


def test_move_back_does_not_make_a_folder_that_is_gone(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_below(root, ODD / "file", PurePosixPath("gone/file"), make=False)
    assert (root / ODD / "file").exists()


@pytest.mark.parametrize("target", ["outside", "inside", "nothing"])
def test_move_through_a_link_is_refused_on_both_sides(root: Path, target: str) -> None:
    (root / "inside").mkdir()
    (root / "link").symlink_to(root.parent / target if target == "outside" else root / target)
    with pytest.raises(StoreError, match="symbolic link"):
        move_below(root, ODD / "file", PurePosixPath("link/file"))
    with pytest.raises(StoreError, match="symbolic link"):
        move_below(root, PurePosixPath("link/precious"), PurePosixPath("here"))
    with pytest.raises(StoreError, match="symbolic link"):
        move_below(root, PurePosixPath("link"), PurePosixPath("moved"))
    assert sorted(os.listdir(root.parent / "outside")) == ["precious"]


def test_link_that_comes_between_the_look_and_the_step_is_not_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "link").symlink_to(root.parent / "outside")
    monkeypatch.setattr(files, "refuse_link", lambda path: None)
    with pytest.raises(OSError, match="Not a directory"):
        move_below(root, ODD / "file", PurePosixPath("link/file"))
    assert "Not a directory" in remove_below(root, PurePosixPath("link/precious"))[0]
    assert os.listdir(root.parent / "outside") == ["precious"]


@pytest.mark.parametrize("path", ["../outside/precious", "/etc/passwd", "a/../../outside/precious"])
def test_path_that_leads_out_is_refused(root: Path, path: str) -> None:
    for source, target in ((PurePosixPath(path), PurePosixPath("x")), (ODD / "file", PurePosixPath(path))):
        with pytest.raises(StoreError, match="leads out"):
            move_below(root, source, target)
    with pytest.raises(StoreError, match="leads out"):
        remove_below(root, PurePosixPath(path))
    assert (root.parent / "outside" / "precious").exists()


@pytest.mark.parametrize("kind", ["file", "empty folder", "dangling link"])
def test_move_never_replaces_what_is_there(root: Path, kind: str) -> None:
    target = root / "taken"
    {"file": target.touch, "empty folder": target.mkdir, "dangling link": lambda: target.symlink_to("nowhere")}[kind]()
    with pytest.raises(StoreError, match="exists already"):
        move_below(root, ODD, PurePosixPath("taken"))
    assert (root / ODD / "file").exists()


def test_deletion_removes_links_and_never_what_they_point_to(root: Path) -> None:
    for name, target in (("out", "../../outside"), ("up", ".."), ("gone", "nowhere"), ("file link", "../../outside/precious")):
        (root / ODD / name).symlink_to(target)
    assert remove_below(root, ODD) == []
    assert os.listdir(root) == []
    assert (root.parent / "outside" / "precious").read_text() == "precious"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_deletion_leaves_what_belongs_to_others_and_says_so(root: Path) -> None:
    (root / ODD / "theirs").touch()
    os.chown(root / ODD / "theirs", 12345, -1)
    [told] = remove_below(root, ODD)
    assert "theirs: belongs to user 12345" in told
    assert os.listdir(root / ODD) == ["theirs"]


@pytest.mark.parametrize("operation", ["unlink", "rmdir"])
def test_deletion_goes_on_after_what_the_filesystem_holds_on_to(root: Path, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ODD / ".nfs0001").touch()
    (root / ODD / "sub").mkdir()

    def hold(seen: str, path: Path) -> None:
        if seen == operation and (path.name == ".nfs0001" or (operation == "rmdir" and path.name == "sub")):
            raise OSError(errno.ENOTEMPTY, "Directory not empty")

    monkeypatch.setattr(files, "check_point", hold)
    [told] = remove_below(root, ODD)
    assert "Directory not empty" in told
    assert not (root / ODD / "file").exists()
    monkeypatch.undo()
    assert remove_below(root, ODD) == []
    assert not (root / ODD).exists()


def test_deletion_of_a_very_deep_tree_is_told_and_does_not_fail(root: Path) -> None:
    folder = os.open(root, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    told = remove_below(root, PurePosixPath("d"))
    subprocess.run(["rm", "-rf", root / "d"], check=True)
    assert len(told) >= 1


def test_only_empty_folders_are_removed_as_empty(root: Path) -> None:
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "a" / "kept").mkdir()
    (root / "a" / "kept" / "file").touch()
    remove_empty_below(root, PurePosixPath("a"))
    assert [str(path.relative_to(root)) for path in sorted((root / "a").rglob("*"))] == ["a/kept", "a/kept/file"]
