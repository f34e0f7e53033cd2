"""Sites: each scans in its own way, the two contrasts show the same heads, and the truth is the image of the written k-space."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from data.kspace.fourier import ifftc
from data.kspace.masks import rng_of_name
from data.simulate.options import SITES as NAMES
from data.simulate.options import SiteSpec
from data.simulate.sites import SITES, draw_images, matrix
from tests.data.simulate.small_sets import make

SPEC = SiteSpec(size=(45, 40), slices=2)
COUNTS = {name: {"train": 1, "val": 0, "test": 0} for name in NAMES}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """(site, contrast) → its file, open."""
    out = tmp_path_factory.mktemp("sites")
    paths = [file.path for file in make("sites", out, COUNTS, SPEC)]
    opened = {path.relative_to(out).parts[:2]: h5py.File(path) for path in paths}
    assert [path.relative_to(out).parts[2] for path in paths] == ["train"] * 8
    yield opened
    for file in opened.values():
        file.close()


def test_every_known_site_has_a_scanner():
    assert tuple(SITES) == NAMES


def test_files_have_the_keys_and_attributes_of_single_coil_fastmri(scans):
    for (site, contrast), file in scans.items():
        shape = (2, *matrix(SPEC, SITES[site]))
        assert (file["kspace"].shape, file["kspace"].dtype) == (shape, np.complex64)
        assert (file["reconstruction_esc"].shape, file["reconstruction_esc"].dtype) == (shape, np.float32)
        truth = file["reconstruction_esc"][()]
        assert file.attrs["max"] == pytest.approx(truth.max())
        assert file.attrs["norm"] == pytest.approx(np.linalg.norm(truth))
        assert (file.attrs["acquisition"], file.attrs["patient_id"]) == (f"AX{contrast}", f"simulated-1-{site}-train-0")


def test_truth_is_the_magnitude_of_the_image_of_the_written_kspace(scans):
    for file in scans.values():
        image = ifftc(torch.from_numpy(file["kspace"][()])).abs().numpy()
        np.testing.assert_allclose(file["reconstruction_esc"][()], image, rtol=1e-5, atol=1e-12)


def test_matrices_differ_from_site_to_site(scans):
    shapes = {site: scans[site, "T1"]["kspace"].shape[1:] for site in NAMES}
    assert shapes == {"B": (45, 40), "F": (45, 32), "H": (36, 32), "I": (45, 36)}


def test_kspace_of_magnitude_images_is_conjugate_symmetric(scans):
    for (site, _), file in scans.items():
        kspace = file["kspace"][()][:, 1:, 1:] if file["kspace"].shape[1] % 2 == 0 else file["kspace"][()][:, :, 1:]
        mirrored = kspace[:, ::-1, ::-1].conj()
        asymmetry = np.abs(kspace - mirrored).max() / np.abs(kspace).max()
        assert (asymmetry < 1e-5) == SITES[site].magnitude


@pytest.mark.parametrize("site", NAMES)
def test_both_contrasts_show_the_same_head_in_other_signals(site):
    t1, t2 = (draw_images(SPEC, SITES[site], contrast, rng_of_name("a head")) for contrast in ("T1", "T2"))
    np.testing.assert_array_equal(t1 > 0, t2 > 0)
    assert not np.allclose(t1 / t1.max(), t2 / t2.max(), atol=0.2)


def test_skull_is_stripped_where_the_site_does_so():
    heads = {site: draw_images(SPEC, SITES[site], "T1", rng_of_name("a head"))[0] for site in ("B", "F")}
    areas = {site: (image > 0).mean() for site, image in heads.items()}
    assert areas["B"] < 0.85 * areas["F"]


def test_files_of_both_contrasts_show_the_same_head(tmp_path):
    make("sites", tmp_path, COUNTS, SiteSpec(size=(45, 40), slices=2, noise=0))
    for site in NAMES:
        outlines = []
        for contrast in ("T1", "T2"):
            with h5py.File(tmp_path / site / contrast / "train" / f"{site}_{contrast}_train_0000.h5") as file:
                images = file["reconstruction_esc"][()]
            rows, columns = (np.flatnonzero((images > 0.02 * images.max()).any(axis=axes)) for axes in ((0, 2), (0, 1)))
            outlines.append((rows[0], rows[-1], columns[0], columns[-1]))
        assert np.abs(np.subtract(*outlines)).max() <= 1


@pytest.mark.parametrize("site", ["F", "H"])
def test_noise_is_the_sites_share_of_what_was_asked(site, tmp_path):
    kspaces = []
    for noise in (0.0, 0.05):
        (path, _) = (file.path for file in make("sites", tmp_path / str(noise), {site: COUNTS[site]}, SiteSpec(size=(45, 40), noise=noise)))
        with h5py.File(path) as file:
            kspaces.append(file["kspace"][()])
    images = draw_images(SiteSpec(size=(45, 40)), SITES[site], "T1", rng_of_name(f"sites 1 {site} train 0"))
    expected = SITES[site].noise * 0.05 * images[images > 0].mean()
    assert np.sqrt((np.abs(kspaces[1] - kspaces[0]) ** 2).mean()) == pytest.approx(expected, rel=0.05)
