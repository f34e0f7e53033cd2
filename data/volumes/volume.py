"""What is known of a volume before its pixels are read, and the pixels of one slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One scan, without its pixels."""

    path: Path
    """Its file; of paired data that with the k-space, of cine data that of the whole split."""
    layout: str = "fastmri"
    """Which layout of `data.volumes.description` it is stored in."""
    shape: tuple[int, int, int, int]
    """(slice, coil, y, x) of k-space, as far as it is used; x is the phase-encoding axis, whose columns the masks select.

    Of cine data (1, frame, y, x) of the images."""
    size: tuple[int, int]
    """(y, x) of the target, to which images are cropped."""
    acquired: tuple[int, int]
    """First column of k-space that the scanner acquired, and the one after the last; the others are padding."""
    maximum: float
    """The data range of losses, and the white of pictures: the largest value of the target, of knees also in what is cropped or left out.

    Metrics take the largest true value of what they measure; of cine series they take this."""
    fingerprint: str
    """Hash of the shape and of pixels from the middle: equal for copies under another name."""
    acquisition: str = ""
    patient_id: str = ""
    first: int = 0
    """Place in the file of the first slice that is used."""
    own_name: str = ""
    """What the file calls it, where the file holds several volumes and names them."""
    group: str = ""
    """The dataset or site that it belongs to."""
    task: int | None = None
    """Number of its task in joint training, from 0; None where the layout knows no tasks."""
    mask: NDArray[np.bool_] | None = field(default=None, compare=False)
    """(x,): the columns that were sampled, where the data come with a mask of their own."""
    has_grappa: bool = False
    """Its images reconstructed by GRAPPA come with it."""
    frozen_images: Path | None = None
    """A file with the images that a frozen network makes of it, key `images` (slice, y, x)."""

    @property
    def name(self) -> str:
        """Its id: its own name or the file's without the ending, after its dataset or site. Its fixed mask is drawn from this."""
        own = self.own_name or (f"{self.path.stem}_{self.first:05d}" if self.layout == "cine" else self.path.stem)
        return f"{self.group}_{own}" if self.group else own


class Pixels(NamedTuple):
    """One slice as it is stored."""

    kspace: NDArray[np.complex64]
    """(coil, y, x)."""
    target: NDArray[np.float32]
    """(y, x): the truth, a magnitude."""
    complex_target: NDArray[np.complex64] | None = None
    """(y, x): the truth with its phase."""
    sens_maps: NDArray[np.complex64] | None = None
    """(coil, y, x)."""
    grappa: NDArray[np.float32] | None = None
    """(y, x): the image reconstructed by GRAPPA."""
    frozen_image: NDArray[np.float32] | None = None
    """(y, x): the image that a frozen network made."""
