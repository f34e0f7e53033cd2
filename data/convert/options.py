"""What a user may say to each converter: all that decides the content of its files. Imports none of the libraries that do the work."""

from __future__ import annotations

from dataclasses import dataclass

from data.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class RawOptions:
    """Of ISMRMRD raw data."""

    undersampled: bool = False
    """Accept scans that lack lines; their images are then no truth."""


@dataclass(frozen=True, kw_only=True)
class NiftiOptions:
    """Of NIfTI volumes."""

    size: int = 256
    """Rows and columns to which slices are padded with zeros."""
    slices: tuple[int, int] | None = None
    """First and last slice that are kept, both included; None: all."""
    acquisition: str = ""
    """Written as attribute `acquisition`, such as T1."""


@dataclass(frozen=True, kw_only=True)
class EspiritOptions:
    """Of ESPIRiT maps (Uecker 2014); the defaults are those of sigpy, but for the crop."""

    calibration: int = 24
    """Rows and columns in the centre of k-space from which the maps are made."""
    kernel: int = 6
    """Rows and columns of a kernel."""
    threshold: float = 0.02
    """Singular values of the calibration matrix below this part of the largest one count as noise."""
    crop: float = 0.95
    """Maps are zero where the eigenvalue is not above this: outside of the body."""


@dataclass(frozen=True, kw_only=True)
class GrappaOptions:
    """Of GRAPPA images (Griswold 2002)."""

    rows: int = 5
    """Rows of a kernel, odd."""
    columns: int = 4
    """Sampled columns from which a missing one is computed, even: half of them on either side where there are as many."""
    damping: float = 1e-4
    """Tikhonov regularisation by the mean of the diagonal of the normal equations."""

    def __post_init__(self) -> None:
        if self.rows % 2 == 0:
            raise BadInput(f"grappa: --rows is {self.rows}; a kernel has an odd number of rows, such as 5.")
        if self.columns < 2 or self.columns % 2:
            raise BadInput(
                f"grappa: --columns is {self.columns}; a kernel has as many columns on either side. Choose 2, 4 or another even one."
            )


@dataclass(frozen=True, kw_only=True)
class ArrayOptions:
    """Of arrays that are mapped into memory."""

    slices: tuple[int, int] | None = None
    """First and last slice of each volume that are kept, both included; None: all."""


@dataclass(frozen=True, kw_only=True)
class CineOptions:
    """Of MATLAB files with cine series."""

    recon: str = "imagesRecon"
    """Variable with the images that have artefacts."""
    truth: str = "imagesTrue"
    """Variable with the images that have none."""
    axes: str = "xytn"
    """Axes of both in MATLAB: x and y of the image, t of time, n of the series."""
    val: int = 500
    """Series for validation."""
    test: int = 500
    """Series for the test; what is left trains."""
    seed: int = 102
    """Decides which series go where."""
