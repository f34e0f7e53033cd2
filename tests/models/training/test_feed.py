"""From a config to batches: every layout, tasks and their sizes, masks of points, ranges of masks, errors of reading processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from data.errors import BadInput
from data.volumes.cine_sample import CineSample
from models.config import read_config
from models.training.feed import AnySample, Feed, batches, open_feed, slices_of
from tests.data.volumes.written import COILS, X, Y, write_arrays, write_cine, write_knees, write_pairs, write_sites

CPU = torch.device("cpu")


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Data of every layout but fastMRI's, as a config names them."""
    return {
        "knee": {"layout": "knee", "root": str(write_knees(tmp_path / "knee", {"pd": 3, "fs": 1})), "datasets": ["pd", "fs"]},
        "sites": {"layout": "sites", "root": str(write_sites(tmp_path / "s", {"B": (Y, X), "F": (25, 30)})), "sites": ["B", "F"]}
        | {"contrast": "T1"},
        "cine": {"layout": "cine", "root": str(write_cine(tmp_path / "cine"))},
        "paired": {"layout": "paired", "root": str(write_pairs(tmp_path / "paired"))},
        "arrays": {"layout": "arrays", "root": str(write_arrays(tmp_path / "arrays"))},
    }


def open_on(data: dict[str, Any], **sections: Any) -> Feed:
    train = {"batch": 2, "num_workers": 0, **sections.pop("train", {})}
    model = {"kind": "unet3d" if data["layout"] == "cine" else "unet"}
    return open_feed(read_config({"model": model, "data": data, "train": train, **sections}), CPU)


def epoch_of(feed: Feed, number: int, first: int = 0) -> list[AnySample]:
    feed.order.set_position(number, first)
    return list(batches(feed.train, CPU))


@pytest.mark.parametrize(
    ("layout", "tasks", "slices", "val"),
    [
        ("knee", ("pd", "fs"), (6, 2), 4),
        ("sites", ("B", "F"), (4, 4), 4),
        ("cine", ("",), (3,), 1),
        ("paired", ("",), (4,), 2),
        ("arrays", ("",), (9,), 5),
    ],
)
def test_every_layout_gives_its_tasks_slices_and_batches(roots, layout, tasks, slices, val):
    feed = open_on(roots[layout])
    assert (feed.tasks, feed.slices) == (tasks, slices)
    samples = epoch_of(feed, 1)
    assert sum(len(sample.target) for sample in samples) == sum(slices)
    assert sum(len(sample.target) for sample in batches(feed.val, CPU)) == len(slices_of(feed.val)) == val
    assert all(isinstance(sample, CineSample) == (layout == "cine") for sample in samples)
    feed.close()


def test_batches_hold_one_task_and_epochs_continue_at_any_batch(roots):
    feed = open_on(roots["knee"])
    whole = epoch_of(feed, 2)
    assert [len(set(sample.task.tolist())) for sample in whole] == [1] * 4
    assert {int(sample.task[0]) for sample in whole} == {0, 1}
    rest = epoch_of(feed, 2, first=1)
    assert all(torch.equal(a.kspace, b.kspace) for a, b in zip(rest, whole[1:], strict=True))


@pytest.mark.parametrize("layout", ["knee", "sites", "cine", "paired"])
def test_reading_process_gives_the_batches_that_this_process_would_read(roots, layout):
    feeds = (open_on(roots[layout], train={"batch": 1, "num_workers": workers}) for workers in (1, 0))
    found, expected = (epoch_of(feed, 1) for feed in feeds)
    for one, other in zip(found, expected, strict=True):
        pairs = zip(one._asdict().values(), other._asdict().values(), strict=True)
        assert all(torch.equal(a, b) if isinstance(b, torch.Tensor) else a is b for a, b in pairs)


def test_repeated_slices_of_the_smaller_task_have_masks_of_their_own(roots):
    feed = open_on({**roots["knee"], "sampling": "upsample"})
    samples = [sample for sample in epoch_of(feed, 1) if int(sample.task[0]) == 1]
    assert sum(len(sample.target) for sample in samples) == 6
    seen = {(int(index), mask.numpy().tobytes()) for sample in samples for index, mask in zip(sample.slice, sample.mask, strict=True)}
    assert len({index for index, _ in seen}) == 2
    assert len(seen) > 2
    assert feed.slices == (6, 2)


def test_masks_of_points_are_drawn_in_training_and_validation(roots):
    feed = open_on(roots["knee"], mask={"kind": "poisson_disc", "acceleration": 4, "calibration": "square", "center_fraction": 0.1})
    (validated, *_) = batches(feed.val, CPU)
    for sample in (*epoch_of(feed, 1), validated):
        assert sample.mask.shape[1:] == (Y, X)
        assert (sample.kspace[~sample.mask[:, None].expand_as(sample.kspace)] == 0).all()
        assert sample.sampled_fraction.tolist() == pytest.approx([1 / 4] * len(sample.mask), abs=1e-3)


def test_training_draws_pairs_from_the_range_and_validation_keeps_its_mask(roots):
    mask = {"kind": "equispaced_fraction", "acceleration": 6, "center_fraction": 0.1}
    feed = open_on(roots["knee"], mask=mask, train_mask={"accelerations": [2, 8], "center_fractions": [0.1, 0.12]})
    fractions = [float(value) for epoch in range(1, 5) for sample in epoch_of(feed, epoch) for value in sample.sampled_fraction]
    halves = sum(value > 0.4 for value in fractions)
    assert 0 < halves < len(fractions) == 32
    assert all(value > 0.4 or value < 0.25 for value in fractions)
    plain = open_on(roots["knee"], mask=mask)
    assert all(torch.equal(a.mask, b.mask) for a, b in zip(batches(feed.val, CPU), batches(plain.val, CPU), strict=True))


def test_test_volumes_are_sampled_as_test_mask_says_and_the_others_as_without_it(roots):
    mask = {"kind": "equispaced_fraction", "acceleration": 4, "center_fraction": 0.1}
    plain = open_on(roots["knee"], mask=mask)
    feed = open_on(roots["knee"], mask=mask, test_mask={**mask, "acceleration": 2})
    assert [float(sample.sampled_fraction) > 0.4 for sample in batches(plain.test, CPU)] == [False] * 4
    assert [float(sample.sampled_fraction) > 0.4 for sample in batches(feed.test, CPU)] == [True] * 4
    for ours, theirs in ((batches(feed.val, CPU), batches(plain.val, CPU)), (epoch_of(feed, 1), epoch_of(plain, 1))):
        assert all(torch.equal(a.mask, b.mask) for a, b in zip(ours, theirs, strict=True))


def test_a_loss_on_kspace_gets_it_as_it_was_before_the_mask(roots):
    feed = open_on(roots["sites"], model={"kind": "e2e_varnet"}, loss={"kind": "kspace_nmse"})
    for sample in epoch_of(feed, 1):
        unsampled = ~sample.mask[:, None].expand_as(sample.kspace)
        assert torch.equal(torch.where(unsampled, 0, sample.full_kspace), sample.kspace)
        assert sample.full_kspace[unsampled].abs().min() > 0


def test_arrays_are_validated_in_batches_of_one_volume(roots):
    feed = open_on(roots["arrays"], train={"batch": 4, "micro_batch": 2})
    assert [sample.volume.tolist() for sample in batches(feed.val, CPU)] == [[0, 0], [0], [1, 1]]
    assert [len(sample.target) for sample in epoch_of(feed, 1)] == [2, 2, 2, 2, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_arrays_come_the_same_whoever_reads_them(roots, workers):
    here, there = (open_on(roots["arrays"], train={"num_workers": count}) for count in (0, workers))
    for ours, theirs in zip(epoch_of(here, 2), epoch_of(there, 2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours[:7], theirs[:7], strict=True))


@pytest.mark.parametrize("kind", ["caipirinha", "tile_random"])
def test_masks_of_arrays_that_follow_from_their_description_are_all_alike(roots, kind):
    feed = open_on(roots["arrays"], mask={"kind": kind, "acceleration": 4})
    masks = torch.cat([sample.mask for sample in (*epoch_of(feed, 1), *batches(feed.val, CPU))])
    assert (masks == masks[0]).all()
    assert masks.shape[1:] == (Y, X)


def test_where_the_network_samples_arrays_come_fully_sampled(roots):
    spirit, learned = {"kind": "spirit", "coils": COILS}, {"kind": "learned", "acceleration": 4}
    feed = open_on(roots["arrays"], model=spirit, mask=learned, loss={"kind": "kspace_nmse"})
    for sample in (*epoch_of(feed, 1), *batches(feed.val, CPU)):
        assert sample.mask.all()
        assert torch.equal(sample.kspace, sample.full_kspace)


def test_mirroring_and_the_cache_reach_the_training_slices(roots, tmp_path):
    plain, changed = open_on(roots["knee"]), open_on({**roots["knee"], "flips": True, "cache": str(tmp_path / "near")})
    pairs = list(zip(epoch_of(plain, 1), epoch_of(changed, 1), strict=True))
    assert all(torch.equal(a.mask, b.mask) for a, b in pairs)
    assert not all(torch.equal(a.target, b.target) for a, b in pairs)
    assert len(list((tmp_path / "near").glob("*.h5"))) == 4
    assert all(torch.equal(a.target, b.target) for a, b in zip(batches(plain.val, CPU), batches(changed.val, CPU), strict=True))


WRONG = [
    ("knee", {"train_mask": {"accelerations": []}}, r"train_mask.accelerations is \(\)"),
    ("knee", {"train_mask": {"accelerations": [4, 20], "center_fractions": [0.08]}}, r"center_fraction \* mask.acceleration is 1.6"),
    ("cine", {"mask": {"acceleration": 8}}, r"must be left out for data.layout cine: what is sampled is part of these data"),
    ("cine", {"test_mask": {}}, r"mask, train_mask, test_mask is 'set'; it must be left out for data.layout cine"),
    ("knee", {"test_mask": {"acceleration": 20}}, r"center_fraction \* mask.acceleration is 1.6.* at `\$.test_mask`"),
    ("paired", {"train_mask": {}}, r"must be left out for data.layout paired"),
]


@pytest.mark.parametrize(("layout", "sections", "message"), WRONG)
def test_masks_that_cannot_be_are_refused_before_training(roots, layout, sections, message):
    with pytest.raises(BadInput, match=message):
        open_on(roots[layout], **sections)


MISFITS = [
    ("cine", {"kind": "unet"}, r"model.kind is unet, data.layout is cine: unet3d, unet2d1d, unet2d2d take cine, the others all but cine"),
    ("sites", {"kind": "unet2d1d"}, r"model.kind is unet2d1d, data.layout is sites"),
    ("paired", {"kind": "stl_varnet"}, r"model.kind stl_varnet needs sensitivity maps, which data.layout paired has not"),
    ("sites", {"kind": "mtl_varnet"}, r"model.kind mtl_varnet needs sensitivity maps"),
    ("knee", {"kind": "mtl_varnet", "tasks": 3}, r"model.tasks is 3, the data have 2. Set model.tasks to the number of data.datasets"),
]


@pytest.mark.parametrize(("layout", "model", "message"), MISFITS)
def test_network_that_cannot_take_the_data_is_refused(roots, layout, model, message):
    with pytest.raises(BadInput, match=message):
        open_feed(read_config({"model": model, "data": roots[layout]}), CPU)


LOSSES_AMISS = [
    ("knee", "unet", "complex_l1", r"loss.kind is complex_l1, but model.kind unet gives magnitudes alone. Choose .*stl_varnet, mtl_varnet"),
    ("sites", "e2e_varnet", "complex_l1", r"loss.kind is complex_l1, but model.kind e2e_varnet gives magnitudes alone"),
    ("cine", "unet3d", "complex_l1", r"loss.kind is complex_l1, but model.kind unet3d gives magnitudes alone"),
    ("knee", "unet", "kspace_nmse", r"loss.kind is kspace_nmse, but model.kind unet predicts no k-space. .*spirit"),
    ("paired", "e2e_varnet", "kspace_nmse", r"loss.kind is kspace_nmse, but data.layout paired holds no fully sampled k-space"),
]


@pytest.mark.parametrize(("layout", "model", "loss", "message"), LOSSES_AMISS)
def test_loss_that_network_and_data_cannot_have_is_refused_before_any_file_is_read(roots, layout, model, loss, message):
    data = {**roots[layout], "root": "no such folder"}
    with pytest.raises(BadInput, match=message):
        open_feed(read_config({"model": {"kind": model}, "data": data, "loss": {"kind": loss}}), CPU)


@pytest.mark.parametrize(("layout", "model", "loss"), [("knee", "stl_varnet", "complex_l1"), ("sites", "e2e_varnet", "kspace_nmse")])
def test_loss_that_network_and_data_can_have_is_taken(roots, layout, model, loss):
    open_feed(read_config({"model": {"kind": model}, "data": roots[layout], "loss": {"kind": loss}}), CPU).close()


def test_unknown_layout_lists_the_known_ones():
    message = r"data.layout: 'kne' is unknown. Did you mean knee\? Known: fastmri, knee, cine, sites, paired, arrays"
    with pytest.raises(BadInput, match=message):
        open_on({"layout": "kne", "root": "a"})


def test_acceleration_above_the_lines_is_told(roots):
    feed = open_on(roots["knee"], mask={"kind": "random", "acceleration": X + 1, "center_fraction": 0})
    with pytest.raises(BadInput, match=r"28.*27|27.*28"):
        epoch_of(feed, 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_nan_is_told_in_one_line_of_any_process(roots, workers):
    path = Path(roots["cine"]["root"]) / "train.h5"
    with h5py.File(path, "a") as file:
        file["imagesTrue"][1, 2, 3, 0] = np.inf
    with pytest.raises(BadInput, match=r"^\S*train.h5: key 'imagesTrue': series 1 holds NaN[^\n]*\Z"):
        epoch_of(open_on(roots["cine"], train={"num_workers": workers}), 1)


@pytest.mark.parametrize("split", ["train", "test"])
def test_volume_that_is_darker_than_the_threshold_of_the_head_is_told_with_its_images_before_training(roots, split):
    (path, *_) = sorted((Path(roots["paired"]["root"]) / split / "image").iterdir())
    with h5py.File(path, "r+") as file:
        file["image_label"][...] *= 1e-4 / file["image_label"][()].max()
        file.attrs["max"] = 1e-4
    message = rf"{split}/image/{path.name}: its largest value is 0.0001, loss.mask_threshold is 0.0002: no head is left. Lower"
    with pytest.raises(BadInput, match=message):
        open_on(roots["paired"], loss={"kind": "masked_ssim", "mask_threshold": 2e-4})
    open_on(roots["paired"], loss={"kind": "ssim", "mask_threshold": 2e-4}).close()
    open_on(roots["paired"], loss={"kind": "masked_ssim", "mask_threshold": 5e-5}).close()
