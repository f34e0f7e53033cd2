"""ISMRMRD files that the package ismrmrd wrote, converted: every readout at its place, the images those of the phantom."""

from __future__ import annotations

from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest
import torch
from ismrmrd.xsd import (
    encodingLimitsType,
    encodingSpaceType,
    encodingType,
    experimentalConditionsType,
    fieldOfViewMm,
    ismrmrdHeader,
    limitType,
    matrixSizeType,
    measurementInformationType,
    trajectoryType,
)

from data.convert.jobs import Job
from data.convert.options import RawOptions
from data.convert.raw_data import convert_raw, read_raw
from data.errors import BadInput
from data.kspace.fourier import fftc
from data.volumes.fastmri import read_volume

COILS, READOUT, COLUMNS, SLICES = 3, 17, 12, 2
FIRST, STEPS = 1, 9
"""Columns 1 to 9 of 12 are acquired: steps 0 to 8, step 5 being the centre, column 6."""


def header(*, depth: int = 1, trajectory: trajectoryType = trajectoryType.CARTESIAN) -> ismrmrdHeader:
    view = fieldOfViewMm(x=160, y=160, z=5)
    limits = encodingLimitsType(kspace_encoding_step_1=limitType(minimum=0, maximum=STEPS - 1, center=COLUMNS // 2 - FIRST))
    if depth > 1:
        limits.kspace_encoding_step_2 = limitType(minimum=0, maximum=depth - 1, center=depth // 2)
    encoding = encodingType(
        encodedSpace=encodingSpaceType(matrixSize=matrixSizeType(x=READOUT, y=COLUMNS, z=depth), fieldOfView_mm=view),
        reconSpace=encodingSpaceType(matrixSize=matrixSizeType(x=9, y=8, z=depth), fieldOfView_mm=view),
        encodingLimits=limits,
        trajectory=trajectory,
    )
    return ismrmrdHeader(
        experimentalConditions=experimentalConditionsType(H1resonanceFrequency_Hz=128000000),
        measurementInformation=measurementInformationType(protocolName="PDw", patientPosition="HFS"),
        encoding=[encoding],
    )


def phantom(slices: int = SLICES) -> np.ndarray:
    """k-space (slice, coil, readout, column), zero outside of the acquired columns."""
    rng = np.random.default_rng(0)
    kspace = rng.standard_normal((slices, COILS, READOUT, COLUMNS, 2), dtype=np.float32).view(np.complex64)[..., 0]
    kspace[..., :FIRST] = 0
    kspace[..., FIRST + STEPS :] = 0
    return kspace


def readout(samples: np.ndarray, step: int, **counters: int) -> ismrmrd.Acquisition:
    acquisition = ismrmrd.Acquisition.from_array(np.ascontiguousarray(samples), center_sample=samples.shape[1] // 2)
    acquisition.idx.kspace_encode_step_1 = step
    for name, value in counters.items():
        setattr(acquisition.idx, name, value)
    return acquisition


def readouts(kspace: np.ndarray) -> list[ismrmrd.Acquisition]:
    places = [(index, step) for index in range(len(kspace)) for step in range(STEPS)]
    return [readout(kspace[index, :, :, FIRST + step], step, slice=index) for index, step in reversed(places)]


def write(path: Path, acquisitions: list[ismrmrd.Acquisition], head: ismrmrdHeader | None = None) -> Job:
    with ismrmrd.Dataset(str(path), create_if_needed=True) as scan:
        scan.write_xml_header((head or header()).toXML("utf-8"))
        for acquisition in acquisitions:
            scan.append_acquisition(acquisition)
    return Job(source=path, target=path.parent / "out dir" / path.name)


def test_scan_becomes_a_volume_that_training_reads(tmp_path):
    kspace = phantom()
    job = write(tmp_path / "it's a scan.h5", readouts(kspace))
    assert convert_raw(job, RawOptions()) is False
    volume = read_volume(job.target)
    assert (volume.shape, volume.size, volume.acquired) == ((SLICES, COILS, READOUT, COLUMNS), (9, 8), (FIRST, FIRST + STEPS))
    assert (volume.acquisition, volume.patient_id) == ("PDw", "it's a scan")
    with h5py.File(job.target) as file:
        np.testing.assert_array_equal(file["kspace"][()], kspace)
        # 17 // 2 - 9 // 2 = 4, 12 // 2 - 8 // 2 = 2
        shifted = np.fft.ifftshift(kspace, (-2, -1))
        images = np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), (-2, -1))
        expected = np.sqrt((np.abs(images) ** 2).sum(1))[:, 4:13, 2:10]
        np.testing.assert_allclose(file["reconstruction_rss"][()], expected, rtol=1e-5)
    assert convert_raw(job, RawOptions()) is True


def test_averages_are_averaged_and_noise_is_left_out(tmp_path):
    kspace = phantom(1)
    noise = readout(np.full((COILS, 40), 1e6, dtype=np.complex64), 0)
    noise.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    calibration = readout(kspace[0, :, :, FIRST] * 7, 0)
    calibration.setFlag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
    again = [readout(kspace[0, :, :, FIRST + step] * 3, step, average=1) for step in range(STEPS)]
    job = write(tmp_path / "a.h5", [noise, calibration, *readouts(kspace), *again])
    np.testing.assert_allclose(read_raw(job.source)[2], 2 * kspace, rtol=1e-6)  # (1 + 3) / 2


@pytest.mark.parametrize("depth", [4, 5])
def test_third_axis_of_a_3d_scan_is_transformed_to_slices(tmp_path, depth):
    images_along_z = phantom(depth)
    kspace = fftc(torch.from_numpy(images_along_z), axes=(0,)).numpy()
    lines = [
        readout(kspace[place, :, :, FIRST + step], step, kspace_encode_step_2=place) for place in range(depth) for step in range(STEPS)
    ]
    job = write(tmp_path / "a.h5", lines, header(depth=depth))
    np.testing.assert_allclose(read_raw(job.source)[2], images_along_z, atol=1e-5)


def test_partial_echo_is_placed_by_its_centre(tmp_path):
    kspace = phantom(1)
    kspace[:, :, :5] = 0
    lines = [readout(kspace[0, :, 5:, FIRST + step], step) for step in range(STEPS)]
    for line in lines:
        line.center_sample = READOUT // 2 - 5
    job = write(tmp_path / "a.h5", lines)
    np.testing.assert_array_equal(read_raw(job.source)[2], kspace)


def test_scan_that_lacks_lines_is_no_truth_unless_asked_for(tmp_path):
    lines = readouts(phantom())
    job = write(tmp_path / "a.h5", [line for line in lines if line.idx.kspace_encode_step_1 not in (2, 3)])
    with pytest.raises(BadInput, match=r"a.h5: lacks 4 of 18 lines .*--undersampled"):
        convert_raw(job, RawOptions())
    assert convert_raw(job, RawOptions(undersampled=True)) is False


def flagged(flag: int) -> ismrmrd.Acquisition:
    line = readout(phantom(1)[0, :, :, 1], 0)
    line.setFlag(flag)
    return line


WRONG = [
    (lambda: [flagged(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)], r"holds 1 readouts, none of an image"),
    (lambda: [flagged(ismrmrd.ACQ_IS_REVERSE)], r"run backwards"),
    (lambda: [*readouts(phantom()), readout(phantom()[0, :, :, 1], 0, contrast=1)], r"holds 2 values of 'contrast'"),
    (lambda: [*readouts(phantom()), readout(phantom()[0, :2, :, 1], 0)], r"readouts have 2 and 3 coils"),
    (lambda: [readout(phantom()[0, :, :, 1], 40)], r"kspace_encode_step_1 41 to 41 lies outside of the matrix of 12"),
    (lambda: [readout(np.ones((3, 40), dtype=np.complex64), 0)], r"sample -12 to 27 lies outside of the matrix of 17"),
    (lambda: [readout(np.zeros((3, 17), dtype=np.complex64), 0)], r"zero everywhere"),
    (lambda: [readout(np.full((3, 17), np.nan, dtype=np.complex64), 0)], r"NaN or Inf"),
]


@pytest.mark.parametrize(("lines", "message"), WRONG)
def test_scan_that_is_no_volume_is_refused_with_file_and_numbers(tmp_path, lines, message):
    job = write(tmp_path / "bad.h5", lines())
    with pytest.raises(BadInput, match=message) as caught:
        convert_raw(job, RawOptions())
    assert str(job.source) in str(caught.value)


def test_scan_of_another_trajectory_is_refused(tmp_path):
    job = write(tmp_path / "a.h5", readouts(phantom()), header(trajectory=trajectoryType.RADIAL))
    with pytest.raises(BadInput, match=r"trajectory is 'radial'; only cartesian"):
        convert_raw(job, RawOptions())


def test_missing_key_and_torn_header_are_named(tmp_path):
    job = write(tmp_path / "a.h5", readouts(phantom()))
    with h5py.File(job.source, "r+") as file:
        file["dataset/xml"][0] = b"<ismrmrdHeader>"
    with pytest.raises(BadInput, match=r"a.h5: key 'dataset/xml' is no valid ISMRMRD header"):
        convert_raw(job, RawOptions())
    with h5py.File(job.source, "r+") as file:
        del file["dataset/data"]
    with pytest.raises(BadInput, match=r"a.h5: key 'dataset/data' is missing"):
        convert_raw(job, RawOptions())
    job.source.write_bytes(job.source.read_bytes()[:100])
    with pytest.raises(BadInput, match=r"a.h5: cannot be read as HDF5"):
        convert_raw(job, RawOptions())
