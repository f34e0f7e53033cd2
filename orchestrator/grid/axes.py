"""Axes: a key with its values, written out, counted off, or drawn at random."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from orchestrator.grid.dotted import check_key
from orchestrator.grid.loading import Mark, Node, plain, read_text, resolve_scalar, show
from orchestrator.store.errors import SpecError, did_you_mean

_FORMS = ("range", "linspace", "logspace")
_DISTRIBUTIONS = ("choice", "uniform", "loguniform", "range")


def tidy(number: float) -> float:
    """Round to 12 significant digits: 0.3 instead of 0.30000000000000004, and the same on machines whose libm differs."""
    return float(f"{number:.12g}")


@dataclass(frozen=True)
class Spaced(Sequence[float]):
    """`length` values from `start` to `stop`, both included, evenly spaced in value or in logarithm; computed when asked."""

    start: float
    stop: float
    length: int
    logarithmic: bool = False

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.length))]
        if not 0 <= index < self.length:
            raise IndexError(index)
        if index == 0:
            return self.start
        if index == self.length - 1:
            return self.stop
        part = index / (self.length - 1)
        if self.logarithmic:
            return tidy(math.exp(math.log(self.start) + part * (math.log(self.stop) - math.log(self.start))))
        return _like_the_ends(tidy(self.start + part * (self.stop - self.start)), self.start, self.stop)


def _like_the_ends(value: float, start: float, stop: float) -> float:
    """Whole numbers between whole numbers stay whole, for keys that must be integers."""
    return int(value) if isinstance(start, int) and isinstance(stop, int) and value.is_integer() else value


@dataclass(frozen=True)
class Distribution:
    """What a random axis draws from."""

    draw_from: Callable[[int], Any]
    """Turns 128 random bits into a value."""

    def draw(self, seed: int, key: str, index: int) -> Any:
        """Return draw `index` of the axis `key`: a function of these three alone, whatever else the grid holds."""
        digest = hashlib.sha256(f"mrsweep-draw\n{seed}\n{key}\n{index}".encode()).digest()
        return self.draw_from(int.from_bytes(digest[:16], "big"))


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One key that varies."""

    key: str
    mark: Mark
    values: Sequence[Any] | Distribution
    bundle: str = ""
    """Axes of one bundle move together; empty: the axis moves alone. Random axes are the bundle "random"."""

    @property
    def told(self) -> str:
        """Where it stands and what it holds, for messages: grid.seed holds [1, 2]."""
        section = "grid" if not self.bundle else "random.axes" if self.bundle == "random" else "zip"
        held = show(list(self.values[:20])) if isinstance(self.values, Sequence) else "a distribution"
        return f"{section}.{self.key} holds {held}"


def parse_values(key: str, node: Node, section: str) -> Sequence[Any]:
    """Read the values of an axis of grid or zip: a list, or one of range, linspace and logspace."""
    where = f"{node.mark}: {section}.{key}"
    if node.is_list:
        if not node.value:
            raise SpecError(f"{where} holds [] and has no values, so the grid would be empty. Give it a value, or remove the line.")
        return list(plain(node))
    if node.is_mapping and len(node.value) == 1 and next(iter(node.value)) in _FORMS:
        return _counted(where, *next(node.items()))
    if node.is_mapping:
        names = ", ".join(node.value) or "nothing"
        raise SpecError(
            f"{where} holds a mapping of {names}; an axis is a list, or one of range, linspace, logspace. Write its key dotted: "
            f"{section}.{key}.NAME."
        )
    raise SpecError(
        f"{where} holds {show(node)}; an axis is a list of values. Write [{show(node).strip(chr(39))}], or set it under config:."
    )


def _counted(where: str, form: str, node: Node) -> Sequence[Any]:
    if form == "range":
        return _range(where, node)
    start, stop, length = _numbers(where, form, node, "[start, stop, n]", (3,))
    if length != int(length) or length < 1:
        raise SpecError(f"{where}: {form} holds n = {length}; n counts the values. Write a whole number of at least 1.")
    if form == "logspace" and (start <= 0 or stop <= 0):
        raise SpecError(
            f"{where}: logspace holds {show(node)}; start and stop are values, not exponents, and must be positive. Write [0.001, 0.1, 3]."
        )
    return Spaced(start, stop, int(length), form == "logspace")


def _range(where: str, node: Node) -> range:
    numbers = _numbers(where, "range", node, "[start, stop] or [start, stop, step]", (2, 3))
    if not all(isinstance(number, int) for number in numbers):
        raise SpecError(
            f"{where}: range holds {show(node)}; it counts in whole numbers. Write integers, or use linspace: [start, stop, n]."
        )
    if len(numbers) == 3 and numbers[2] == 0:
        raise SpecError(f"{where}: range holds {show(node)}, whose step is 0. Write another step.")
    counted = range(*[int(number) for number in numbers])
    if not counted:
        raise SpecError(
            f"{where}: range holds {show(node)} and has no values; the stop is not included. Write [start, stop] with stop beyond start."
        )
    return counted


def _numbers(where: str, form: str, node: Node, shape: str, lengths: tuple[int, ...]) -> list[float]:
    """Return the finite numbers of a list."""
    values = [child.value for child in node.value] if node.is_list else []
    good = all(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in values)
    if len(values) not in lengths or not good:
        raise SpecError(f"{where}: {form} holds {show(node)}; it takes numbers. Write {form}: {shape}.")
    return values


def parse_distribution(key: str, node: Node) -> Distribution:
    """Read what a random axis draws from: {choice: […]}, {uniform: [a, b]}, {loguniform: [a, b]}, {range: [a, b]} (b excluded)."""
    where = f"{node.mark}: random.axes.{key}"
    if not node.is_mapping or len(node.value) != 1:
        raise SpecError(
            f"{where} holds {show(node)}; a random axis names one distribution. Write {{choice: [a, b]}}, {{uniform: [0, 1]}}, "
            f"{{loguniform: [1e-5, 1e-2]}} or {{range: [0, 10]}}."
        )
    name, given = next(node.items())
    if name not in _DISTRIBUTIONS:
        raise SpecError(f"{where}: the distribution {name!r} is unknown. {did_you_mean(name, _DISTRIBUTIONS)}")
    if name in ("choice", "range"):
        values = _range(where, given) if name == "range" else _choices(where, given)
        return Distribution(lambda bits: values[bits % len(values)])
    return Distribution(_continuous(where, name, given))


def _choices(where: str, node: Node) -> list[Any]:
    if not node.is_list or not node.value:
        raise SpecError(f"{where}: choice holds {show(node)}; it takes a list with at least one value. Write choice: [a, b].")
    return list(plain(node))


def _continuous(where: str, name: str, node: Node) -> Callable[[int], float]:
    low, high = _numbers(where, name, node, "[low, high]", (2,))
    if not low < high or (name == "loguniform" and low <= 0):
        rule = "low must be positive and below high" if name == "loguniform" else "low must be below high"
        raise SpecError(f"{where}: {name} holds {show(node)}; {rule}. Write {name}: [low, high].")
    if name == "uniform":
        return lambda bits: tidy(low + (high - low) * _fraction(bits))
    log_low, log_high = math.log(low), math.log(high)
    return lambda bits: tidy(math.exp(log_low + (log_high - log_low) * _fraction(bits)))


def _fraction(bits: int) -> float:
    """Turn 128 bits into a number of [0, 1)."""
    return (bits >> 75) * 2.0**-53


def read_columns(path: Path, mark: Mark) -> dict[str, Node]:
    """Read a csv file: the header names the keys, each column holds their values (typed like YAML scalars)."""
    try:
        text = read_text(path)
        rows = [(Mark(str(path), number), row) for number, row in _csv_rows(text)]
    except SpecError as error:
        raise SpecError(f"{mark}: zip names a csv file that fails: {error}") from error
    except csv.Error as error:
        raise SpecError(f"{mark}: zip names {path}, which is not valid csv ({error}). Save it anew as comma separated text.") from error
    if len(rows) < 2:
        raise SpecError(f"{mark}: {path} holds no row of values; a csv file for zip has a header and at least one row. Add them.")
    header_mark, header = rows[0]
    columns = [check_key(name.strip(), Node(None, header_mark)) for name in header]
    if len(set(columns)) != len(columns):
        raise SpecError(f"{header_mark}: the header {show(header)} names a column twice. Remove one of the two.")
    for row_mark, row in rows[1:]:
        if len(row) != len(columns):
            raise SpecError(f"{row_mark}: holds {show(row)} where the columns are {show(columns)}. Give each column one value.")
    return {name: Node([_cell(row[place], row_mark, name) for row_mark, row in rows[1:]], mark) for place, name in enumerate(columns)}


def _csv_rows(text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    return [(reader.line_num, row) for row in reader if row]


def _cell(text: str, mark: Mark, column: str) -> Node:
    if not text.strip():
        raise SpecError(f"{mark}: the column {column} is empty. Write a value, or null.")
    try:
        return Node(resolve_scalar(text.strip()), mark)
    except ValueError as error:
        raise SpecError(f"{mark}: the column {column} holds {text[:40]}, which {error}.") from error
