"""Coil sensitivities by ESPIRiT (Uecker 2014), computed by sigpy and added to files of several coils as `esp_maps`."""

from __future__ import annotations

import json
from dataclasses import asdict

import h5py
import numpy as np
from numpy.typing import NDArray
from sigpy.mri.app import EspiritCalib  # type: ignore[import-untyped]

from data.convert.files import amended
from data.convert.jobs import Job
from data.convert.options import EspiritOptions
from data.errors import BadInput
from data.volumes.formats import KSPACE_AXES, dataset, open_file
from data.volumes.knee import MAPS_KEY, MAXIMUM_KEY, combined

OPTIONS_KEY = "espirit"
"""Attribute of the maps: JSON of the options that made them."""


def convert_espirit(job: Job, options: EspiritOptions) -> bool:
    """Add `esp_maps` (slice, coil, y, x) complex64, one set of maps for each slice. Returns True where it was done before.

    The file is replaced as a whole. Raises BadInput when it holds maps that were made otherwise, or k-space smaller than
    the calibration region.
    """
    if _holds_maps(job, options):
        return True
    with amended(job.source, without=MAPS_KEY) as (original, copy):
        kspace = dataset(original, "kspace", KSPACE_AXES)
        _refuse_small(job, kspace.shape, options)
        maps = copy.create_dataset(MAPS_KEY, kspace.shape, dtype=np.complex64, chunks=(1, *kspace.shape[1:]))
        largest = 0.0
        for index in range(kspace.shape[0]):
            coils = kspace[index].astype(np.complex64)
            if not np.isfinite(coils).all():
                raise BadInput(f"{job.source}: key 'kspace': slice {index} holds NaN or Inf. Take the file out, or make it again.")
            maps[index] = espirit_maps(coils, options)
            largest = max(largest, float(combined(coils, maps[index]).abs().max()))
        maps.attrs[OPTIONS_KEY] = _plain(options)
        maps.attrs[MAXIMUM_KEY] = largest
    return False


def espirit_maps(kspace: NDArray[np.complex64], options: EspiritOptions) -> NDArray[np.complex64]:
    """Return the sensitivities of one slice. kspace: (coil, y, x), its centre fully sampled. Returns (coil, y, x).

    Where they are not zero, sum |map|^2 over coils is 1; the phase is that of the first coil. A slice without signal has zero maps.
    """
    if not kspace.any():
        return np.zeros_like(kspace)
    calibration = EspiritCalib(
        kspace,
        calib_width=options.calibration,
        kernel_width=options.kernel,
        thresh=options.threshold,
        crop=options.crop,
        show_pbar=False,
    )
    with np.errstate(invalid="ignore"):  # the first coil may see nothing somewhere: 0 / 0
        maps: NDArray[np.complex64] = np.nan_to_num(calibration.run()).astype(np.complex64)
    return maps


def _plain(options: EspiritOptions) -> str:
    return json.dumps(asdict(options), sort_keys=True)


def _holds_maps(job: Job, options: EspiritOptions) -> bool:
    with open_file(job.source) as file:
        if MAPS_KEY not in file:
            return False
        maps = file[MAPS_KEY]
        found = maps.attrs.get(OPTIONS_KEY) if isinstance(maps, h5py.Dataset) else None
    if found == _plain(options):
        return True
    made = f"with {found}" if found else "by something else"
    raise BadInput(f"{job.source}: holds '{MAPS_KEY}' already, made {made}, asked {_plain(options)}. Work on a copy without the key.")


def _refuse_small(job: Job, shape: tuple[int, ...], options: EspiritOptions) -> None:
    if not options.kernel < options.calibration <= min(shape[2:]):
        raise BadInput(
            f"{job.source}: key 'kspace' {shape}: a calibration region of {options.calibration} must exceed the kernel of "
            f"{options.kernel} and fit into {min(shape[2:])} rows and columns. Change --calibration or --kernel."
        )
