"""A runs folder that others could write to is not used: who can write there runs code as the user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.store.errors import StoreError
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import check_usable, take_pen
from orchestrator.store.ownership import TRUST_GROUP, check_owner


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "its 'own' runs"
    folder.mkdir(mode=0o700)
    return folder


def modes(root: Path) -> set[int]:
    return {path.stat().st_mode & 0o077 for path in root.rglob("*")}


def test_what_is_made_is_the_user_s_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        with take_pen(GridPaths(tmp_path / "new" / "runs" / "g")):
            pass
    finally:
        os.umask(before)
    assert modes(tmp_path / "new") == {0}


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o2750])
def test_a_folder_that_others_can_only_read_is_used(runs, mode):
    runs.chmod(mode)
    check_usable(GridPaths(runs / "g"))


@pytest.mark.parametrize(("mode", "way_out"), [(0o777, "chmod go-w"), (0o1777, "chmod go-w"), (0o770, "chmod g-w"), (0o2775, "chmod g-w")])
def test_a_folder_that_others_can_write_to_is_refused_with_the_way_out(runs, mode, way_out):
    runs.chmod(mode)
    with pytest.raises(StoreError, match=way_out) as refused:
        take_pen(GridPaths(runs / "g"))
    assert str(runs) in str(refused.value)
    assert list(runs.iterdir()) == []


def test_a_grid_s_folder_that_was_opened_later_is_refused(runs):
    paths = GridPaths(runs / "g")
    with take_pen(paths):
        pass
    paths.dir.chmod(0o777)
    with pytest.raises(StoreError, match="everybody can write"):
        take_pen(paths)


def test_a_group_may_write_where_the_user_says_so_and_everybody_never(runs, monkeypatch):
    monkeypatch.setenv(TRUST_GROUP, "1")
    runs.chmod(0o770)
    check_owner(runs)
    runs.chmod(0o777)
    with pytest.raises(StoreError, match="everybody"):
        check_owner(runs)


def test_a_folder_of_another_user_is_refused(runs, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(StoreError, match="belongs to user"):
        check_usable(GridPaths(runs / "g"))


@pytest.mark.parametrize("exists", [True, False])
def test_a_parent_that_everybody_can_write_to_is_refused_unless_it_is_sticky(tmp_path, exists):
    parent = tmp_path / "open"
    parent.mkdir()
    runs = parent / "mine" / "runs"
    if exists:
        runs.mkdir(parents=True, mode=0o700)
    parent.chmod(0o1777)  # as /tmp
    check_owner(runs)
    parent.chmod(0o777)
    with pytest.raises(StoreError, match="put another folder in its place"):
        check_owner(runs)


def test_a_parent_is_looked_at_behind_a_link(tmp_path):
    real = tmp_path / "open" / "runs"
    real.mkdir(parents=True, mode=0o700)
    real.parent.chmod(0o777)
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(StoreError, match="put another folder in its place"):
        check_owner(tmp_path / "link")
