"""What a report is made from: values that were read and counted elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.results.overview import Overview
from orchestrator.tables.study import Study


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One picture of a run."""

    name: str
    """What it shows, as the entry called it: reconstruction, truth …"""
    step: int
    image: bytes
    """A small WebP file."""
    window: tuple[float, float] | None = None
    """The values that are black and white; None: nobody knows, or they are the bytes that the entry saved."""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """The pictures of one run."""

    rank: str
    """Why this run is shown: best, median, worst."""
    run: str
    frames: tuple[Frame, ...]
    left_out: int = 0
    """Pictures that are not in the report, for its size."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A grid at one moment, complete."""

    study: Study
    overview: Overview
    question: str = ""
    """The comment at the top of the grid file."""
    target: str = ""
    """The entry or the command that computes a run."""
    commit: str = ""
    """Of the code that was launched."""
    profile: str = ""
    asked: Mapping[str, Resources] = {}
    """Submission → what it asked for one run."""
    panels: Sequence[Panel] = ()
    made_at: str
    """Date and time, for people."""
    options: str = ""
    """What commands have to repeat, such as --runs DIR."""
