"""What the header of an ISMRMRD file says of its encoding: matrix sizes, limits, names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from data.errors import BadInput
from data.volumes.formats import HEADER_NAMESPACE


@dataclass(frozen=True, kw_only=True)
class RawHeader:
    """The first encoding of a scan. ISMRMRD calls the readout x; in our arrays it is the rows, phase encoding 1 the columns."""

    encoded: tuple[int, int, int]
    """Matrix of k-space: (readout, phase encoding 1, phase encoding 2)."""
    shown: tuple[int, int]
    """(readout, phase encoding 1) of the reconstruction, without oversampling."""
    centers: tuple[int, int]
    """Steps of phase encoding 1 and 2 that are the centre of k-space."""
    protocol: str
    patient_id: str


def parse_header(text: bytes, path: Path) -> RawHeader:
    """Read the XML text of an ISMRMRD header. Raises BadInput where it is torn, not Cartesian, or lacks what is needed."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise BadInput(f"{path}: key 'dataset/xml' is no valid ISMRMRD header ({error}). Copy the file again from its source.") from error
    trajectory = _text(root, "encoding/trajectory") or "cartesian"
    if trajectory != "cartesian":
        raise BadInput(f"{path}: encoding/trajectory is '{trajectory}'; only cartesian scans can be converted. Grid the data first.")
    encoded = tuple(_number(root, f"encoding/encodedSpace/matrixSize/{axis}", path) for axis in "xyz")
    shown = tuple(_number(root, f"encoding/reconSpace/matrixSize/{axis}", path) for axis in "xy")
    return RawHeader(
        encoded=(encoded[0], encoded[1], encoded[2]),
        shown=(shown[0], shown[1]),
        centers=(_center(root, 1, encoded[1]), _center(root, 2, encoded[2])),
        protocol=_text(root, "measurementInformation/protocolName"),
        patient_id=_text(root, "subjectInformation/patientID"),
    )


def _center(root: ElementTree.Element, step: int, length: int) -> int:
    text = _text(root, f"encoding/encodingLimits/kspace_encoding_step_{step}/center")
    return int(text) if text.isdecimal() else length // 2


def _number(root: ElementTree.Element, place: str, path: Path) -> int:
    text = _text(root, place)
    if not text.isdecimal() or int(text) < 1:
        raise BadInput(f"{path}: key 'dataset/xml': {place} is '{text}', it must be a number of samples. Mend the header.")
    return int(text)


def _text(root: ElementTree.Element, place: str) -> str:
    found = root.findtext("/".join(f"{{{HEADER_NAMESPACE}}}{tag}" for tag in place.split("/")))
    return (found or "").strip()
