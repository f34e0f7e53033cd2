"""The command that writes a data set: fastMRI's keys, disjoint splits, kept when complete, never half a file."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.simulate import writing
from data.simulate.__main__ import main
from data.simulate.writing import write_brains
from data.volumes.formats import open_file
from data.volumes.splits import read_splits
from tests.data.small_brains import COUNTS, SPEC, make_brains


def test_file_has_the_keys_and_attributes_of_fastmri(own_brains):
    with h5py.File(own_brains / "val" / "brain_val_0000.h5") as file:
        assert file["kspace"].dtype == np.complex64
        assert file["kspace"].shape == (3, 3, 40, 31)
        assert file["reconstruction_rss"].shape == (3, 33, 31)
        assert file.attrs["max"] == pytest.approx(file["reconstruction_rss"][()].max())
        assert file.attrs["norm"] == pytest.approx(np.linalg.norm(file["reconstruction_rss"][()]))
        assert (file.attrs["acquisition"], file.attrs["patient_id"]) == ("AXT1", "simulated-5-val-0000")
        root = ElementTree.fromstring(file["ismrmrd_header"][()])
    assert root.tag == "{http://www.ismrm.org/ISMRMRD}ismrmrdHeader"


def test_volumes_of_all_splits_differ(brains):
    splits = read_splits(brains)
    volumes = (*splits.train, *splits.val, *splits.test)
    assert len({volume.fingerprint for volume in volumes}) == len({volume.patient_id for volume in volumes}) == 6


def test_second_call_keeps_every_file_and_more_volumes_change_no_old_one(own_brains):
    before = {path: path.stat().st_mtime_ns for path in own_brains.rglob("*.h5")}
    written = list(write_brains(own_brains, {**COUNTS, "train": 4}, SPEC))
    assert [file.path.name for file in written if not file.kept] == ["brain_train_0003.h5"]
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_equal_seeds_give_equal_pixels_elsewhere(brains, tmp_path):
    other = make_brains(tmp_path)
    for path in sorted(brains.rglob("*.h5")):
        with open_file(path) as ours, open_file(other / path.relative_to(brains)) as theirs:
            assert ours.attrs[writing.CONTENT_KEY] == theirs.attrs[writing.CONTENT_KEY]


@pytest.mark.parametrize("damage", ["torn", "flipped", "missing"])
def test_damaged_file_is_made_again(own_brains, damage):
    path = own_brains / "test" / "brain_test_0001.h5"
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes(flipped if damage == "flipped" else content[:1000])
    if damage == "missing":
        path.unlink()
    written = list(write_brains(own_brains, COUNTS, SPEC))
    assert [file.path for file in written if not file.kept] == [path]
    assert read_splits(own_brains).test[1].name == "brain_test_0001"


def test_breaking_off_leaves_only_whole_files(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_sync", lambda path: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        make_brains(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    monkeypatch.undo()
    assert len(list(make_brains(tmp_path).rglob("*.h5"))) == 6


@pytest.mark.parametrize(
    ("counts", "spec", "message"),
    [
        (COUNTS, replace(SPEC, seed=6), r"was made otherwise \(seed 5, asked 6\)"),
        ({**COUNTS, "train": 2}, SPEC, r"brain_train_0002.h5: was not asked for"),
    ],
)
def test_folder_with_other_data_is_refused_and_left_alone(own_brains, counts, spec, message):
    before = {path: path.stat().st_mtime_ns for path in own_brains.rglob("*")}
    with pytest.raises(BadInput, match=message):
        list(write_brains(own_brains, counts, spec))
    assert before == {path: path.stat().st_mtime_ns for path in own_brains.rglob("*")}


def test_command_writes_a_data_set_and_says_so_once(tmp_path, capsys):
    out = tmp_path / "a folder's name"
    arguments = [
        "brain",
        "--out",
        str(out),
        *["--train", "1", "--val", "1", "--test", "1", "--size", "17x16", "--slices", "1", "--coils", "1", "--padding", "0"],
    ]
    assert main(arguments) == 0
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [f"{out}: 3 volumes written, 0 kept", f"{out}: 0 volumes written, 3 kept"]
    assert printed.err == ""  # no progress where nobody watches


@pytest.mark.parametrize("extra", [["--size", "8x8"], ["--coils", "0"]])
def test_command_tells_wrong_input_in_one_line(tmp_path, capsys, extra):
    assert main(["brain", "--out", str(tmp_path / "out"), *extra]) == 2
    assert capsys.readouterr().err.startswith(f"data.simulate: {extra[0]} is ")
    assert not (tmp_path / "out").exists()


def test_command_tells_an_unwritable_folder(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["brain", "--out", str(blocked)]) == 1
    assert "Choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["64", "64x", "-3x4", "axb", "64x64x64"])
def test_malformed_size_is_refused_by_the_parser(size, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["brain", "--out", "x", f"--size={size}"])
    assert caught.value.code == 2
    assert "is not a size; write rows x columns" in capsys.readouterr().err
