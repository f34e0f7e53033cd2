"""Copies on the node's own disk: made once, whole, renewed with their source, and never in the way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Thread

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.volumes import cache as module
from data.volumes.cache import cache_folder, cached
from data.volumes.reading import SliceReader
from tests.data.volumes.written import draw_site, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "it's far" / "a.h5", **draw_site(1))


def test_copy_is_made_once_and_read_instead_of_the_source(path, tmp_path):
    folder = tmp_path / "near"
    expected = draw_site(1)["kspace"][1]
    np.testing.assert_array_equal(SliceReader(folder).read(path, "kspace", 1), expected)
    (copy,) = folder.glob("*.h5")
    with h5py.File(copy, "a") as file:
        file["kspace"][1] = 7
    assert (SliceReader(folder).read(path, "kspace", 1) == 7).all()
    assert list(folder.glob("*.h5")) == [copy]


def test_source_that_was_made_again_gets_a_copy_of_its_own(path, tmp_path):
    first = cached(path, tmp_path / "near")
    write(path, **draw_site(2))
    os.utime(path, ns=(1, 1))
    assert cached(path, tmp_path / "near") != first
    np.testing.assert_array_equal(SliceReader(tmp_path / "near").read(path, "kspace", 0), draw_site(2)["kspace"][0])


def test_files_of_one_name_in_two_folders_are_told_apart(path, tmp_path):
    other = write(tmp_path / "other" / path.name, **draw_site(2))
    shutil.copystat(path, other)
    assert cached(path, tmp_path / "near") != cached(other, tmp_path / "near")


def test_who_asks_while_another_copies_waits_for_that_copy(path, tmp_path, monkeypatch):
    copies, targets = [], []
    copyfile = shutil.copyfile
    other = Thread(target=lambda: targets.append(cached(path, tmp_path / "near")))

    def copy_and_let_another_ask(source: Path, target: Path) -> None:
        copies.append(target)
        if len(copies) == 1:
            other.start()
            other.join(0.3)
            assert other.is_alive()
        copyfile(source, target)

    monkeypatch.setattr(module.shutil, "copyfile", copy_and_let_another_ask)
    targets.append(cached(path, tmp_path / "near"))
    other.join()
    assert (len(copies), len(set(targets)), len(targets)) == (1, 1, 2)


def test_disk_that_refuses_is_told_and_the_source_is_read(path, tmp_path, monkeypatch, caplog):
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfile", full)
    assert cached(path, tmp_path / "near") == path
    assert "No space left on device" in caplog.text
    assert not [file for file in (tmp_path / "near").iterdir() if not file.name.endswith(".lock")]


def test_variables_of_the_node_are_replaced_or_refused(monkeypatch):
    monkeypatch.setenv("NEAR", "/scratch/a b")
    assert cache_folder("$NEAR/x") == Path("/scratch/a b/x")
    assert cache_folder("") is None
    with pytest.raises(BadInput, match=r"data.cache is '\$NOWHERE/x'; on this node no such variable is set"):
        cache_folder("$NOWHERE/x")


def test_missing_source_is_told_as_without_a_cache(tmp_path):
    with pytest.raises(BadInput, match="there is no such file"):
        SliceReader(tmp_path / "near").read(tmp_path / "none.h5", "kspace", 0)
