"""All that is known of one run, as a few lines of text (pure)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from orchestrator.grid.manifest import Manifest
from orchestrator.live.glimpse import Glimpse
from orchestrator.live.rows import Look, gigabytes, left_min, value_shown
from orchestrator.live.sparkline import sparkline
from orchestrator.metrics.lines import as_float
from orchestrator.results.overview import Line

CURVE = 12
_TIED = "\N{NO-BREAK SPACE}"
TEXT_LINES = 2
METRIC_LINES = 2
"""What is longer than so many lines is cut."""


def describe(line: Line, manifest: Manifest, glimpse: Glimpse, look: Look, width: int) -> list[str]:
    """Return who the run is, how it stands, what it uses, why it waits, and its metrics at the step of its row."""
    words = look.words
    told = [*_standing(line, look), *_usage(manifest, glimpse), *_steps(glimpse, look)]
    said = [f"{line.id}  {' · '.join(told)}", _label(line), line.note]
    lines = [part for text in said for part in _wrap(words.cell(text), width)[:TEXT_LINES]]
    return [*lines, *_wrap("   ".join(_metrics(line, glimpse, look)), width)[:METRIC_LINES]]


def _wrap(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, max(width, 20), subsequent_indent="  ", break_on_hyphens=False)
    return [line.replace(_TIED, " ") for line in lines]


def _label(line: Line) -> str:
    """Return the varying keys in full."""
    return " ".join(f"{key}={value}" for key, value in line.varying.items()) or line.label


def _standing(line: Line, look: Look) -> Iterator[str]:
    yield f"{line.state} ({line.cause})" if line.cause else line.state
    if line.attempt:
        yield f"attempt {line.attempt}" + (f" on {line.node}" if line.node else "")
    if line.minutes is not None:
        yield look.words.minutes(line.minutes)
    left = left_min(line, look.typical_min)
    if left is not None:
        yield f"about {look.words.minutes(left)} left"


def _usage(manifest: Manifest, glimpse: Glimpse) -> Iterator[str]:
    asked = manifest.resources
    if glimpse.mem_gb is not None:
        yield f"memory {gigabytes(glimpse.mem_gb)} of {asked.mem_gb:g} GB"
    if glimpse.gpu_gb:
        yield f"GPU memory {gigabytes(glimpse.gpu_gb)} GB"


def _steps(glimpse: Glimpse, look: Look) -> Iterator[str]:
    """Yield of which step the values are, and how far the run came."""
    if glimpse.step is None:
        return
    beyond = f" of {glimpse.newest:g}" if glimpse.newest is not None and glimpse.newest != glimpse.step else ""
    yield f"step {glimpse.step:g}{beyond}" + (f", the best by {look.objective}" if glimpse.selected is not None else "")
    if glimpse.is_broken(look.objective):
        yield f"{look.objective} was NaN or infinite at the last report"


def _metrics(line: Line, glimpse: Glimpse, look: Look) -> Iterator[str]:
    """Yield each metric's number with its curve; its words are tied together, so that a line ends between two metrics."""
    for name in glimpse.names:
        value = as_float(value_shown(line, glimpse, name, look.objective))
        number = "" if value is None else f"{value:.4g} "
        tied = f"{name} {number}{sparkline(glimpse.curve(name), CURVE)}"
        yield look.words.cell(tied).replace(" ", _TIED)
