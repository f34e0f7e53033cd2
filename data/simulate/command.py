"""The kinds of simulated data and what the command line takes for each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from data.command_line import add_workers, kinds_parser
from data.errors import BadInput
from data.simulate.options import (
    DATASETS,
    SITES,
    SPLITS,
    BrainSpec,
    CineSpec,
    DigitSpec,
    KneeSpec,
    MaskBrainSpec,
    PairedSpec,
    SiteSpec,
    Spec,
)

EXAMPLES = """examples:
  python -m data.simulate brain --out datasets/quickstart --train 6 --val 2 --test 2
  python -m data.simulate brain --out datasets/odd --size 97x81 --coils 8 --seed 7
  python -m data.simulate knee --out datasets/knee --train 16,4 --val 2 --test 2 --workers 4
  python -m data.simulate sites --out datasets/sites --sites B F I --train 8 --slices 12
  python -m data.simulate cine --out datasets/cine --train 200 --val 20 --test 20 --size 128x128 --frames 20
  python -m data.simulate paired --out datasets/paired --train 12 --size 128x128
  python -m data.simulate digits --out datasets/digits --train 50 --val 5 --test 5
  python -m data.simulate digits --out datasets/mnist --train 550 --val 50 --test 100 --mnist downloads/mnist
  python -m data.simulate digits --out datasets/digits_arrays --train 50 --val 5 --test 5 --format arrays
  python -m data.simulate mask_brain --out datasets/mask_brain --train 24 --val 6 --test 6"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of data."""

    help: str
    spec: type[Spec]
    module: str
    """Module that does the work, imported when it is needed."""
    function: str
    """Plans the files of a data set: (out, counts, spec)."""
    counted: str = "volumes"
    """What the counts of the splits count."""
    counts: tuple[int, int, int] = (6, 2, 2)
    """In train, val and test, unless they are given."""
    groups: tuple[str, str] = ("", "")
    """Option that names the folders of the groups that a data set consists of, and what a group is; empty: there is one."""
    default_groups: tuple[str, ...] = ()
    known_groups: bool = False
    """Only the default ones are known."""


KINDS = {
    "brain": Kind(
        help="multi-coil brain scans in fastMRI's format",
        spec=BrainSpec,
        module="data.simulate.brain",
        function="brain_files",
    ),
    "knee": Kind(
        help="multi-coil knees with sensitivity maps, in two contrasts",
        spec=KneeSpec,
        module="data.simulate.knee",
        function="knee_files",
        groups=("datasets", "dataset; a name that ends with _fs: fat is suppressed"),
        default_groups=DATASETS,
    ),
    "sites": Kind(
        help="single-coil brain scans, T1 and T2, of sites with scanners of their own",
        spec=SiteSpec,
        module="data.simulate.sites",
        function="site_files",
        counted="heads of each site",
        groups=("sites", "site"),
        default_groups=SITES,
        known_groups=True,
    ),
    "cine": Kind(
        help="series of beating hearts, with the streaks of radial under-sampling and without",
        spec=CineSpec,
        module="data.simulate.cine",
        function="cine_files",
        counted="series",
        counts=(12, 4, 4),
    ),
    "paired": Kind(
        help="under-sampled brain scans with their masks and GRAPPA images, in pairs of files",
        spec=PairedSpec,
        module="data.simulate.paired",
        function="paired_files",
        counted="pairs",
    ),
    "digits": Kind(
        help="digits of 28 x 28 pixels, drawn or from MNIST's files, in fastMRI's single-coil format or as arrays",
        spec=DigitSpec,
        module="data.simulate.digits",
        function="digit_files",
        counted="files",
    ),
    "mask_brain": Kind(
        help="brains in random contrasts, seen by dipole coils, as arrays that are mapped into memory",
        spec=MaskBrainSpec,
        module="data.simulate.mask_brain",
        function="mask_brain_files",
        counts=(24, 6, 6),
    ),
}
"""Name → kind of data."""

OPTIONS: dict[str, tuple[str, str]] = {
    "size": ("YxX", "rows and columns of the images"),
    "oversampling": ("F", "rows of k-space by rows of the images"),
    "padding": ("N", "columns not acquired on each side"),
    "slices": ("N", "slices of each file"),
    "coils": ("N", "receive coils"),
    "frames": ("N", "frames of each series"),
    "spokes": ("N", "radial spokes of each frame"),
    "acceleration": ("F", "every so many columns one is sampled, the centre on top"),
    "center_fraction": ("F", "part of the columns, in the centre, that is always sampled"),
    "noise": ("F", "noise by signal"),
    "mnist": ("DIR", "folder with MNIST's four files, packed or not, to take the digits from"),
    "format": ("NAME", "fastmri, arrays that are mapped into memory, or idx for files as MNIST's"),
    "first_slice": ("N", "the first of the slices among those of a head"),
    "noise_variance": ("F", "variance of the noise in images whose tissues have signals of up to 20"),
    "tissue_maps": ("FILE", "NIfTI file with the probabilities of six tissues, such as SPM's TPM.nii, instead of drawn heads"),
    "seed": ("N", "another seed makes others"),
}
"""Field of a spec → how its value is shown, and what it is."""


def spec_of(arguments: argparse.Namespace) -> Spec:
    """Return the spec of the chosen kind. Raises BadInput for impossible values."""
    spec = KINDS[arguments.kind].spec
    return spec(**{field.name: getattr(arguments, field.name) for field in fields(spec)})


def counts_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return split → number, or group → split → number where the kind has groups. Raises BadInput for unknown or repeated groups."""
    kind = KINDS[arguments.kind]
    option = kind.groups[0]
    given = {split: getattr(arguments, split) for split in SPLITS}
    if not option:
        return given
    groups = getattr(arguments, option)
    if len(set(groups)) < len(groups):
        raise BadInput(f"--{option} names {' '.join(groups)}; each only once.")
    wrong = [group for group in groups if "/" in group or group.startswith(".") or (kind.known_groups and group not in kind.default_groups)]
    if wrong:
        known = f"known are {', '.join(kind.default_groups)}" if kind.known_groups else "it must be the name of a folder"
        raise BadInput(f"--{option}: '{wrong[0]}' is none; {known}.")
    return {group: {split: _of_group(given[split], split, place, groups) for split in SPLITS} for place, group in enumerate(groups)}


def _of_group(given: Sequence[int], split: str, place: int, groups: Sequence[str]) -> int:
    if len(given) not in (1, len(groups)):
        listed = ",".join(map(str, given))
        raise BadInput(f"--{split} is {listed}; it must be one number, or {len(groups)} for {', '.join(groups)}.")
    return given[place] if len(given) > 1 else given[0]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser, parsers = kinds_parser(
        "python -m data.simulate",
        description="Write simulated data sets in the formats that training reads. Files that are complete are kept.",
        examples=EXAMPLES,
        kinds={name: (kind.help, f"Write {kind.help}.") for name, kind in KINDS.items()},
    )
    for name, kind in KINDS.items():
        one = parsers[name]
        one.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the data set")
        add_workers(one, default=1)  # a process takes longer to start than a small file to be made
        _add_counts(one, kind)
        for field in fields(kind.spec):
            _add_option(one, field.name, _default(kind.spec, field.name))
    return parser


def _add_counts(parser: argparse.ArgumentParser, kind: Kind) -> None:
    option, group = kind.groups
    if option:
        default = list(kind.default_groups)
        text = f"folder of each {group} (default {' '.join(default)})"
        parser.add_argument(f"--{option}", nargs="+", default=default, metavar="NAME", help=text)
    for split, count in zip(SPLITS, kind.counts, strict=True):
        text = f"{kind.counted} in {split}{', or one number for each, as 16,4' if option else ''} (default {count})"
        parser.add_argument(f"--{split}", type=_counts if option else _count, default=(count,) if option else count, metavar="N", help=text)


def _add_option(parser: argparse.ArgumentParser, name: str, default: Any) -> None:
    metavar, text = OPTIONS[name]
    shown = "x".join(map(str, default)) if isinstance(default, tuple) else default
    kind = _size if name == "size" else type(default)
    said = f"{text} (default {shown})" if shown != "" else text
    parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, metavar=metavar, help=said)


def _default(spec: type[Spec], name: str) -> Any:
    (default,) = (field.default for field in fields(spec) if field.name == name)
    assert default is not MISSING
    return default


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size; write rows x columns, such as 96x80")
    return (int(parts[0]), int(parts[1]))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number; write 0 or more")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))
