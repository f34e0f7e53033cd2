"""Which data a run reads: a struct for each layout on disk, told apart by `layout`. Imports neither torch nor numpy nor h5py."""

from __future__ import annotations

from typing import get_args

import msgspec

from data.limits import choice, limit

SAMPLINGS = ("none", "upsample", "downsample")


class StoredData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="layout"):
    """What all layouts have in common."""

    root: str
    """The folder that holds all of it; a relative one starts at the folder of launch."""
    skip_bad: bool = False
    """Leave out, with one warning, a file that cannot be opened, whose keys or shapes are wrong, or that is damaged or holds NaN anywhere.

    For this, all pixels are read when a run starts. Otherwise such a file ends the run, a bad slice when training comes to it."""
    flips: bool = False
    """Mirror each slice of training along y, along x, both or neither, at random; k-space, maps and images alike."""
    cache: str = ""
    """A folder on the node's own disk, such as $TMPDIR/mrsweep, to which each file is copied when it is first read; empty: none."""

    def __post_init__(self) -> None:
        limit("data.root", self.root, bool(self.root.strip()), "the path of a folder")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, task 0 first; a single empty one where the layout tells no tasks apart."""
        return ("",)


class FastmriData(StoredData, frozen=True, kw_only=True, tag="fastmri"):
    """Three folders of fastMRI's HDF5 files, of several coils (reconstruction_rss) or of one (reconstruction_esc)."""

    train: str = "train"
    """Folder of the training volumes, below root."""
    val: str = "val"
    """Folder of the volumes that choose the best epoch."""
    test: str = "test"
    """Folder of the volumes that are measured once, at the end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = (self.train, self.val, self.test)
        limit("data.train, data.val, data.test", names, len(set(names)) == 3, "three different folders")


class KneeData(StoredData, frozen=True, kw_only=True, tag="knee"):
    """Volumes with sensitivity maps, {root}/{dataset}/{Train,Val,Test}/*.h5: each dataset a contrast, and a task of joint training."""

    datasets: tuple[str, ...]
    """Folders below root; the first is task 0."""
    scarce: str = ""
    """The dataset of which part of the training volumes is left out; empty: the first."""
    halvings: int = 0
    """How many times the training volumes of `scarce` are halved, never below one volume. Each half lies within the one before."""
    subset_seed: int = 333
    """Decides which volumes are left; of its own, so that runs with other seeds train on the same ones."""
    sampling: str = "none"
    """Training slices of an epoch: none, all once; upsample, of each task as many as the largest has; downsample, as the smallest."""
    crop: tuple[int, int] = (360, 320)
    """(y, x) to which images are cropped for losses and metrics."""
    skip_slices: int = 1
    """Slices at the beginning of each volume that are left out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_folders("data.datasets", self.datasets)
        if self.scarce:
            choice("data.scarce", self.scarce, self.datasets)
        choice("data.sampling", self.sampling, SAMPLINGS)
        limit("data.halvings", self.halvings, 0 <= self.halvings <= 100, "between 0 and 100")
        limit("data.subset_seed", self.subset_seed, 0 <= self.subset_seed < 2**63, "0 or more, below 2 ** 63")
        limit("data.crop", self.crop, min(self.crop) >= 1, "a size (y, x) of 1 or more pixels")
        limit("data.skip_slices", self.skip_slices, self.skip_slices >= 0, "0 or more slices")

    @property
    def tasks(self) -> tuple[str, ...]:
        """One task a dataset."""
        return _task_names(self.datasets)


class CineData(StoredData, frozen=True, kw_only=True, tag="cine"):
    """Three files of moving magnitude images, {root}/{train,val,test}.h5, with imagesRecon and imagesTrue."""

    data_range: float = 1.0
    """Largest value that the images can have, for SSIM and PSNR; they are not scaled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        limit("data.data_range", self.data_range, 0 < self.data_range < 1e30, "above 0")


class SiteData(StoredData, frozen=True, kw_only=True, tag="sites"):
    """Files of one contrast from several sites, {root}/{site}/{contrast}/{train,val,test}/*.h5: each site is a task."""

    sites: tuple[str, ...]
    """Folders below root; the first is task 0."""
    contrast: str
    """Folder below each site, such as T1 or T2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_folders("data.sites", self.sites)
        _check_folders("data.contrast", (self.contrast,))

    @property
    def tasks(self) -> tuple[str, ...]:
        """One task a site."""
        return _task_names(self.sites)


class PairedData(StoredData, frozen=True, kw_only=True, tag="paired"):
    """Images in one file and k-space with its own mask in another, {root}/{train,val,test}/{image,kspace}/*.h5."""


class ArrayData(StoredData, frozen=True, kw_only=True, tag="arrays"):
    """Three arrays of fully sampled k-space, {root}/{train,val,test}.npy, mapped into memory, each with images and a list of volumes."""


DataDescription = FastmriData | KneeData | CineData | SiteData | PairedData | ArrayData
LAYOUTS = tuple(str(kind.__struct_config__.tag) for kind in get_args(DataDescription))
OWN_MASKS = ("cine", "paired")
"""Layouts whose under-sampling is part of the data: a config's mask has nothing to say there."""


def layout_of(description: DataDescription) -> str:
    """Return the layout's name, as in data.layout."""
    return str(description.__struct_config__.tag)


def _check_folders(key: str, names: tuple[str, ...]) -> None:
    plain = all(name.strip() and "/" not in name and name not in (".", "..") for name in names)
    limit(key, names, bool(names) and plain and len(set(names)) == len(names), "one or more different names of folders below data.root")


def _task_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) > 1 else ("",)
