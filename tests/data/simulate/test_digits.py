"""Digits: drawn like MNIST's, or taken from its files, which are packed here byte by byte."""

from __future__ import annotations

import gzip
import json
import struct

import h5py
import numpy as np
import pytest
import torch

from data.errors import BadInput
from data.kspace.fourier import ifftc
from data.simulate.glyphs import STROKES, draw_digit
from data.simulate.idx import read_idx
from data.simulate.options import DigitSpec
from tests.data.simulate.small_sets import make

SPEC = DigitSpec(slices=10)


def write_mnist(folder, *, train=30, test=10, packed=False):
    """Write the four files; each image tells its place by its first pixels."""
    folder.mkdir(exist_ok=True)
    for name, count, first in (("train", train, 0), ("t10k", test, 100)):
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        images[:, 0, 0] = first + np.arange(count)
        images[:, 14, 14] = 255
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
            path = folder / f"{name}-{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(head + values.tobytes()) if packed else head + values.tobytes())
    return folder


def arrays(path):
    with h5py.File(path) as file:
        return {key: file[key][()] for key in file}


def test_files_have_the_layout_of_single_coil_fastmri_and_labels(tmp_path):
    first, *_ = make("digits", tmp_path, spec=SPEC)
    found = arrays(first.path)
    assert (found["kspace"].shape, found["kspace"].dtype) == ((10, 28, 28), np.complex64)
    assert (found["reconstruction_esc"].shape, found["reconstruction_esc"].dtype) == ((10, 28, 28), np.float32)
    assert sorted(found["labels"]) == list(range(10))
    image = ifftc(torch.from_numpy(found["kspace"]))
    np.testing.assert_allclose(image.real, found["reconstruction_esc"], atol=1e-5)
    np.testing.assert_allclose(image.imag, 0, atol=1e-5)


@pytest.mark.parametrize("digit", STROKES)
def test_digits_lie_as_those_of_mnist_do(digit):
    rng = np.random.default_rng(digit)
    for _ in range(20):
        image = draw_digit(digit, rng)
        ink = image / image.sum()
        rows, columns = np.indices((28, 28))
        assert abs((rows * ink).sum() - 13.5) <= 0.51
        assert abs((columns * ink).sum() - 13.5) <= 0.51
        assert image.max() == 255
        assert 0.04 < (image > 127).mean() < 0.35
        tall, wide = (np.flatnonzero(image.max(axis=axis) > 127) for axis in (1, 0))
        assert 14 <= max(np.ptp(tall), np.ptp(wide)) + 1 <= 24


def test_digits_of_one_kind_are_more_alike_than_others():
    rng = np.random.default_rng(0)
    drawn = {digit: [draw_digit(digit, rng) / 255 for _ in range(30)] for digit in STROKES}
    means = {digit: np.mean(images[:20], axis=0) for digit, images in drawn.items()}
    rest = [(digit, image) for digit, images in drawn.items() for image in images[20:]]
    nearest = [min(means, key=lambda other: np.linalg.norm(image - means[other])) for _, image in rest]
    assert np.mean([digit == found for (digit, _), found in zip(rest, nearest, strict=True)]) > 0.8


@pytest.mark.parametrize("packed", [False, True])
def test_mnists_digits_go_to_train_then_to_val_and_its_test_set_to_test(tmp_path, packed):
    source = write_mnist(tmp_path / "it's mnist", packed=packed)
    written = make("digits", tmp_path / "out", {"train": 2, "val": 1, "test": 1}, DigitSpec(slices=10, mnist=str(source)))
    places = {file.path.stem: (arrays(file.path)["reconstruction_esc"][:, 0, 0] * 255).round().astype(int).tolist() for file in written}
    assert places == {
        "digits_train_0000": list(range(10)),
        "digits_train_0001": list(range(10, 20)),
        "digits_val_0000": list(range(20, 30)),
        "digits_test_0000": list(range(100, 110)),
    }
    assert arrays(written[0].path)["labels"].tolist() == list(range(10))


def test_digits_written_as_mnists_files_are_read_back_as_the_same(tmp_path):
    counts = {"train": 2, "val": 1, "test": 1}
    names = [file.path.name for file in make("digits", tmp_path / "idx", counts, DigitSpec(slices=7, format="idx"))]
    assert names == ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    assert (tmp_path / "idx" / names[0]).read_bytes()[:16] == bytes((0, 0, 8, 3)) + struct.pack(">3I", 21, 28, 28)
    drawn = make("digits", tmp_path / "drawn", counts, DigitSpec(slices=7))
    read = make("digits", tmp_path / "read", counts, DigitSpec(slices=7, mnist=str(tmp_path / "idx")))
    for ours, theirs in zip(drawn, read, strict=True):
        first, second = arrays(ours.path), arrays(theirs.path)
        assert all((first[key] == second[key]).all() for key in ("kspace", "reconstruction_esc", "labels"))


def test_mnists_files_are_kept_when_they_are_the_same_and_never_overwritten(tmp_path):
    counts, spec = {"train": 1, "val": 0, "test": 1}, DigitSpec(slices=5, format="idx")
    assert not any(file.kept for file in make("digits", tmp_path, counts, spec))
    assert all(file.kept for file in make("digits", tmp_path, counts, spec))
    before = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    with pytest.raises(BadInput, match=r"train-images-idx3-ubyte: is there already, and has other content"):
        make("digits", tmp_path, counts, DigitSpec(slices=5, format="idx", seed=2))
    assert (tmp_path / "train-images-idx3-ubyte").read_bytes() == before


@pytest.mark.parametrize("taken", [False, True])
def test_arrays_hold_the_same_digits_scaled_by_the_largest_part_of_training(tmp_path, taken):
    counts = {"train": 2, "val": 1, "test": 1}
    mnist = str(write_mnist(tmp_path / "mnist")) if taken else ""
    stored = make("digits", tmp_path / "files", counts, DigitSpec(slices=10, mnist=mnist))
    make("digits", tmp_path / "arrays", counts, DigitSpec(slices=10, mnist=mnist, format="arrays"))
    expected = {split: [arrays(file.path)["kspace"] for file in stored if split in file.path.name] for split in counts}
    scale = np.abs(np.concatenate(expected["train"]).view(np.float32)).max()
    for split, volumes in expected.items():
        kspace = np.load(tmp_path / "arrays" / f"{split}.npy")
        np.testing.assert_allclose(kspace, np.concatenate(volumes)[:, None] / scale, rtol=1e-6)
    listed = json.loads((tmp_path / "arrays" / "train.json").read_text())["volumes"]
    assert [(volume["name"], volume["slices"]) for volume in listed] == [("digits_train_0000", 10), ("digits_train_0001", 10)]
    assert listed[0]["maximum"] == pytest.approx(1 / scale, rel=1e-5)


def test_unknown_format_is_refused_and_mnists_is_not_written_again():
    with pytest.raises(BadInput, match=r"--format is png; it must be fastmri, arrays or idx"):
        DigitSpec(format="png")
    with pytest.raises(BadInput, match=r"--format is idx; it must be fastmri or arrays, as MNIST's files are idx already"):
        DigitSpec(format="idx", mnist="mnist")


def test_too_few_digits_are_told_with_both_numbers(tmp_path):
    source = write_mnist(tmp_path / "mnist")
    with pytest.raises(BadInput, match=r"train-images-idx3-ubyte: 40 digits were asked up to val, the file has 30. Lower --val"):
        make("digits", tmp_path / "out", {"train": 2, "val": 2, "test": 1}, DigitSpec(slices=10, mnist=str(source)))
    with pytest.raises(BadInput, match=r"holds neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz"):
        make("digits", tmp_path / "out", spec=DigitSpec(mnist=str(tmp_path)))


def test_other_mnist_files_are_not_taken_for_the_same(tmp_path):
    source, counts = write_mnist(tmp_path / "mnist"), {"train": 1, "val": 1, "test": 1}
    make("digits", tmp_path / "out", counts, DigitSpec(slices=10, mnist=str(source)))
    write_mnist(source, train=31)
    with pytest.raises(BadInput, match="was made otherwise"):
        make("digits", tmp_path / "out", counts, DigitSpec(slices=10, mnist=str(source)))


@pytest.mark.parametrize(("code", "dtype"), [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_every_kind_of_value_is_read(tmp_path, code, dtype):
    values = np.array([[0, 1, 2], [100, 7, -1 if dtype != ">u1" else 9]], dtype=dtype)
    path = tmp_path / "values"
    path.write_bytes(bytes((0, 0, code, 2)) + struct.pack(">2I", 2, 3) + values.tobytes())
    found = read_idx(path)
    np.testing.assert_array_equal(found, values)
    assert found.dtype.isnative


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is no IDX file: it begins with "),
        (b"PK\x03\x04", r"begins with 50 4b 03 04, not with 00 00 08"),
        (bytes((0, 0, 8, 3, 0, 0)), r"is cut off in its head of 16 bytes"),
        (bytes((0, 0, 8, 1, 0, 0, 0, 5)) + b"abcd", r"expected 5 bytes for \(5,\), got 4"),
        (bytes((0, 0, 8, 1, 0, 0, 0, 3)) + b"abcd", r"expected 3 bytes for \(3,\), got 4"),
    ],
)
def test_what_is_no_whole_idx_file_is_refused_with_its_name(tmp_path, content, message):
    path = tmp_path / "a file"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=f"a file: .*{message}|a file: {message}"):
        read_idx(path)
    (tmp_path / "b.gz").write_bytes(gzip.compress(content)[:-3])
    with pytest.raises(BadInput, match=r"b.gz: cannot be unpacked"):
        read_idx(tmp_path / "b.gz")


def test_images_of_another_size_and_labels_of_another_number_are_refused(tmp_path):
    source = write_mnist(tmp_path / "mnist")
    labels = source / "train-labels-idx1-ubyte"
    labels.write_bytes(bytes((0, 0, 8, 1)) + struct.pack(">I", 2) + b"ab")
    with pytest.raises(BadInput, match=r"train-labels-idx1-ubyte: expected \(30,\), a label for each image, got \(2,\)"):
        make("digits", tmp_path / "out", spec=DigitSpec(slices=10, mnist=str(source)))
    images = source / "train-images-idx3-ubyte"
    images.write_bytes(bytes((0, 0, 8, 1)) + struct.pack(">I", 2) + b"ab")
    with pytest.raises(BadInput, match=r"train-images-idx3-ubyte: expected \(digit, 28, 28\) of bytes, got \(2,\)"):
        make("digits", tmp_path / "out", spec=DigitSpec(slices=10, mnist=str(source)))
