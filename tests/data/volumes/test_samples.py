"""Samples with and without what only some networks need."""

from __future__ import annotations

import pytest
import torch

from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample, stack_samples

CPU = torch.device("cpu")


def sample(**extra: torch.Tensor) -> Sample:
    kspace = torch.zeros(2, 5, 7, dtype=torch.complex64)
    number = torch.tensor(0)
    mask = torch.ones(1, 7, dtype=torch.bool)
    return Sample(kspace, mask, torch.zeros(3, 5), torch.tensor(1.0), torch.tensor(0.3), number, number, **extra)


@pytest.mark.parametrize("extra", [{}, {"sens_maps": torch.ones(2, 5, 7)}, {"task": torch.tensor(1)}])
def test_parts_that_are_there_are_stacked_and_moved_and_others_stay_absent(extra):
    batch = stack_samples([sample(**extra), sample(**extra)]).to(CPU)
    assert batch.kspace.shape == (2, 2, 5, 7)
    assert batch.size == (3, 5)
    for name in ("sens_maps", "task"):
        found = getattr(batch, name)
        assert (found is None) == (name not in extra)
        assert found is None or found.shape == (2, *extra[name].shape)


def test_series_are_moved_whole():
    series = CineSample(torch.ones(1, 4, 5, 6), torch.zeros(1, 4, 5, 6), torch.ones(1), torch.tensor([3]))
    assert all(torch.equal(a, b) for a, b in zip(series.to(CPU), series, strict=True))
    assert series.size == (5, 6)
