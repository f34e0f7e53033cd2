"""fastMRI's files to arrays: the same k-space scaled, splits by folder, kept when complete, refused when they differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data.convert.__main__ import main
from data.convert.arrays import convert_arrays
from data.convert.options import ArrayOptions
from data.errors import BadInput
from data.volumes.description import ArrayData
from data.volumes.layouts import open_splits
from tests.data.volumes.written import X, Y, draw_site, to_kspace, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number, split in enumerate(("train", "train", "val", "test")):
        write(tmp_path / "it's source" / split / f"head{number}.h5", **draw_site(number, slices=4))
    return tmp_path / "it's source"


def files(source: Path) -> list[Path]:
    return sorted(source.rglob("*.h5"))


def test_kspace_is_that_of_the_files_divided_by_its_largest_magnitude(source, tmp_path):
    out = tmp_path / "out"
    list(convert_arrays(files(source), out, ArrayOptions(slices=(1, 2))))
    kspace = np.load(out / "train.npy")
    assert kspace.shape == (4, 1, Y, X)
    for place, number in ((slice(0, 2), 0), (slice(2, 4), 1)):
        expected = draw_site(number, slices=4)["kspace"][1:3]
        np.testing.assert_allclose(kspace[place, 0], expected / np.abs(expected).max(), rtol=1e-5)
    splits = open_splits(ArrayData(root=str(out)))
    assert [volume.name for volume in (*splits.train, *splits.val, *splits.test)] == ["head0", "head1", "head2", "head3"]


def test_the_command_keeps_what_is_complete_and_mends_what_is_damaged(source, tmp_path, capsys):
    command = ["arrays", str(source), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    content = (tmp_path / "out" / "val.npy").read_bytes()
    (tmp_path / "out" / "val.npy").write_bytes(content[:-1] + b"?")
    assert main(command) == 0
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "3 files written, 0 kept",
        "1 files written, 2 kept",
    ]
    assert (tmp_path / "out" / "val.npy").read_bytes() == content


def test_arrays_made_otherwise_are_not_overwritten(source, tmp_path):
    out = tmp_path / "out"
    list(convert_arrays(files(source), out, ArrayOptions()))
    with pytest.raises(BadInput, match=r"train.npy: is there already, and was made otherwise: slices None, asked \[0, 1\]"):
        list(convert_arrays(files(source), out, ArrayOptions(slices=(0, 1))))
    (out / "train.json").write_text(json.dumps({"volumes": []}))
    with pytest.raises(BadInput, match=r"train.npy: is there already, and was not made by this command"):
        list(convert_arrays(files(source), out, ArrayOptions()))


def coils(count: int) -> dict[str, np.ndarray]:
    image = draw_site(9, slices=2)["reconstruction_esc"]
    return {"kspace": to_kspace(np.stack([image] * count, axis=1).astype(np.complex64)), "reconstruction_rss": image}


def test_volumes_with_other_coils_are_told_with_both_files(source, tmp_path):
    write(source / "val" / "more.h5", **coils(3))
    with pytest.raises(BadInput, match=r"head0.h5 is \(1, 33, 27\), of .*more.h5 \(3, 33, 27\); all splits need the same coils"):
        list(convert_arrays(files(source), tmp_path / "out", ArrayOptions()))


def test_a_file_in_no_split_is_told(source, tmp_path):
    write(source / "others" / "one.h5", **draw_site(7))
    with pytest.raises(BadInput, match=r"one.h5: lies in none of the folders train, val, test"):
        list(convert_arrays(files(source), tmp_path / "out", ArrayOptions()))


def test_two_files_of_one_name_are_told_before_anything_is_written(source, tmp_path):
    twin = write(source / "another site" / "train" / "head1.h5", **draw_site(8, slices=4))
    with pytest.raises(BadInput, match=rf"{twin} and .*head1.h5 have the same name.*Rename one"):
        list(convert_arrays(files(source), tmp_path / "out", ArrayOptions()))
    assert not (tmp_path / "out").exists()


def test_slices_that_are_not_there_and_kspace_without_signal_are_told(source, tmp_path):
    with pytest.raises(BadInput, match=r"head0.h5: slices 2 to 4 were asked, the volume has 4"):
        list(convert_arrays(files(source), tmp_path / "out", ArrayOptions(slices=(2, 4))))
    empty = np.zeros((2, Y, X))
    write(source / "train" / "dark.h5", {"max": 1.0}, kspace=empty.astype(np.complex64), reconstruction_esc=empty.astype(np.float32))
    with pytest.raises(BadInput, match=r"dark.h5: key 'kspace': its largest magnitude is 0.0"):
        list(convert_arrays(files(source), tmp_path / "out", ArrayOptions()))
    assert not (tmp_path / "out" / "train.npy").exists()
