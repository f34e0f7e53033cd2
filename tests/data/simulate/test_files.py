"""Data sets of all kinds on disk: disjoint splits, equal bytes, kept when complete, never half a file."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import combinations

import h5py
import pytest

from data import whole_files
from data.errors import BadInput
from data.simulate.files import PlannedData, PlannedFile, content_hash, write_files
from tests.data.simulate.small_sets import ONE, SMALL, make, plan, slice_hashes, split_of

KINDS = list(SMALL)


def files(out):
    return sorted(path for path in out.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_no_slice_is_in_two_splits_and_another_seed_gives_none_of_them(kind, tmp_path):
    hashes = defaultdict(set)
    for seed in (1, 2):
        out = tmp_path / f"seed {seed}"
        for file in make(kind, out, spec=replace(SMALL[kind][1], seed=seed)):
            found = slice_hashes(file.path)
            assert len(set(found)) == len(found)
            hashes[seed, split_of(file.path, out)].update(found)
    assert len(hashes) == 6
    for (_, ours), (_, theirs) in combinations(hashes.items(), 2):
        assert ours
        assert not ours & theirs


@pytest.mark.parametrize("kind", KINDS)
def test_equal_options_give_equal_bytes_elsewhere(kind, tmp_path):
    first, second = tmp_path / "it's one", tmp_path / "two"
    make(kind, first)
    make(kind, second)
    assert [path.relative_to(first) for path in files(first)] == [path.relative_to(second) for path in files(second)]
    assert [path.read_bytes() for path in files(first)] == [path.read_bytes() for path in files(second)]


def test_several_files_at_a_time_have_the_same_bytes(tmp_path, monkeypatch):
    """All kinds at once: starting processes is what takes the time."""
    planned = [plan(kind, tmp_path / "it's many" / kind) for kind in KINDS]
    together = PlannedData(
        folders=tuple(folder for one in planned for folder in one.folders), files=tuple(f for one in planned for f in one.files)
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = list(write_files(together, workers=2))
    assert sorted(file.path for file in made) == sorted(file.path for file in together.files)
    for kind in KINDS:
        make(kind, tmp_path / "one" / kind)
    many, one = files(tmp_path / "it's many"), files(tmp_path / "one")
    assert [path.read_bytes() for path in many] == [path.read_bytes() for path in one]


@pytest.mark.parametrize("kind", KINDS)
def test_second_call_keeps_every_file_and_a_damaged_one_is_made_again(kind, tmp_path):
    made = make(kind, tmp_path)
    assert not any(file.kept for file in made)
    content = made[1].path.read_bytes()
    made[1].path.write_bytes(content[: len(content) // 2])
    assert [file.kept for file in make(kind, tmp_path)] == [number != 1 for number in range(len(made))]
    assert made[1].path.read_bytes() == content
    assert all(file.kept for file in make(kind, tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_data_of_other_options_are_refused_and_left_alone(kind, tmp_path):
    make(kind, tmp_path)
    before = {path: path.read_bytes() for path in files(tmp_path)}
    with pytest.raises(BadInput, match=r"was made otherwise \(seed 1, asked 9\)"):
        make(kind, tmp_path, spec=replace(SMALL[kind][1], seed=9))
    assert before == {path: path.read_bytes() for path in files(tmp_path)}


@pytest.mark.parametrize("kind", ["brain", "knee", "sites", "paired", "digits"])
def test_more_files_change_no_old_one_and_fewer_are_refused(kind, tmp_path):
    old = {file.path for file in make(kind, tmp_path)}
    grouped = "train" not in SMALL[kind][0]
    more = {name: {**ONE, "val": 2} for name in SMALL[kind][0]} if grouped else {**ONE, "val": 2}
    assert {file.path for file in make(kind, tmp_path, more) if file.kept} == old
    with pytest.raises(BadInput, match=r"_0001.h5: was not asked for"):
        make(kind, tmp_path)


@pytest.mark.parametrize("kind", ["mask_brain", "digit arrays"])
def test_arrays_with_another_number_of_volumes_are_refused(kind, tmp_path):
    make(kind, tmp_path)
    with pytest.raises(BadInput, match=r"train.npy: was made otherwise \(train 2, asked 3"):
        make(kind, tmp_path, {**ONE, "train": 3})
    assert [file.path.name for file in make(kind, tmp_path / "few", {**ONE, "val": 0})] == ["train.npy", "test.npy"]


@pytest.mark.parametrize("spoilt", ["train_target.npy", "train.json"])
def test_arrays_are_made_again_where_what_belongs_to_them_is_damaged(spoilt, tmp_path):
    make("mask_brain", tmp_path)
    path = tmp_path / spoilt
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    assert [file.kept for file in make("mask_brain", tmp_path)] == [False, True, True]
    assert path.read_bytes() == content


def test_array_of_another_origin_is_refused(tmp_path):
    make("mask_brain", tmp_path)
    (tmp_path / "test.json").write_text('{"volumes": []}')
    with pytest.raises(BadInput, match=r"test.npy: was made otherwise \(not by this command\)"):
        make("mask_brain", tmp_path)


def test_cine_file_with_another_number_of_series_is_refused(tmp_path):
    make("cine", tmp_path)
    with pytest.raises(BadInput, match=r"train.h5: was made otherwise \(series 2, asked 3\)"):
        make("cine", tmp_path, {**ONE, "train": 3})
    assert [file.path.name for file in make("cine", tmp_path / "few", {**ONE, "val": 0})] == ["train.h5", "test.h5"]


def test_one_flipped_pixel_is_noticed(tmp_path):
    path = make("knee", tmp_path)[0].path
    with h5py.File(path, "r+") as file:
        file["esp_maps"][1, 0, 3, 3] += 1e-3
    assert [file.path for file in make("knee", tmp_path) if not file.kept] == [path]


def test_foreign_file_is_refused_with_its_name(tmp_path):
    planned = plan("sites", tmp_path)
    planned.files[0].path.parent.mkdir(parents=True)
    with h5py.File(planned.files[0].path, "w") as file:
        file["kspace"] = [1.0]
    with pytest.raises(BadInput, match=r"B_T1_train_0000.h5: was made otherwise \(not by this command\)"):
        list(write_files(planned))


def test_breaking_off_leaves_only_whole_files(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_files, "sync", lambda path: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        make("cine", tmp_path)
    assert files(tmp_path) == []
    monkeypatch.undo()
    assert len(make("cine", tmp_path)) == 3


def test_breaking_off_within_a_file_leaves_nothing_of_it(tmp_path):
    def fill(file: h5py.File) -> None:
        file["kspace"] = [1.0]
        raise RuntimeError("the power went")

    planned = PlannedFile(path=tmp_path / "a.h5", data={}, place={}, fill=fill)
    with pytest.raises(RuntimeError, match="power"):
        list(write_files(PlannedData(folders=(tmp_path,), files=(planned,))))
    assert files(tmp_path) == []


def test_content_hash_covers_names_in_order_shapes_kinds_and_values(tmp_path):
    hashes = set()
    contents = [{"a": [1.0, 2.0]}, {"a": [1.0, 3.0]}, {"a": [[1.0], [2.0]]}, {"a": [1, 2]}, {"a": [1.0], "b": [2.0]}]
    for number, content in enumerate(contents):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for key, values in content.items():
                file[key] = values
            hashes.add(content_hash(file))
    assert len(hashes) == len(contents)
