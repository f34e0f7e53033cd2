"""How good the images are after each number of columns, over a whole split."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from data.errors import BadInput
from data.volumes.array_batches import ArrayDataset
from data.volumes.arrays import target_of
from data.volumes.loading import Sample
from data.volumes.sampling import VolumeByVolume
from data.whole_files import write_bytes
from models.quality import Quality, slice_qualities
from models.sequential.environment import ColumnEnvironment
from models.sequential.nested import Rank, nested_masks
from models.sequential.policies import Policy

BATCH = 128
"""Slices that are measured at once."""
CURVE = "curve.csv"
"""In the run's folder: the learning curve of the test split."""


class Measured(NamedTuple):
    """Images after some number of columns."""

    columns: int
    image: Tensor
    """(batch, y, x)."""


Roll = Callable[[ColumnEnvironment, Sample, str], Iterator[Measured]]
"""(environment, slices of one volume, its name) → images after one number of columns and then more."""


def roll_policy(policy: Policy) -> Roll:
    """Return what a sampler achieves column by column."""

    def roll(environment: ColumnEnvironment, sample: Sample, volume: str) -> Iterator[Measured]:
        environment.reset(sample)
        yield _now(environment)
        while not environment.is_done:
            environment.step(policy(environment))
            yield _now(environment)

    return roll


def roll_nested(rank: Rank, parts: list[int]) -> Roll:
    """Return what parts of a mask achieve. parts: columns of each; between two of them the image stays what it is."""

    def roll(environment: ColumnEnvironment, sample: Sample, volume: str) -> Iterator[Measured]:
        counts = environment.acquisition.counts
        acquired = [max((part for part in parts if part <= count), default=0) for count in counts]
        for count, mask in zip(counts, nested_masks(rank(volume), acquired), strict=True):
            outcome = environment.reconstruct(sample, mask.to(sample.kspace.device).repeat(len(sample.kspace), 1))
            yield Measured(count, outcome.image)

    return roll


def _now(environment: ColumnEnvironment) -> Measured:
    return Measured(int(environment.outcome.observation.mask[0].sum()), environment.outcome.image)


class Curve(NamedTuple):
    """Mean quality of the slices of a split after each number of columns."""

    points: Mapping[int, Quality]
    """Columns → means over slices; the data range is that of the slice's volume."""
    slices: int
    """How many were measured."""

    @property
    def area(self) -> float:
        """The sum of the NMSE at all numbers of columns: what a sampler is to make small."""
        return sum(point.nmse for point in self.points.values())

    def metrics(self, split: str) -> dict[str, float]:
        """Return {"val/nmse": … at the end, "val/nmse/3": … after 3 columns, …, "val/auc_nmse": their sum, "val/slice_n": …}."""
        last = self.points[max(self.points)]
        values = {f"{split}/{name}": value for name, value in last._asdict().items()}
        for columns, point in self.points.items():
            values |= {f"{split}/{name}/{columns}": value for name, value in point._asdict().items()}
        return values | {f"{split}/auc_nmse": self.area, f"{split}/slice_n": float(self.slices)}

    def write(self, path: Path) -> None:
        """Write a table with a row for each number of columns."""
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(("columns", *Quality._fields))
        writer.writerows((columns, *point) for columns, point in self.points.items())
        write_bytes(path, table.getvalue().encode())


def measure(roll: Roll, environment: ColumnEnvironment, slices: ArrayDataset, device: torch.device, between: Callable[[], None]) -> Curve:
    """Measure a sampler on the slices of a split, but those without any signal. `between` is called after each batch.

    Raises BadInput where no slice has any.
    """
    found: dict[int, list[Quality]] = {}
    for picks in VolumeByVolume(slices.volumes, batch=BATCH):
        sample = slices.__getitems__(picks).to(device)
        shown = sample.target.any(dim=-1).any(dim=-1)
        for columns, image in roll(environment, sample, slices.volumes[int(sample.volume[0])].name):
            found.setdefault(columns, []).extend(slice_qualities(image[shown], sample.target[shown], sample.maximum[0]))
        between()
    if not any(found.values()):
        raise BadInput(f"{target_of(slices.volumes[0].path)}: all slices are zeros, so nothing can be measured. Make the file again.")
    return Curve({columns: _mean(qualities) for columns, qualities in found.items()}, max(map(len, found.values())))


def _mean(qualities: list[Quality]) -> Quality:
    return Quality(*(fmean(values) for values in zip(*qualities, strict=True)))
