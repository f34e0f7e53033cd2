"""What a user may say to each simulator: all that decides the pixels. Imports none of the libraries that do the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from data.errors import BadInput

SPLITS = ("train", "val", "test")
DATASETS = ("div_coronal_pd", "div_coronal_pd_fs")
"""Knees as the files of the multi-task networks name them: proton-density weighted, without and with fat suppression."""
SITES = ("B", "F", "H", "I")
Limits = Mapping[str, tuple[bool, str]]
"""Field → whether its value is possible, and which are."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all files of a data set have in common."""

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1
    """Raised when the same options give other pixels."""

    seed: int = 1
    """Another seed makes others."""

    def __post_init__(self) -> None:
        self._refuse({"seed": (self.seed >= 0, "0 or more")})

    def _refuse(self, limits: Limits) -> None:
        """Raise BadInput for the first value that is impossible."""
        for key, (holds, wanted) in limits.items():
            if not holds:
                raise BadInput(f"--{key.replace('_', '-')} is {getattr(self, key)}; it must be {wanted}.")

    def describe(self, **more: object) -> dict[str, Any]:
        """Return all that decides the pixels, as plain values."""
        return {"kind": self.KIND, "version": self.VERSION, **more, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class ScanSpec(Spec):
    """Of scans of every body."""

    size: tuple[int, int] = (96, 80)
    """(y, x) of the images."""
    noise: float = 0.02
    """Standard deviation of the complex noise by the mean signal of the body."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse(
            {
                "size": (min(self.size) >= 16, "at least 16 pixels along each axis"),
                "noise": (0 <= self.noise < 10, "between 0 and 10"),
            }
        )


@dataclass(frozen=True, kw_only=True)
class VolumeSpec(ScanSpec):
    """Of scans of several slices."""

    slices: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse({"slices": (self.slices >= 1, "at least 1")})


@dataclass(frozen=True, kw_only=True)
class CoilSpec(VolumeSpec):
    """Of scans with several coils, whose readout is oversampled."""

    oversampling: float = 1.25
    """Rows of k-space by rows of the images, as scanners oversample the readout."""
    coils: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse({"oversampling": (1 <= self.oversampling <= 4, "between 1 and 4"), "coils": (self.coils >= 1, "at least 1")})

    @property
    def matrix(self) -> tuple[int, int]:
        """(y, x) of kspace."""
        return (round(self.size[0] * self.oversampling), self.size[1])


@dataclass(frozen=True, kw_only=True)
class BrainSpec(CoilSpec):
    """Of brains in fastMRI's multi-coil format; `size` is that of reconstruction_rss."""

    padding: int = 2
    """Columns of k-space on each side that the scanner did not acquire: they are zero."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse({"padding": (0 <= self.padding <= self.size[1] // 4, "between 0 and a quarter of the columns")})

    def describe(self, **more: object) -> dict[str, Any]:
        """Return all that decides the pixels; without a kind, as in the first data sets that were made."""
        return {"version": self.VERSION, **more, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class KneeSpec(CoilSpec):
    """Of knees with sensitivity maps; `noise` is by the signal of fat without suppression, so that both contrasts have the same."""

    KIND = "knee"
    oversampling: float = 2.0
    noise: float = 0.025


@dataclass(frozen=True, kw_only=True)
class SiteSpec(VolumeSpec):
    """Of single-coil brains; size and noise are those of a site whose own shares of them are 1."""

    KIND = "sites"
    size: tuple[int, int] = (96, 96)


@dataclass(frozen=True, kw_only=True)
class CineSpec(ScanSpec):
    """Of cine series; `noise` is by the largest signal."""

    KIND = "cine"
    size: tuple[int, int] = (64, 64)
    frames: int = 12
    spokes: int = 13
    """Of each frame."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse(
            {"frames": (self.frames >= 1, "at least 1"), "spokes": (1 <= self.spokes <= 10_000, "between 1 and 10000")},
        )


@dataclass(frozen=True, kw_only=True)
class PairedSpec(CoilSpec):
    """Of brains with GRAPPA images; `size` is that of the images, the last columns of k-space vary from file to file."""

    KIND = "paired"
    VERSION = 2
    noise: float = 0.005
    coils: int = 8
    acceleration: float = 4.0
    """Every so many columns one is sampled; the centre comes on top."""
    center_fraction: float = 0.08
    """Part of the columns that is always sampled, in the centre: the kernels of GRAPPA are learnt there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse(
            {
                "acceleration": (1 <= self.acceleration <= 16, "between 1 and 16"),
                "center_fraction": (0 < self.center_fraction * self.acceleration <= 1, "above 0, and at most 1 / acceleration"),
            }
        )


@dataclass(frozen=True, kw_only=True)
class DigitSpec(Spec):
    """Of digits of 28 × 28 pixels in fastMRI's single-coil format."""

    KIND = "digits"
    slices: int = 100
    """Digits in a file."""
    mnist: str = ""
    """Folder with MNIST's files, from which the digits are taken; empty: they are drawn."""
    format: str = "fastmri"
    """fastmri; arrays, each file a volume of them; or idx: MNIST's own four files, val at the end of those for training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = "fastmri or arrays, as MNIST's files are idx already" if self.mnist else "fastmri, arrays or idx"
        formats = ("fastmri", "arrays") if self.mnist else ("fastmri", "arrays", "idx")
        self._refuse(
            {
                "slices": (self.slices >= 1, "at least 1"),
                "format": (self.format in formats, wanted),
            }
        )


@dataclass(frozen=True, kw_only=True)
class MaskBrainSpec(Spec):
    """Of brains for the learning of masks: tissue maps in random contrasts, seen by dipole coils, as arrays."""

    KIND = "mask_brain"
    size: tuple[int, int] = (121, 145)
    """(y, x) of the images."""
    slices: int = 40
    """Of each volume."""
    first_slice: int = 50
    """The first of them among the DEPTH slices of a head."""
    coils: int = 8
    noise_variance: float = 1e-3
    """Of the image before the coils see it; its tissues have signals of up to 20."""
    tissue_maps: str = ""
    """A NIfTI file (y, x, slice, 6) with the probability of each tissue, such as SPM's TPM.nii; empty: heads are drawn."""

    DEPTH: ClassVar[int] = 121
    """Slices of a head that is drawn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        last = self.DEPTH - self.first_slice
        self._refuse(
            {
                "size": (min(self.size) >= 16, "at least 16 pixels along each axis"),
                "first_slice": (0 <= self.first_slice < self.DEPTH, f"between 0 and {self.DEPTH - 1}"),
                "slices": (1 <= self.slices <= last, f"between 1 and {last}, the slices that a head has from --first-slice on"),
                "coils": (self.coils >= 1, "at least 1"),
                "noise_variance": (0 <= self.noise_variance < 1e3, "between 0 and 1000"),
            }
        )
