"""Knees with maps: the truth that is combined from them, tasks, scarcity, and what a bad file is told."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.kspace.description import MaskDescription
from data.kspace.masks import draw
from data.simulate.options import KneeSpec
from data.volumes.description import KneeData
from data.volumes.layouts import open_splits
from data.volumes.loading import SliceDataset, stack_samples
from data.volumes.sampling import Pick, buckets_of
from data.volumes.splits import Splits
from data.volumes.volume import Volume
from tests.data.simulate.small_sets import ONE, make
from tests.data.volumes.written import X, Y, draw_knee, write, write_knees

POINTS = MaskDescription(kind="caipirinha", acceleration=4)
COUNTS = {"pd": 4, "fs": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_knees(tmp_path / "it's knees", COUNTS)


def read(root: Path, **changed: object) -> Splits:
    return open_splits(KneeData(**{"root": str(root), "datasets": ("pd", "fs"), "crop": (24, 400), **changed}))


def slices_of(volumes: tuple[Volume, ...], mask: MaskDescription = POINTS, *, seed: int | None = None) -> SliceDataset:
    return SliceDataset(volumes, lambda size, acquired, rng: draw(mask, size, rng, acquired=acquired), seed=seed)


def test_truth_is_the_image_combined_with_the_maps_and_cropped(root):
    sample = slices_of(read(root).train)[Pick(0, 1)]
    stored = draw_knee(0)
    kspace, maps = stored["kspace"][2], stored["esp_maps"][2]  # slice 0 is left out: item 1 is slice 2
    coils = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    image = (coils * maps.conj()).sum(axis=0)[Y // 2 - 12 : Y // 2 + 12]
    assert sample.size == (24, X)  # an axis shorter than the crop stays whole
    np.testing.assert_allclose(sample.complex_target.numpy(), image, atol=1e-5)
    np.testing.assert_allclose(sample.target.numpy(), np.abs(image), atol=1e-5)
    np.testing.assert_array_equal(sample.sens_maps.numpy(), maps)
    np.testing.assert_array_equal(sample.kspace.numpy(), kspace * sample.mask.numpy())
    assert sample.mask.shape == (Y, X)
    assert sample.mask.float().mean() == pytest.approx(float(sample.sampled_fraction))


@pytest.mark.parametrize("skipped", [0, 1, 2])
def test_sample_tells_the_place_of_its_slice_in_the_file(root, skipped):
    sample = slices_of(read(root, skip_slices=skipped).train)[Pick(0, 0)]
    assert int(sample.slice) == skipped
    np.testing.assert_array_equal(sample.sens_maps.numpy(), draw_knee(0)["esp_maps"][int(sample.slice)])


def test_maximum_is_that_of_the_whole_volume_read_or_as_the_file_says(root):
    first, second = read(root).train[:2]
    stored = draw_knee(0)
    coils = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(stored["kspace"], axes=(2, 3)), norm="ortho"), axes=(2, 3))
    assert first.maximum == pytest.approx(np.abs((coils * stored["esp_maps"].conj()).sum(axis=1)).max(), rel=1e-5)
    with h5py.File(second.path, "a") as file:
        file["esp_maps"].attrs["max_combined"] = 7.5
    assert read(root).train[1].maximum == 7.5


def test_simulated_volume_has_the_same_maximum_with_and_without_the_attribute(tmp_path):
    make("knee", tmp_path, {"pd": ONE}, KneeSpec(size=(19, 17), slices=2, coils=3))
    said = read(tmp_path, datasets=("pd",))
    for volume in (*said.train, *said.val, *said.test):
        with h5py.File(volume.path, "a") as file:
            del file["esp_maps"].attrs["max_combined"]
    assert read(tmp_path, datasets=("pd",)) == said


def test_each_dataset_is_a_task_and_names_tell_them_apart(root):
    splits = read(root)
    assert [(volume.task, volume.name) for volume in splits.train] == [
        (0, "pd_00"),
        (0, "pd_01"),
        (0, "pd_02"),
        (0, "pd_03"),
        (1, "fs_06"),
        (1, "fs_07"),
    ]
    assert [volume.task for volume in splits.val] == [0, 1]
    assert {bucket.task for bucket in buckets_of(splits.train)} == {0, 1}
    slices = slices_of(splits.train)
    batch = stack_samples([slices[Pick(0, 8)], slices[Pick(0, 9)]])  # 4 volumes of 2 slices in pd
    assert batch.task.tolist() == [1, 1]


def test_the_same_name_in_another_dataset_is_another_volume(root):
    (root / "fs" / "Val" / "08.h5").rename(root / "fs" / "Val" / "00.h5")  # as one of pd to train
    assert len(read(root).val) == 2
    write(root / "fs" / "Test" / "09.h5", **draw_knee(0))
    with pytest.raises(BadInput, match=r"pd/Train/00.h5 \(train\) and .*fs/Test/09.h5 \(test\) are the same volume"):
        read(root)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (4, 2)),
        ({"halvings": 1}, (2, 2)),  # the first dataset, where none is named
        ({"halvings": 1, "scarce": "fs"}, (4, 1)),
        ({"halvings": 9}, (1, 2)),
        ({"halvings": 9, "scarce": "fs"}, (4, 1)),
    ],
)
def test_either_dataset_is_made_scarce_in_training_alone(root, changed, expected):
    for name, number in (("pd", 60), ("fs", 61)):
        write(root / name / "Val" / f"{number}.h5", **draw_knee(number))
    splits = read(root, **changed)
    assert tuple(sum(volume.task == task for volume in splits.train) for task in (0, 1)) == expected
    assert (len(splits.val), len(splits.test)) == (4, 2)


def test_fixed_masks_differ_between_volumes_and_stay_between_slices(root):
    random = MaskDescription(kind="poisson_disc", acceleration=4)
    slices = slices_of(read(root).train, random)
    masks = [slices[Pick(epoch, item)].mask for epoch, item in ((0, 0), (3, 1), (0, 2))]
    assert masks[0].equal(masks[1])
    assert not masks[0].equal(masks[2])


def test_points_of_training_differ_between_slices_epochs_and_repeats(root):
    slices = slices_of(read(root).train, MaskDescription(kind="poisson_disc", acceleration=4), seed=1)
    picks = [Pick(1, 0), Pick(1, 1), Pick(2, 0), Pick(1, 0, repeat=1)]
    assert len({slices[pick].mask.numpy().tobytes() for pick in picks}) == 4


GOOD = draw_knee(50)
BROKEN = [
    ({"esp_maps": None}, r"key 'esp_maps' is missing; the file holds kspace. An array \(slice, coil, y, x\) is needed"),
    ({"esp_maps": GOOD["esp_maps"][:, :1]}, r"key 'esp_maps': expected \(3, 2, 33, 27\) .* as 'kspace' has, got \(3, 1, 33, 27\)"),
    ({"kspace": GOOD["kspace"][0]}, r"key 'kspace': expected \(slice, coil, y, x\), .*got \(2, 33, 27\)"),
    ({"kspace": np.stack([GOOD["kspace"].real, GOOD["kspace"].imag], -1)}, r"got \(3, 2, 33, 27, 2\). .*store them as one complex number"),
    ({"esp_maps": GOOD["esp_maps"].real}, r"key 'esp_maps': expected complex64, got float32"),
    ({key: values[:1] for key, values in GOOD.items()}, r"key 'kspace' has 1 slices, of which data.skip_slices leaves out 1"),
    ({"kspace": GOOD["kspace"] * 0}, r"largest value of the images .* is 0.0; it must be above 0"),
    ({"kspace": GOOD["kspace"] * np.float32(np.nan)}, r"largest value of the images that 'kspace' and 'esp_maps' give is nan"),
]


@pytest.mark.parametrize(("changed", "message"), BROKEN)
def test_bad_file_is_told_with_key_and_shapes(root, changed, message):
    path = root / "fs" / "Train" / "07.h5"
    write(path, **{key: values for key, values in {**GOOD, **changed}.items() if values is not None})
    with pytest.raises(BadInput, match=message) as caught:
        read(root)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_nan_that_no_maximum_shows_is_told_with_file_slice_and_key(root):
    with h5py.File(root / "pd" / "Train" / "00.h5", "a") as file:
        file["esp_maps"].attrs["max_combined"] = 1.0
        file["esp_maps"][2, 0, 0, 0] = np.nan
    slices = slices_of(read(root).train)
    slices[Pick(0, 0)]
    with pytest.raises(BadInput, match=r"00.h5: slice 2 holds NaN or Inf \(.*sens_maps.*\)"):
        slices[Pick(0, 1)]


def test_bad_files_are_left_out_with_a_warning_each_where_that_is_asked_for(root, caplog):
    for number in ("01", "02"):
        path = root / "pd" / "Train" / f"{number}.h5"
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadInput, match=r"01.h5: cannot be read as HDF5"):
        read(root)
    names = [volume.name for volume in read(root, skip_bad=True).train]
    assert names == ["pd_00", "pd_03", "fs_06", "fs_07"]
    assert [record.getMessage().count("It is left out (data.skip_bad)") for record in caplog.records] == [1, 1]


def test_folder_of_bad_files_alone_is_refused_even_then(root):
    (root / "pd" / "Val" / "04.h5").write_bytes(b"torn")
    with pytest.raises(BadInput, match=r"pd/Val: none of its volumes can be used"):
        read(root, skip_bad=True)


def test_missing_dataset_is_told_with_the_folder_that_was_looked_for(root):
    with pytest.raises(BadInput, match=r"it's knees/pdw/Train: there is no such folder. Check data.root"):
        read(root, datasets=("pdw",))
