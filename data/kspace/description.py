"""What a mask is to be, as a config says it. Imports neither numpy nor torch, so that a login node can check 10,000 of these."""

from __future__ import annotations

from itertools import product

import msgspec
from msgspec import structs

from data.limits import choice, limit

COLUMN_KINDS = ("random", "equispaced", "equispaced_fraction", "magic", "magic_fraction")
"""They sample whole columns; data/kspace/columns.py draws them."""
CENTRE_ON_TOP = ("equispaced", "magic")
"""Columns of which the centre is sampled besides those of the spacing: it may be as large as it likes."""
PLANE_KINDS = ("uniform", "column_uniform", "caipirinha", "tile_random", "poisson_disc")
"""They sample points of a plane of two phase-encoding axes; data/kspace/planes.py and poisson.py draw them."""
FIXED_KINDS = ("uniform", "column_uniform", "caipirinha", "tile_random")
"""They follow from their description alone: all slices have the same."""
LEARNED_KINDS = ("learned",)
"""The network samples points where it has learned to; the data come fully sampled. models/sampling/ learns them."""
KINDS = (*COLUMN_KINDS, *PLANE_KINDS, *LEARNED_KINDS)
CALIBRATIONS = ("none", "square", "column")
ROUNDINGS = ("straight_through", "bernoulli")
TILE_POINTS = 16
"""Points of the tile of 4 × 4 that tile_random repeats."""

BELONGS_TO = {
    "acceleration_y": ("uniform", "caipirinha"),
    "shift": ("caipirinha",),
    "seed": ("tile_random",),
    "density_slope": ("poisson_disc",),
    "calibration": (*PLANE_KINDS, *LEARNED_KINDS),
    "tile": LEARNED_KINDS,
    "noise_std": LEARNED_KINDS,
    "noise_end": LEARNED_KINDS,
    "noise_epochs": LEARNED_KINDS,
    "rounding": LEARNED_KINDS,
}
"""Key → kinds that read it; elsewhere it has to keep its default."""


class MaskDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where k-space is sampled: fresh in training, fixed for each volume in validation and test.

    `kind` tells which of the other keys are read. It is a plain field and no tag, so that the ids of runs stay what they were
    when masks had columns only. docs/data.md has a table of the kinds with formulas and sources.
    """

    kind: str = "random"
    """Columns: random, equispaced, equispaced_fraction, magic, magic_fraction. Points: uniform, column_uniform, caipirinha,
    tile_random, poisson_disc; learned by the network: learned."""
    acceleration: float = 4.0
    """Positions in all by positions sampled."""
    center_fraction: float = 0.08
    """Part of an axis that is always sampled, in the centre: of the columns, or of each axis that `calibration` bounds."""
    calibration: str = "none"
    """Of points: the part of the centre that is always sampled, within the budget: none, a square, or columns from edge to edge."""
    acceleration_y: int | None = None
    """Spacing of rows of uniform and caipirinha; columns have acceleration / acceleration_y. None: as equal as can be, rows closer."""
    shift: int = 1
    """Of caipirinha: rows by which each sampled column lies lower than the one before."""
    seed: int = 0
    """Of tile_random: which points of the tile."""
    density_slope: float = 0.0
    """Of poisson_disc: the distance of points at the edge is 1 + density_slope times that in the centre. 0: the same everywhere."""
    tile: tuple[int, int] = (4, 4)
    """Of learned: (y, x) of the pattern that is learned and repeated over k-space; the size of k-space itself repeats nothing."""
    noise_std: float = 0.05
    """Of learned: standard deviation of the noise that training adds to the probability of each point, anew for each sample."""
    noise_end: float | None = None
    """Of learned: the standard deviation that the noise falls to, as exp(-epoch / noise_epochs). None: it stays."""
    noise_epochs: float = 2.4
    """Of learned: epochs in which the noise falls to noise_end by a factor of e."""
    rounding: str = "straight_through"
    """Of learned, in training: straight_through samples the most probable points, bernoulli draws points by their probability."""

    def __post_init__(self) -> None:
        choice("mask.kind", self.kind, KINDS)
        choice("mask.calibration", self.calibration, CALIBRATIONS)
        limit("mask.acceleration", self.acceleration, 1 <= self.acceleration <= 1000, "between 1 and 1000")
        limit("mask.center_fraction", self.center_fraction, 0 <= self.center_fraction <= 1, "between 0 and 1")
        self._check_budget()
        self._check_foreign_keys()
        self._check_kind()

    def _check_budget(self) -> None:
        if self.kind in CENTRE_ON_TOP:
            return
        factors = 1 if self.kind in COLUMN_KINDS else {"none": 0, "square": 2, "column": 1}[self.calibration]
        product = self.center_fraction**factors * self.acceleration if factors else 0.0
        power = " squared" if factors == 2 else ""
        wanted = "at most 1, else the centre alone exceeds the budget"
        limit(f"mask.center_fraction{power} * mask.acceleration", product, product <= 1, wanted)

    def _check_foreign_keys(self) -> None:
        defaults = dict(zip(self.__struct_fields__, self.__struct_defaults__, strict=True))
        for key, kinds in BELONGS_TO.items():
            value = getattr(self, key)
            if self.kind not in kinds and value != defaults[key]:
                raise ValueError(f"mask.{key} is {value!r}, but {self.kind} does not read it; only {', '.join(kinds)} can. Leave it out")

    def _check_kind(self) -> None:
        limit("mask.seed", self.seed, 0 <= self.seed < 2**32, "0 or more, below 2 ** 32")
        limit("mask.density_slope", self.density_slope, 0 <= self.density_slope <= 100, "between 0 and 100")
        if self.kind in ("magic", "uniform", "column_uniform", "caipirinha"):
            limit("mask.acceleration", self.acceleration, float(self.acceleration).is_integer(), f"a whole number for {self.kind}")
        if self.kind == "tile_random":
            points = TILE_POINTS / self.acceleration
            limit("mask.acceleration", self.acceleration, points.is_integer(), "16, 8, 4, 2 or another part of 16 points for tile_random")
        if self.kind in ("uniform", "caipirinha"):
            self._check_spacing()
        self._check_learned()

    def _check_learned(self) -> None:
        limit("mask.tile", self.tile, min(self.tile) >= 1, "a size (y, x) of 1 or more points")
        limit("mask.noise_std", self.noise_std, 0 <= self.noise_std <= 100, "between 0 and 100")
        limit("mask.noise_end", self.noise_end, self.noise_end is None or 0 <= self.noise_end <= self.noise_std, "at most mask.noise_std")
        limit("mask.noise_epochs", self.noise_epochs, 0 < self.noise_epochs < 1e6, "above 0 epochs")
        choice("mask.rounding", self.rounding, ROUNDINGS)

    def _check_spacing(self) -> None:
        whole = self.acceleration_y is None or (self.acceleration_y >= 1 and self.acceleration % self.acceleration_y == 0)
        limit("mask.acceleration_y", self.acceleration_y, whole, f"a divisor of mask.acceleration, {self.acceleration:g}")
        if self.kind == "caipirinha":
            limit("mask.acceleration", self.acceleration, self.acceleration > 1, "2 or more for caipirinha")
            rows, columns = self.spacing
            if rows == 1:
                spacing = next(part for part in range(2, columns + 1) if columns % part == 0)
                asked = f"mask.acceleration is {self.acceleration:g}, rows by columns {rows} x {columns}"
                raise ValueError(f"{asked}; caipirinha shifts rows: set mask.acceleration_y: {spacing}")
            limit("mask.shift", self.shift, 1 <= self.shift < rows, f"between 1 and {rows - 1}, below the spacing of rows")

    @property
    def spacing(self) -> tuple[int, int]:
        """Spacing of rows and of columns of uniform, column_uniform and caipirinha: (y, x), their product is the acceleration."""
        total = round(self.acceleration)
        if self.kind == "column_uniform":
            return 1, total
        rows = self.acceleration_y or max(part for part in range(1, total + 1) if total % part == 0 and part * part <= total)
        return rows, total // rows


class MaskRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From what the masks of training are drawn: for each sample one pair of these, uniformly. All else is as in the mask of the config."""

    accelerations: tuple[float, ...] = (5.0, 6.0, 7.0)
    """Positions in all by positions sampled."""
    center_fractions: tuple[float, ...] = (0.05, 0.06, 0.07)
    """Part of an axis that is always sampled."""

    def __post_init__(self) -> None:
        limit("train_mask.accelerations", self.accelerations, bool(self.accelerations), "one or more numbers")
        limit("train_mask.center_fractions", self.center_fractions, bool(self.center_fractions), "one or more numbers")

    def of(self, mask: MaskDescription) -> tuple[MaskDescription, ...]:
        """Return a mask for each pair. Raises ValueError for a pair that `mask`'s kind cannot have."""
        pairs = product(self.accelerations, self.center_fractions)
        return tuple(structs.replace(mask, acceleration=acceleration, center_fraction=fraction) for acceleration, fraction in pairs)
