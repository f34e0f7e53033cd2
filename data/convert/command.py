"""The kinds of conversion and what the command line takes for each."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from data.command_line import add_workers, kinds_parser, positive
from data.convert.options import ArrayOptions, CineOptions, EspiritOptions, GrappaOptions, NiftiOptions, RawOptions

EXAMPLES = """examples:
  python -m data.convert ismrmrd downloads/mridata --out datasets/knee --workers 2
  python -m data.convert nifti brats/train --out datasets/B/T1/train --ending _t1.nii.gz --slices 14:134 --acquisition T1
  python -m data.convert espirit datasets/knee
  python -m data.convert grappa datasets/paired/train
  python -m data.convert arrays datasets/brain --out datasets/brain_arrays --slices 4:11
  python -m data.convert cine trainData.mat testData.mat --out datasets/cine --val 500 --test 500"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of conversion."""

    help: str
    module: str
    """Module that does the work, imported when it is needed."""
    function: str
    options: type
    endings: tuple[str, ...]
    """Of the files that are looked for in folders."""
    add: Callable[[argparse.ArgumentParser], None]
    """Adds the kind's own options to its parser."""
    amends: bool = False
    """Adds to the files it is given, instead of writing others."""
    pairs: bool = False
    """Takes pairs of files."""
    joins: bool = False
    """Makes one data set of all sources together."""


def options_of(arguments: argparse.Namespace) -> Any:
    """Return the options of the chosen kind."""
    options = KINDS[arguments.kind].options
    return options(**{field.name: getattr(arguments, field.name) for field in fields(options)})


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser, parsers = kinds_parser(
        "python -m data.convert",
        description="Convert data sets to the formats that training reads. Files that are done are kept; each is written as a whole.",
        examples=EXAMPLES,
        kinds={name: (kind.help, kind.help) for name, kind in KINDS.items()},
    )
    for name, kind in KINDS.items():
        one = parsers[name]
        one.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="files, or folders with all below them")
        if kind.amends:
            one.set_defaults(out=None)
        else:
            one.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the converted files")
        _add_running(one, kind)
        kind.add(one)
    return parser


def _add_running(parser: argparse.ArgumentParser, kind: Kind) -> None:
    if kind.joins:
        parser.set_defaults(workers=1, skip_bad=False)
        return
    add_workers(parser, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--skip-bad", action="store_true", help="leave out files that cannot be converted, with a warning")


def _add_raw(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--undersampled", action="store_true", help="accept scans that lack lines; their images are no truth")


def _add_nifti(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ending", dest="endings", action="append", metavar="TEXT", help="end of the names to take, such as _t1.nii.gz")
    _number(parser, NiftiOptions, "size", "rows and columns to which slices are padded")
    parser.add_argument("--slices", type=_slices, metavar="FIRST:LAST", help="slices to keep, both included; 14:134 for BraTS")
    parser.add_argument("--acquisition", default="", metavar="NAME", help="what the images are, such as T1; written as an attribute")


def _add_espirit(parser: argparse.ArgumentParser) -> None:
    _number(parser, EspiritOptions, "calibration", "rows and columns of the calibration region")
    _number(parser, EspiritOptions, "kernel", "rows and columns of a kernel")
    _number(parser, EspiritOptions, "threshold", "smaller singular values, by the largest, are noise")
    _number(parser, EspiritOptions, "crop", "maps are zero where the eigenvalue is not above")


def _add_grappa(parser: argparse.ArgumentParser) -> None:
    _number(parser, GrappaOptions, "rows", "rows of a kernel, odd")
    _number(parser, GrappaOptions, "columns", "sampled columns of a kernel")
    _number(parser, GrappaOptions, "damping", "regularisation by the mean of the normal equations' diagonal")


def _add_arrays(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--slices", type=_slices, metavar="FIRST:LAST", help="slices of each volume to keep, both included; all of them")


def _add_cine(parser: argparse.ArgumentParser) -> None:
    for name, text in (("recon", "variable of the images with artefacts"), ("truth", "variable of the images without")):
        parser.add_argument(f"--{name}", default=_default(CineOptions, name), metavar="NAME", help=f"{text} (default %(default)s)")
    parser.add_argument("--axes", default=_default(CineOptions, "axes"), help="axes of both in MATLAB (default %(default)s; n: series)")
    _number(parser, CineOptions, "val", "series for validation")
    _number(parser, CineOptions, "test", "series for the test")
    _number(parser, CineOptions, "seed", "decides which series go where")


def _number(parser: argparse.ArgumentParser, options: type, name: str, text: str) -> None:
    default = _default(options, name)
    kind = positive if isinstance(default, int) and name != "seed" else type(default)
    parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{text} (default %(default)s)")


def _default(options: type, name: str) -> Any:
    (default,) = (field.default for field in fields(options) if field.name == name)
    assert default is not MISSING
    return default


def _slices(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"'{text}' is no range of slices; write the first and the last, such as 14:134")
    return int(first), int(last)


KINDS = {
    "ismrmrd": Kind(
        help="ISMRMRD raw data, as mridata.org delivers them, to fastMRI's multi-coil files",
        module="data.convert.raw_data",
        function="convert_raw",
        options=RawOptions,
        endings=(".h5",),
        add=_add_raw,
    ),
    "nifti": Kind(
        help="NIfTI volumes, as those of BraTS and IXI, to fastMRI's single-coil files, padded",
        module="data.convert.nifti",
        function="convert_nifti",
        options=NiftiOptions,
        endings=(".nii.gz", ".nii"),
        add=_add_nifti,
    ),
    "espirit": Kind(
        help="add ESPIRiT maps to multi-coil files, as esp_maps",
        module="data.convert.espirit",
        function="convert_espirit",
        options=EspiritOptions,
        endings=(".h5",),
        add=_add_espirit,
        amends=True,
    ),
    "grappa": Kind(
        help="add GRAPPA images to the files of image/, from those of kspace/ beside it",
        module="data.convert.grappa_images",
        function="convert_grappa",
        options=GrappaOptions,
        endings=(".h5",),
        add=_add_grappa,
        amends=True,
        pairs=True,
    ),
    "arrays": Kind(
        help="fastMRI's files in folders train, val and test to arrays that are mapped into memory",
        module="data.convert.arrays",
        function="convert_arrays",
        options=ArrayOptions,
        endings=(".h5",),
        add=_add_arrays,
        joins=True,
    ),
    "cine": Kind(
        help="MATLAB v7.3 files with cine series to train.h5, val.h5 and test.h5",
        module="data.convert.cine",
        function="convert_cine",
        options=CineOptions,
        endings=(".mat",),
        add=_add_cine,
        joins=True,
    ),
}
"""Name → kind of conversion."""
