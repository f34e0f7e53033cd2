"""What was measured: medians beside their bars, as a table, as JSON and as a page."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that was measured, several times."""

    name: str
    values: tuple[float, ...]
    unit: str = "s"
    bar: float | None = None
    """The median is to stay at or below this."""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """Return ok or MISSED, empty where there is no bar."""
        return "" if self.bar is None else "ok" if self.median <= self.bar else "MISSED"

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """Name, median, spread, bar and verdict as text."""
        bar = "" if self.bar is None else f"{self.bar:g} {self.unit}"
        return self.name, f"{self.median:.3g} {self.unit}", f"{min(self.values):.3g} … {max(self.values):.3g}", bar, self.verdict


HEAD = ("what", "median", "spread", "bar", "")


def repeat(measure: Callable[[], float], times: int = REPEATS) -> tuple[float, ...]:
    """Return what `measure` said each time; the first, which warms caches, is left out."""
    return tuple(measure() for _ in range(times + 1))[1:]


def plain_environment() -> dict[str, str]:
    """Return this environment as a user has it: compiled modules are kept."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def wall_s(command: Sequence[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> float:
    """Return the wall time of a command that must end well [s]."""
    began = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=env or plain_environment(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def machine() -> dict[str, Any]:
    """Return what a reader needs to compare: processor, cores, python, commit, and how busy it was."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "host": platform.node(),
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        "commit": commit.stdout.strip(),
        "load": round(os.getloadavg()[0], 2),
    }


def as_text(figures: Sequence[Figure]) -> str:
    """Return a table for the terminal."""
    rows = [HEAD, *(figure.row for figure in figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def write(figures: Sequence[Figure], folder: Path, about: dict[str, Any]) -> Path:
    """Write <date>-<host>.json and a page beside it; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{time.strftime('%Y-%m-%d')}-{about['host']}"
    measured = [{**asdict(figure), "median": figure.median, "verdict": figure.verdict} for figure in figures]
    (folder / f"{name}.json").write_text(json.dumps({"machine": about, "figures": measured}, indent=1) + "\n")
    page = folder / f"{name}.md"
    lines = [f"# Speed on {about['host']}, {time.strftime('%d %B %Y')}", ""]
    lines += ["{processor}, {cores} cores, Python {python}, commit {commit}, load {load}.".format(**about), ""]
    lines += [_markdown(HEAD), _markdown(("---",) * len(HEAD)), *(_markdown(figure.row) for figure in figures)]
    page.write_text("\n".join(lines) + "\n")
    return page


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
