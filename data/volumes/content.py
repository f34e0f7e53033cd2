"""Whether the pixels of a volume can all be read and are numbers: looked at once, where bad volumes are to be left out."""

from __future__ import annotations

import contextlib
from pathlib import Path

from data.volumes.array_batches import ArrayDataset
from data.volumes.cache import note_about
from data.volumes.cine import SeriesDataset
from data.volumes.loading import READ_PIXELS, refuse_nan
from data.volumes.reading import SliceReader
from data.volumes.sampling import Pick
from data.volumes.volume import Volume


def refuse_bad_pixels(volume: Volume, cache: Path | None) -> Volume:
    """Return a volume after all of its slices were read. Raises BadInput for one that is damaged or holds NaN or Inf, as training does.

    cache: the folder of data.cache; a note is left there that all is well, so that the next run on this node need not look again.
    """
    note = None if cache is None else note_about(volume.path, cache, f"{volume.first}-{volume.shape[0]}.good")
    if note is None or not note.exists():
        LOOKS.get(volume.layout, _read_slices)(volume, cache)
    if note is not None:
        with contextlib.suppress(OSError):  # the disk is full, or refuses: the next run looks again
            note.touch()
    return volume


def _read_series(volume: Volume, cache: Path | None) -> None:
    series = SeriesDataset((volume,), cache=cache)
    try:
        series[Pick(0, 0)]
    finally:
        series.reader.close()


def _read_array(volume: Volume, cache: Path | None) -> None:
    slices = ArrayDataset((volume,), None, cache=cache)
    try:
        for index in range(len(slices)):
            slices.__getitems__([Pick(0, index)])
    finally:
        slices.reader.close()


def _read_slices(volume: Volume, cache: Path | None) -> None:
    reader = SliceReader(cache)
    try:
        for index in range(volume.shape[0]):
            refuse_nan(READ_PIXELS[volume.layout](reader, volume, index), volume, index)
    finally:
        reader.close()


LOOKS = {"cine": _read_series, "arrays": _read_array}
"""By Volume.layout: how its pixels are read. Of all others, slice by slice from HDF5 files."""
