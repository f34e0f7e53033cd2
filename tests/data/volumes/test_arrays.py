"""Memory-mapped arrays: whole batches in one read, volumes and their masks, splits that share nothing, and what bad files are told."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import BadInput
from data.kspace.description import MaskDescription
from data.kspace.masks import draw, rng_of_name
from data.volumes import arrays
from data.volumes.array_batches import ArrayDataset
from data.volumes.description import ArrayData
from data.volumes.layouts import open_splits
from data.volumes.sampling import Pick, VolumeByVolume, buckets_of
from data.volumes.splits import Splits
from tests.data.volumes.written import COILS, X, Y, draw_arrays, write_arrays, write_split


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_arrays(tmp_path / "it's arrays")


def read(root: Path) -> Splits:
    return open_splits(ArrayData(root=str(root)))


def draw_as(description: MaskDescription, size, acquired, rng):
    return draw(description, size, rng, acquired=acquired)


def open_slices(root: Path, mask: MaskDescription | None = None, **options) -> ArrayDataset:
    return ArrayDataset(read(root).train, partial(draw_as, mask or MaskDescription()), **options)


def picks(*items: int, epoch: int = 1) -> list[Pick]:
    return [Pick(epoch, item) for item in items]


def test_a_batch_has_the_slices_in_the_order_of_the_picks(root):
    kspace, target = np.load(root / "train.npy"), np.load(root / "train_target.npy")
    sample = open_slices(root, keep_full=True).__getitems__(picks(8, 0, 5))
    assert sample.kspace.shape == (3, COILS, Y, X)
    np.testing.assert_array_equal(sample.full_kspace.numpy(), kspace[[8, 0, 5]])
    np.testing.assert_array_equal(sample.target.numpy(), target[[8, 0, 5]])
    np.testing.assert_array_equal(sample.kspace.numpy(), kspace[[8, 0, 5]] * sample.mask[:, None].numpy())
    assert (sample.volume.tolist(), sample.slice.tolist()) == ([1, 0, 1], [8, 0, 5])  # slices are numbered as in their file
    largest = [target[:5].max(), target[5:].max()]
    assert sample.maximum.tolist() == pytest.approx([largest[1], largest[0], largest[1]])


def test_slices_stay_those_of_the_file_where_a_volume_before_them_is_left_out(root):
    sample = ArrayDataset(read(root).train[1:], None).__getitems__(picks(0, 3))
    assert (sample.volume.tolist(), sample.slice.tolist()) == ([0, 0], [5, 8])
    np.testing.assert_array_equal(sample.kspace.numpy(), np.load(root / "train.npy")[[5, 8]])


def test_masks_are_drawn_for_each_pick_in_training_and_for_each_volume_by_name_elsewhere(root):
    train = open_slices(root, seed=3)
    first, again, later = (train.__getitems__(picks(0, 1, epoch=epoch)).mask for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert not torch.equal(first[0], first[1])
    fixed = open_slices(root).__getitems__(picks(0, 4, 5))
    expected = [draw(MaskDescription(), (Y, X), rng_of_name(name)) for name in ("train-0", "train-0", "train-1")]
    np.testing.assert_array_equal(fixed.mask.numpy(), np.stack([mask.kept for mask in expected]))
    assert fixed.sampled_fraction.tolist() == pytest.approx([mask.sampled_fraction for mask in expected])


def test_a_mask_that_all_slices_share_is_drawn_once(root):
    drawn = []

    def draw_and_count(size, acquired, rng):
        drawn.append(size)
        return draw(MaskDescription(kind="caipirinha"), size, rng, acquired=acquired)

    slices = ArrayDataset(read(root).train, draw_and_count, fixed=True, seed=1)
    masks = [slices.__getitems__(picks(0, 7, epoch=epoch)).mask for epoch in (1, 2)]
    assert drawn == [(Y, X)]
    assert torch.equal(masks[0], masks[1])
    masks[0].fill_(True)
    assert not slices.__getitems__(picks(0)).mask.all()


def test_without_a_mask_kspace_comes_fully_sampled(root):
    sample = ArrayDataset(read(root).train, None, keep_full=True).__getitems__(picks(2, 6))
    np.testing.assert_array_equal(sample.kspace.numpy(), np.load(root / "train.npy")[[2, 6]])
    assert torch.equal(sample.full_kspace, sample.kspace)
    assert (sample.mask.shape, bool(sample.mask.all())) == ((2, 1, X), True)
    assert sample.sampled_fraction.tolist() == [1, 1]


def test_samples_own_their_memory_and_files_stay_as_they_are(root):
    slices = open_slices(root, keep_full=True)
    sample = slices.__getitems__(picks(1))
    before = sample.full_kspace.clone()
    for values in (sample.kspace, sample.target, sample.full_kspace, sample.maximum, sample.mask):
        values.zero_()
    after = slices.__getitems__(picks(1))
    assert torch.equal(after.full_kspace, before)
    assert after.target.max() > 0
    assert after.maximum > 0
    assert after.mask.any()


def mapped_mb() -> int:
    """Return what counts as memory of this process and is a file [MB]."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile:"))
    return int(line.split()[1]) // 1024


def test_memory_does_not_grow_with_files_that_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MOST_MAPPED", 8 << 20)
    path = tmp_path / "train.npy"
    np.save(path, np.ones((64, 1, 512, 256), dtype=np.complex64))  # 64 MB
    np.save(arrays.target_of(path), np.ones((64, 512, 256), dtype=np.float32))
    reader, before = arrays.ArrayReader(), mapped_mb()
    for place in range(64):
        kspace, _ = reader.read(path, np.array([place]))
        assert kspace.sum() == 512 * 256
    assert mapped_mb() - before < 24


def test_a_data_set_travels_to_another_process_without_its_arrays(root):
    slices = ArrayDataset(read(root).train, None)
    slices.__getitems__(picks(0))
    packed = pickle.dumps(slices)
    assert len(packed) < np.load(root / "train.npy", mmap_mode="r").nbytes / 10
    assert torch.equal(pickle.loads(packed).__getitems__(picks(3)).kspace, slices.__getitems__(picks(3)).kspace)


def test_mirrored_slices_have_the_kspace_of_the_mirrored_image(root):
    plain, mirrored = (open_slices(root, seed=5, keep_full=True, flips=flips) for flips in (False, True))
    everything = picks(*range(9))
    straight, turned = plain.__getitems__(everything), mirrored.__getitems__(everything)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(turned.full_kspace, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
    np.testing.assert_allclose(np.sqrt((np.abs(images) ** 2).sum(axis=1)), turned.target, atol=1e-5)
    axes = [
        next(axes for axes in ((), (0,), (1,), (0, 1)) if np.array_equal(np.flip(one, axes), other))
        for one, other in zip(straight.target.numpy(), turned.target.numpy(), strict=True)
    ]
    assert len(set(axes)) >= 3


def test_evaluation_goes_through_one_volume_at_a_time(root):
    order = list(VolumeByVolume(read(root).train, batch=3))
    assert [[pick.item for pick in batch] for batch in order] == [[0, 1, 2], [3, 4], [5, 6, 7], [8]]
    assert len(VolumeByVolume(read(root).train, batch=100)) == 2


def test_all_slices_of_a_data_set_may_be_in_one_batch(root):
    splits = read(root)
    assert [volume.name for volume in splits.val] == ["val-0", "val-1"]
    assert len(set(buckets_of((*splits.train, *splits.val)))) == 1


def test_the_cache_holds_copies_that_are_read(root, tmp_path):
    near = tmp_path / "near"
    slices = open_slices(root, cache=near)
    expected = slices.__getitems__(picks(0)).kspace
    assert sorted(path.name.partition("-")[2] for path in near.glob("[!.]*")) == ["train.npy", "train_target.npy"]
    slices.reader.close()
    assert torch.equal(slices.__getitems__(picks(0)).kspace, expected)


def relist(path: Path, **changed: object) -> None:
    listed = json.loads(path.read_text())
    listed["volumes"][0] |= changed
    path.write_text(json.dumps(listed))


def resave(path: Path, values: np.ndarray) -> None:
    np.save(path, values)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


ONES = np.ones((9, COILS, Y, X), np.complex64)
BROKEN = [
    (
        "train.npy",
        lambda path: resave(path, ONES[:, 0]),
        r"expected \(slice, coil, y, x\) complex64.*got \(9, 33, 27\).*one coil is an axis",
    ),
    ("train.npy", lambda path: resave(path, ONES.astype(np.complex128)), r"expected .* complex64.*got .* complex128"),
    ("train.npy", lambda path: resave(path, ONES[:0]), r"none of the axes empty, got \(0, 2, 33, 27\)"),
    ("train.npy", cut, r"train.npy: cannot be mapped as an array"),
    ("train.npy", Path.unlink, r"train.npy: there is no such file. Check data.root"),
    ("train_target.npy", lambda path: resave(path, ONES[:, 0].real[:, 1:]), r"target.npy: expected \(9, 33, 27\) .*got \(9, 32, 27\)"),
    ("train_target.npy", lambda path: resave(path, ONES[:, 0]), r"expected \(slice, y, x\) float32.*complex64.*magnitudes"),
    ("train.json", Path.unlink, r"train.json: there is no such file; it lists the volumes"),
    ("train.json", lambda path: path.write_text("{"), r"train.json: cannot be read as .*volumes.*Make it again"),
    ("train.json", lambda path: relist(path, slices=6), r"train.npy: has 9 slices, train.json lists 10 in 2 volumes"),
    ("train.json", lambda path: relist(path, slices=0), r"number 0: slices must be 1 or more.*got 0"),
    ("train.json", lambda path: relist(path, maximum=0.0), r"number 0: .*maximum above 0 and finite, got 5 and 0.0"),
    ("train.json", lambda path: relist(path, name="train-1"), r"volume 'train-1' is listed twice"),
    ("train.json", lambda path: path.write_text('{"volumes": []}'), r"no volume is listed"),
]


@pytest.mark.parametrize(("name", "spoil", "message"), BROKEN, ids=lambda given: given if isinstance(given, str) else "")
def test_bad_file_is_told_with_what_was_expected(root, name, spoil, message):
    spoil(root / name)
    with pytest.raises(BadInput, match=message) as caught:
        read(root)
    assert str(caught.value).startswith(str(root))


def test_arrays_with_other_coils_are_refused(root):
    write_split(root / "val.npy", draw_arrays(1, slices=2, coils=COILS + 1), {"val-0": 2})
    with pytest.raises(BadInput, match=r"train.npy is \(2, 33, 27\), of .*val.npy \(3, 33, 27\); all splits need the same coils"):
        read(root)


def test_volume_in_two_splits_is_found_by_name_and_by_content(root):
    relist(root / "val.json", name="train-1")
    with pytest.raises(BadInput, match=r"train.npy, volume train-1 \(train\) and .*val.npy, volume train-1 \(val\) are the same volume"):
        read(root)
    write_split(root / "val.npy", np.load(root / "train.npy")[5:], {"another": 4})
    with pytest.raises(BadInput, match=r"volume train-1 \(train\) and .*volume another \(val\) are the same volume"):
        read(root)


@pytest.mark.parametrize("name", ["train.npy", "train_target.npy"])
def test_nan_is_told_with_file_slice_and_volume(root, name):
    values = np.load(root / name)
    values[6, ..., 0, 0] = np.nan
    np.save(root / name, values)
    slices = open_slices(root)
    slices.__getitems__(picks(0, 5))
    with pytest.raises(BadInput, match=rf"{name}: slice 6 \(of volume train-1\) holds NaN"):
        slices.__getitems__(picks(0, 6))
