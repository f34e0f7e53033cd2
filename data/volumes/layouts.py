"""From the description of data to the volumes of its splits, for every layout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data.volumes.arrays import read_arrays, refuse_differing
from data.volumes.cache import cache_folder
from data.volumes.cine import read_series
from data.volumes.content import refuse_bad_pixels
from data.volumes.description import ArrayData, CineData, DataDescription, FastmriData, KneeData, PairedData, SiteData
from data.volumes.fastmri import read_volume
from data.volumes.formats import damage_told
from data.volumes.knee import read_knee
from data.volumes.paired import read_paired
from data.volumes.scarcity import halve
from data.volumes.splits import Splits, disjoint, read_folder, without_bad
from data.volumes.volume import Volume


def open_splits(description: DataDescription) -> Splits:
    """Read what the volumes of all splits hold, without pixels. Raises BadInput for what is missing, wrong or in two splits.

    With data.skip_bad, all pixels are read as well, and what is wrong is left out with a warning.
    """
    train, val, test = (usable(description, tuple(_read_split(description, split))) for split in ("train", "val", "test"))
    if isinstance(description, ArrayData):
        refuse_differing((*train, *val, *test))
    return disjoint(Splits(train=train, val=val, test=test))


def usable(data: DataDescription, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """Return the volumes that are left, where data.skip_bad asks to look at all of their pixels."""
    return without_bad(volumes, partial(refuse_bad_pixels, cache=cache_folder(data.cache))) if data.skip_bad else volumes


def _read_split(data: DataDescription, split: str) -> Iterator[Volume]:
    root = Path(data.root)
    match data:
        case FastmriData():
            folder = {"train": data.train, "val": data.val, "test": data.test}[split]
            yield from read_folder(root / folder, skip_bad=data.skip_bad)
        case KneeData():
            for task, name in enumerate(data.datasets):
                yield from _read_knees(data, root / name / split.title(), task)
        case SiteData():
            for site in data.sites:
                yield from read_site(data, site, split)
        case PairedData():
            yield from read_folder(root / split / "kspace", read_paired, skip_bad=data.skip_bad)
        case CineData():
            path = root / f"{split}.h5"
            with damage_told(path):
                series = read_series(path, data_range=data.data_range)
            yield from series
        case ArrayData():
            yield from read_arrays(root, split)


def read_site(data: SiteData, site: str, split: str) -> tuple[Volume, ...]:
    """Read a split of one of data.sites, whose place among them is the number of the task."""
    read = partial(read_volume, group=site, task=data.sites.index(site))
    return read_folder(Path(data.root) / site / data.contrast / split, read, skip_bad=data.skip_bad)


def _read_knees(data: KneeData, folder: Path, task: int) -> tuple[Volume, ...]:
    name = data.datasets[task]
    read = partial(read_knee, group=name, task=task, crop=data.crop, skip_slices=data.skip_slices)
    scarce = folder.name == "Train" and name == (data.scarce or data.datasets[0])
    choose = partial(halve, halvings=data.halvings if scarce else 0, seed=data.subset_seed)
    return read_folder(folder, read, skip_bad=data.skip_bad, choose=choose)
