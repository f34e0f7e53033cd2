"""Which epoch is the best and when training ends, decided without training."""

from __future__ import annotations

import math

import pytest

from models.training.progress import Progress


def judged(ssims: list[float], *, min_delta: float = 0.0, degenerate: tuple[int, ...] = ()) -> Progress:
    """Progress after these validations; `degenerate` numbers epochs."""
    progress = Progress()
    for epoch, ssim in enumerate(ssims, start=1):
        progress.begin(epoch, 1)
        progress.judge(ssim, min_delta=min_delta, degenerate=epoch in degenerate)
    progress.begin(len(ssims) + 1, 1)
    return progress


@pytest.mark.parametrize(
    ("ssims", "min_delta", "best", "without_better"),
    [
        ([0.5, 0.6, 0.55], 0.0, 2, 1),
        ([0.5, 0.5, 0.5], 0.0, 1, 2),
        ([0.5, 0.505, 0.509], 0.01, 3, 2),  # each is the best so far, none is better enough
        ([0.5, 0.505, 0.511], 0.01, 3, 0),  # 0.011 above what set the bar
        ([math.nan, 0.1], 0.0, 2, 0),
    ],
)
def test_best_epoch_and_epochs_without_a_better_one(ssims, min_delta, best, without_better):
    progress = judged(ssims, min_delta=min_delta)
    assert (progress.best_epoch, progress.epochs_without_better) == (best, without_better)


def test_degenerate_epoch_is_never_the_best_and_counts_as_no_better():
    progress = judged([0.5, 1.0, 0.6], degenerate=(2,))
    assert (progress.best_epoch, progress.best_ssim) == (3, 0.6)
    assert judged([1.0], degenerate=(1,)).best_epoch == 0


def test_training_ends_with_the_last_epoch_or_when_patience_does():
    progress = judged([0.5, 0.4, 0.4])
    assert not progress.is_over(epochs=4, patience=None)
    assert progress.is_over(epochs=3, patience=None)
    assert progress.is_over(epochs=4, patience=2)
    assert not progress.is_over(epochs=4, patience=3)


def test_losses_are_means_over_slices_of_each_task():
    progress = Progress()
    progress.begin(1, 3)
    progress.count_batch(0, 2, 3.0)
    progress.count_batch(1, 2, 1.0)
    progress.count_batch(0, 1, 3.0)
    assert progress.losses()[:2] == [2.0, 0.5]
    assert math.isnan(progress.losses()[2])
    assert progress.loss() == 7 / 5
    assert progress.batches == 3
