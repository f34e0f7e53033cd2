"""The ISMRMRD header of a simulated scan: matrix sizes, field of view and encoding limits."""

from __future__ import annotations

from xml.etree import ElementTree

from data.volumes.formats import HEADER_NAMESPACE

PIXEL_MM = 2.0
SLICE_MM = 5.0


def ismrmrd_header(*, matrix: tuple[int, int], size: tuple[int, int], padding: int, coils: int, slices: int) -> bytes:
    """Return the XML text. matrix: (y, x) of k-space, size: (y, x) of the reconstruction, padding: columns not acquired on each side.

    ISMRMRD calls the readout x and the phase encoding y: rows of our arrays are its x, columns its y.
    """
    ElementTree.register_namespace("", HEADER_NAMESPACE)
    root = ElementTree.Element(_tag("ismrmrdHeader"))
    _add(root, "acquisitionSystemInformation", systemFieldStrength_T="3.0", receiverChannels=coils)
    _add(root, "experimentalConditions", H1resonanceFrequency_Hz=127_730_000)
    encoding = _add(root, "encoding")
    _add_space(encoding, "encodedSpace", matrix)
    _add_space(encoding, "reconSpace", size)
    limits = _add(encoding, "encodingLimits")
    acquired = matrix[1] - 2 * padding
    _add(limits, "kspace_encoding_step_0", minimum=0, maximum=matrix[0] - 1, center=matrix[0] // 2)
    _add(limits, "kspace_encoding_step_1", minimum=0, maximum=acquired - 1, center=matrix[1] // 2 - padding)
    _add(limits, "slice", minimum=0, maximum=slices - 1, center=slices // 2)
    _add(encoding, "trajectory").text = "cartesian"
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_space(encoding: ElementTree.Element, name: str, size: tuple[int, int]) -> None:
    space = _add(encoding, name)
    _add(space, "matrixSize", x=size[0], y=size[1], z=1)
    _add(space, "fieldOfView_mm", x=size[0] * PIXEL_MM, y=size[1] * PIXEL_MM, z=SLICE_MM)


def _add(parent: ElementTree.Element, name: str, **children: object) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, _tag(name))
    for child, value in children.items():
        ElementTree.SubElement(element, _tag(child)).text = str(value)
    return element


def _tag(name: str) -> str:
    return f"{{{HEADER_NAMESPACE}}}{name}"
