"""What the meeting of host and node in a runs folder means for grids; pure."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import msgspec

from orchestrator.cluster.profile import Profile
from orchestrator.cluster.scheduler import Fact, Verdict
from orchestrator.doctor.node import PRIZES, Report

MEM_GB = 0.5
"""What the probe's job asks for."""

_SKEW_S = 5.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the host saw of the meeting."""

    waited_s: float
    """From the submission to the node's first word."""
    there_and_back_s: float | None = None
    """From the question to the sight of its answer; None: it never came."""
    clock_ahead_s: float = 0.0
    """How far the node's clock is ahead of ours, to half of the way there and back."""
    lock_held: bool = False
    """The node's lock kept us out."""
    won: tuple[int, ...] = ()
    done: Report | None = None
    """The report after it was replaced; None: the old one was seen to the end."""


def judge(report: Report, seen: Seen, profile: Profile) -> Iterator[Fact]:
    """Say what the meeting of host and node means for grids (pure)."""
    yield Fact(name="probe job", value=f"ran on {report.host}, {seen.waited_s:.0f} s after it was submitted")
    yield _user(report)
    yield from _python(report)
    yield _both_ways(seen, profile)
    if seen.there_and_back_s is not None:
        yield _clock(seen)
        yield from _contest(seen)
    held = report.locked and seen.lock_held
    advice = "Grids need none. Your own code may: HDF5 wants HDF5_USE_FILE_LOCKING=FALSE, SQLite another folder."
    value = "hold between host and node" if held else "do not hold between host and node"
    yield Fact(name="locks", value=value, verdict=Verdict.OK if held else Verdict.NOTE, advice="" if held else advice)
    yield from _node(report, profile)


def _user(report: Report) -> Fact:
    if report.user == os.getuid():
        return Fact(name="user on the node", value=str(report.user))
    advice = f"Here it is {os.getuid()}: files of runs would belong to another user. Ask the site."
    return Fact(name="user on the node", value=str(report.user), verdict=Verdict.BAD, advice=advice)


def _python(report: Report) -> Iterator[Fact]:
    yield Fact(name="python on the node", value=f"{report.python}, imports mrsweep")
    if report.missing:
        advice = "Grids that use them fail with import_error. Install them into that environment, or load modules in the profile."
        yield Fact(name="packages on the node", value=f"without {', '.join(report.missing)}", verdict=Verdict.NOTE, advice=advice)


def _both_ways(seen: Seen, profile: Profile) -> Fact:
    """A file made here was seen there, and one made there was seen here."""
    name, took_s, limit_s = "files both ways", seen.there_and_back_s, profile.visible_s
    if took_s is None:
        advice = f"Write into the profile a larger time than #MRSWEEP visible_s={limit_s:g}, or choose another folder with --runs DIR."
        return Fact(name=name, value=f"not seen within {2 * limit_s:.0f} s", verdict=Verdict.BAD, advice=advice)
    slow = took_s > limit_s
    advice = (
        f"A worker waits {limit_s:g} s for its files. Write into the profile: #MRSWEEP visible_s={math.ceil(2 * took_s)}" if slow else ""
    )
    return Fact(name=name, value=f"seen after {took_s:.1f} s there and back", verdict=Verdict.NOTE if slow else Verdict.OK, advice=advice)


def _clock(seen: Seen) -> Fact:
    far = abs(seen.clock_ahead_s) > _SKEW_S + (seen.there_and_back_s or 0.0) / 2
    advice = "Times in logs do not fit together; nothing is decided by them. Tell the site that NTP does not run." if far else ""
    value = f"{abs(seen.clock_ahead_s):.1f} s {'ahead of' if seen.clock_ahead_s > 0 else 'behind'} this host's"
    return Fact(name="clock of the node", value=value, verdict=Verdict.NOTE if far else Verdict.OK, advice=advice)


def _contest(seen: Seen) -> Iterator[Fact]:
    """Each prize has one winner where creation is exclusive; the replaced report is seen where rename is."""
    if seen.done is None:
        advice = "Renamed files are not seen: states would be wrong. Choose another folder with --runs DIR."
        yield Fact(name="rename", value="not seen from here in time", verdict=Verdict.BAD, advice=advice)
        return
    yield Fact(name="rename", value="seen from here")
    both = [number for number in range(PRIZES) if (number in seen.won) == (number in seen.done.won)]
    value = f"{PRIZES - len(both)} of {PRIZES} files had one creator ({len(seen.won)} here, {len(seen.done.won)} there)"
    advice = "A run could start twice, or not at all. Choose another folder with --runs DIR." if both else ""
    yield Fact(name="exclusive creation", value=value, verdict=Verdict.BAD if both else Verdict.OK, advice=advice)


def _node(report: Report, profile: Profile) -> Iterator[Fact]:
    if profile.scheduler != "local":
        limit = report.mem_limit_mb
        holds = limit is not None and limit <= 2 * MEM_GB * 1024
        value = (
            f"{report.cgroup or 'no control groups'}, {'no limit' if limit is None else f'{limit:.0f} MB'} ({MEM_GB * 1024:.0f} MB asked)"
        )
        advice = (
            "" if holds else "A run that takes too much is not ended as OUT_OF_MEMORY: the node may end others. Its measured peak decides."
        )
        yield Fact(name="memory on the node", value=value, verdict=Verdict.OK if holds else Verdict.NOTE, advice=advice)
    low = report.tmp_free_gb < 1
    advice = "Name another place in the profile, such as: export TMPDIR=/scratch/$USER" if low else ""
    value = f"{report.tmp}, {report.tmp_free_gb:,.0f} GB free"
    yield Fact(name="TMPDIR on the node", value=value, verdict=Verdict.NOTE if low else Verdict.OK, advice=advice)
    yield Fact(name="filesystem there", value=report.filesystem)
