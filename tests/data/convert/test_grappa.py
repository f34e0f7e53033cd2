"""GRAPPA against known truth: coils whose maps are so smooth that the missing columns follow exactly from the sampled ones."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from data.convert.grappa import calibration_columns, grappa, surroundings
from data.convert.grappa_images import convert_grappa, pairs
from data.convert.jobs import Job
from data.convert.options import GrappaOptions
from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.description import MaskDescription
from data.kspace.fourier import fftc, ifftc
from data.kspace.masks import draw
from data.simulate.brain import BrainSpec, simulate_volume

SIZE = (48, 61)
EXACT = GrappaOptions(damping=1e-10)


def scan(coils: int = 8, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """k-space (coil, y, x) of white noise seen by coils with maps of 3 x 3 harmonics.

    A sample then depends on 9 points of the object's k-space. The columns beside a missing one hold 5 rows x 2 columns x 8 coils = 80
    samples of at most 7 x 6 = 42 points: more equations than unknowns, so that the missing sample follows exactly, to the edges.
    """
    rng = np.random.default_rng(seed)
    harmonics = np.zeros((coils, *size), dtype=np.complex64)
    center = (slice(None), slice(size[0] // 2 - 1, size[0] // 2 + 2), slice(size[1] // 2 - 1, size[1] // 2 + 2))
    harmonics[center] = rng.standard_normal((coils, 3, 3)) + 1j * rng.standard_normal((coils, 3, 3))
    image = rng.standard_normal(size).astype(np.complex64)
    return fftc(ifftc(torch.from_numpy(harmonics)) * torch.from_numpy(image)).numpy()


def mask(kind: str = "equispaced", acceleration: float = 3, seed: int = 1, center_fraction: float = 0.33) -> np.ndarray:
    described = MaskDescription(kind=kind, acceleration=acceleration, center_fraction=center_fraction)
    return draw(described, (1, SIZE[1]), np.random.default_rng(seed)).columns


def error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize(
    ("kind", "acceleration", "center_fraction"),
    # of the last: round(61 * 0.2) = 12 columns in the centre, the others at (61 - 12) / (61 / 2 - 12) = 2.65, so at 2 and at 3
    [("equispaced", 2, 0.33), ("equispaced", 3, 0.33), ("equispaced_fraction", 2, 0.2)],
)
def test_missing_columns_follow_from_the_sampled_ones(kind, acceleration, center_fraction):
    kspace, sampled = scan(), mask(kind, acceleration, center_fraction=center_fraction)
    filled = grappa(kspace * sampled, sampled, EXACT)
    inner = np.flatnonzero(~sampled)
    inner = inner[(inner > 6) & (inner < SIZE[1] - 7)]
    assert inner.size > 10
    assert error(filled[:, 3:-3, inner], kspace[:, 3:-3, inner]) < 1e-3
    np.testing.assert_array_equal(filled[:, :, sampled], kspace[:, :, sampled])


@pytest.mark.parametrize("acceleration", [2, 3])
def test_noise_is_damped_and_the_image_is_better_than_zero_filled(acceleration):
    spec = BrainSpec(size=(57, 61), oversampling=1.0, padding=0, slices=3, coils=8, noise=0.02, seed=3)
    kspace, sampled = simulate_volume(spec, split="train", number=0).kspace[1], mask(acceleration=acceleration, center_fraction=0.25)
    truth, zero_filled, filled = (
        rss(ifftc(torch.from_numpy(values))).numpy()
        for values in (kspace, kspace * sampled, grappa(kspace * sampled, sampled, GrappaOptions()))
    )
    assert error(filled, truth) < 0.6 * error(zero_filled, truth)


def test_columns_beyond_the_sampled_ones_stay_zero():
    kspace, sampled = scan(), mask()
    sampled[:7], sampled[-9:] = False, False
    filled = grappa(kspace * sampled, sampled, EXACT)
    first, last = np.flatnonzero(sampled)[[0, -1]]
    assert not filled[:, :, :first].any()
    assert not filled[:, :, last + 1 :].any()
    assert (filled[:, :, first : last + 1] != 0).all()


def test_fully_sampled_data_stay_as_they_are():
    kspace = scan()
    np.testing.assert_array_equal(grappa(kspace, np.ones(SIZE[1], dtype=bool), EXACT), kspace)


def test_result_scales_with_the_data():
    kspace, sampled = scan(), mask()
    np.testing.assert_allclose(
        grappa(1000 * kspace * sampled, sampled, GrappaOptions()),
        1000 * grappa(kspace * sampled, sampled, GrappaOptions()),
        rtol=1e-3,
        atol=1e-2,
    )


def test_columns_with_the_same_surroundings_share_their_weights():
    sampled = np.zeros(21, dtype=bool)
    sampled[::3] = True
    sampled[7:14] = True
    groups = surroundings(sampled, slice(7, 14), most=2)
    # sampled: 0 3 6 7 … 13 15 18; 19 and 20 lie beyond
    assert groups == {(-1, 2): [1, 4, 16], (-2, 1): [2, 5, 17], (-1, 1): [14]}


def test_offsets_never_span_more_than_the_centre():
    sampled = mask("random", 3, center_fraction=0.2)
    center = calibration_columns(sampled)
    for offsets in surroundings(sampled, center, most=4):
        assert max(*offsets, 0) - min(*offsets, 0) < center.stop - center.start


def test_centre_is_the_run_of_sampled_columns_about_the_middle():
    sampled = np.array([True, False, True, True, True, False, True])
    assert calibration_columns(sampled) == slice(2, 5)
    assert calibration_columns(np.ones(4, dtype=bool)) == slice(0, 4)
    with pytest.raises(ValueError, match="column 3, the centre of k-space, is not sampled"):
        calibration_columns(~sampled)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One pair in the layout image/ and kspace/."""
    folder = tmp_path / "it's paired"
    write_pair(folder, np.stack([scan(seed=1), scan(seed=2)]), mask())
    return folder


def write_pair(folder: Path, kspace: np.ndarray, sampled: np.ndarray, size: tuple[int, int] = (40, 40)) -> None:
    for kind in ("image", "kspace"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "kspace" / "brain1.h5", "w") as file:
        file["kspace"], file["mask"] = kspace * sampled, sampled.astype(np.float32)
    with h5py.File(folder / "image" / "brain1.h5", "w") as file:
        file["image_label"] = center_crop(rss(ifftc(torch.from_numpy(kspace))), size).numpy()
        file.attrs["max"] = float(file["image_label"][()].max())


def jobs(folder: Path) -> list[Job]:
    return [Job(source=path, target=path) for path in sorted(folder.rglob("*.h5"))]


def test_images_are_added_to_the_image_files_of_a_pair(root):
    (job,) = pairs(jobs(root))
    assert job.target == root / "image" / "brain1.h5"
    assert convert_grappa(job, EXACT) is False
    with h5py.File(job.target) as file:
        assert file["image_grappa"].dtype == np.float32
        sampled = mask()
        expected = rss(ifftc(torch.from_numpy(grappa(scan(seed=2) * sampled, sampled, EXACT))))
        np.testing.assert_allclose(file["image_grappa"][1], center_crop(expected, (40, 40)).numpy(), rtol=1e-5)
        # the object is white noise, and the outermost columns stay zero; zero-filled, the error is 0.5
        assert error(file["image_grappa"][()], file["image_label"][()]) < 0.2
        assert file.attrs["max"] == file["image_label"][()].max()
    assert convert_grappa(job, EXACT) is True
    with pytest.raises(BadInput, match=r"holds 'image_grappa' already, made with .*asked .*\"rows\": 3"):
        convert_grappa(job, GrappaOptions(rows=3))


def test_missing_partner_and_missing_folder_are_named(root):
    (root / "kspace" / "brain1.h5").rename(root / "kspace" / "brain2.h5")
    with pytest.raises(BadInput, match=r"image/brain1.h5: its partner .*kspace/brain1.h5 is missing"):
        pairs(jobs(root))
    with pytest.raises(BadInput, match=r"no file lies in a folder 'image'"):
        pairs(jobs(root / "kspace"))


def without_centre() -> np.ndarray:
    sampled = mask()
    sampled[SIZE[1] // 2] = False
    return sampled


def narrow() -> np.ndarray:
    sampled = np.zeros(SIZE[1], dtype=bool)
    sampled[::10] = True
    return sampled


@pytest.mark.parametrize(
    ("sampled", "size", "message"),
    [
        (without_centre(), (40, 40), r"kspace/brain1.h5: key 'mask': column 30, the centre of k-space, is not sampled"),
        (narrow(), (40, 40), r"key 'mask': the sampled centre of 1 columns is too narrow"),
        (mask(), (100, 40), r"None"),
    ],
)
def test_pair_that_does_not_fit_is_refused_and_stays_as_it_was(root, sampled, size, message):
    if size[0] > SIZE[0]:
        with h5py.File(root / "image" / "brain1.h5", "r+") as file:
            del file["image_label"]
            file["image_label"] = np.ones((2, *size), dtype=np.float32)
        message = r"key 'kspace': expected at least \(y, x\) = \(100, 40\), got \(48, 61\)"
    else:
        write_pair(root, np.stack([scan()] * 2), sampled)
    (job,) = pairs(jobs(root))
    before = job.target.read_bytes()
    with pytest.raises(BadInput, match=message):
        convert_grappa(job, EXACT)
    assert job.target.read_bytes() == before


def test_pair_of_different_slices_is_refused_with_both_numbers(root):
    with h5py.File(root / "image" / "brain1.h5", "r+") as file:
        label = file["image_label"][:1]
        del file["image_label"]
        file["image_label"] = label
    (job,) = pairs(jobs(root))
    with pytest.raises(BadInput, match=r"'kspace' has 2 slices, image_label of .*image/brain1.h5 has 1"):
        convert_grappa(job, EXACT)


def test_even_kernel_is_refused():
    with pytest.raises(BadInput, match="--rows is 4; a kernel has an odd number of rows"):
        GrappaOptions(rows=4)


@pytest.mark.parametrize("columns", [1, 3])
def test_kernel_with_more_columns_on_one_side_is_refused(columns):
    with pytest.raises(BadInput, match=f"--columns is {columns}; a kernel has as many columns on either side"):
        GrappaOptions(columns=columns)
