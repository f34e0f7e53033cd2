"""How a grid stands, as lines of text: its head, why runs wait, why they failed, what would ask for less."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.cli.main import one_line
from orchestrator.cli.show import advise, cell, minutes
from orchestrator.results.advice import Advice, Suggestion
from orchestrator.results.counting import count
from orchestrator.results.failures import Failure, doubt, telling_lines, told_doubts
from orchestrator.results.overview import Overview
from orchestrator.results.spending import Spending
from orchestrator.results.waiting import Wait

FAILURES = 5
"""Groups of failures that are shown."""

WAITS = 8
"""Reasons for waiting that are shown."""

EXCERPT_LINES = 3
CAUSES = 4
"""Causes of waste that are named."""

_TIED = "\N{NO-BREAK SPACE}"
"""Keeps the words of a command on one line."""


def head(picture: Overview, width: int) -> Iterator[str]:
    """Yield how many runs are in which state, what they cost, and when somebody looked."""
    total = sum(picture.counts.values())
    yield f"{picture.grid}: {count(total, 'run')}{': ' if total else ''}{words(picture.counts)}"
    eta = f"about {minutes(picture.eta_min)} left; " if picture.eta_min is not None else ""
    yield from _wrap(f"{_spent(picture.spent)}; {eta}{_watched(picture)}", width)
    if picture.paused:
        yield from _wrap(f"PAUSED: {picture.paused}. Mend it, then: {_command(f'launch {picture.grid} --resume')}", width)


def inert(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines of which nothing from elsewhere can fool a terminal; they stay indented."""
    for line in lines:
        yield " " * (len(line) - len(line.lstrip(" "))) + one_line(line)


def words(counts: dict[str, int]) -> str:
    """Return "3 failed, 12 completed"."""
    return ", ".join(f"{number:,} {word}" for word, number in counts.items())


def age(at: float | None, now: float) -> str:
    """Return how long ago something was."""
    return "" if at is None else f"{minutes(max(0.0, now - at) / 60)} ago"


def tail(picture: Overview, width: int) -> Iterator[str]:
    """Yield why runs wait, why they stand still, and what else is worth knowing."""
    yield from _waiting(picture.waits, width)
    if picture.failures:
        yield _failed(picture.failures)
    for failure in picture.failures[:FAILURES]:
        yield from _failure(failure, picture.grid, width)
    if doubts := told_doubts(picture.failures[:FAILURES]):
        yield from _wrap(f"  {doubts}", width, indent=4)
    if len(picture.failures) > FAILURES:
        yield f"  … and {count(len(picture.failures) - FAILURES, 'more message')} (--json has them all)"
    if picture.stalled:
        yield from _stalled(picture, width)
    if picture.orphans:
        yield f"{count(picture.orphans, 'run')} {'is' if picture.orphans == 1 else 'are'} no longer in the grid file."
    yield from picture.notes


def below(picture: Overview, notes: Iterable[str], width: int) -> Iterator[str]:
    """Yield what has to be said beneath the table of runs, and how many rows it leaves out."""
    for note in notes:
        yield from _wrap(note, width)
    left = sum(picture.counts.values()) - len(picture.lines)
    if left > 0:
        yield f"… and {left:,} more (--all lists them)"


def _spent(spent: Spending) -> str:
    """Return where the hours went: "41 GPU hours spent: 31 useful, 6.0 running, 4.2 wasted (3.1 host_oom, 1.1 error)"."""
    total = spent.total
    if not total.core_hours:
        return "nothing spent yet"
    parts = [
        f"{part.told_beside(total)} {word}" for word, part in (("useful", spent.useful), ("running", spent.running)) if part.core_hours
    ]
    told = [*parts, _wasted(spent)] if spent.wasted else parts
    return f"{total.told} spent" + (f": {', '.join(told)}" if told else "")


def _wasted(spent: Spending) -> str:
    """Return "4.2 wasted (3.1 host_oom, 1.1 error)"."""
    total = spent.total
    named = [f"{one.told_beside(total)} {cause}" for cause, one in list(spent.wasted.items())[:CAUSES]]
    more = ["…"] if len(spent.wasted) > CAUSES else []
    causes = ", ".join([*named, *more]) if len(spent.wasted) > 1 else next(iter(spent.wasted))
    return f"{spent.lost.told_beside(total)} wasted ({causes})"


def _watched(picture: Overview) -> str:
    seen = f"last recorded {age(picture.looked_at, time.time())}" if picture.looked_at else ""
    if picture.janitor:
        return ", ".join(filter(None, ["a janitor watches", seen]))
    return seen or f"nobody has watched yet ({_command(f'watch {picture.grid}')})"


def _waiting(waits: Sequence[Wait], width: int) -> Iterator[str]:
    if not waits:
        return
    yield f"{count(sum(wait.runs for wait in waits), 'run')} wait{'s' * (sum(wait.runs for wait in waits) == 1)}:"
    for wait in waits[:WAITS]:
        word = f" ({wait.reason})" if wait.source == "slurm" and wait.reason and wait.reason not in wait.sentence else ""
        yield from _wrap(f"  {wait.runs:,} × {wait.sentence}{word}", width, indent=6)
        commands = f" ({', then '.join(map(_command, wait.commands))})" if wait.commands else ""
        if wait.advice:
            yield from _wrap(f"      sooner: {wait.advice}{commands}", width, indent=14)
    if len(waits) > WAITS:
        yield f"  … and for {count(len(waits) - WAITS, 'more reason')} (--json names them)"


def _failed(failures: Sequence[Failure]) -> str:
    """Return how many runs stand still, in which states, and how many different causes and messages they have."""
    total = sum(len(failure.runs) for failure in failures)
    states = sorted({state for failure in failures for state in failure.states})
    causes = {failure.cause for failure in failures}
    messages = f", {count(len(failures), 'message')}" if len(failures) > len(causes) else ""
    return f"{total:,} {' or '.join(states)}, {count(len(causes), 'cause')}{messages}:"


def _failure(failure: Failure, grid: str, width: int) -> Iterator[str]:
    yield from _wrap(f"  [{failure.id}] {len(failure.runs):,} × {failure.cause}{doubt(failure)}: {failure.message[:200]}", width, indent=6)
    yield from (_clip(f"      | {cell(line)}", width) for line in telling_lines(failure, EXCERPT_LINES))
    look, again = _command(f"logs {failure.runs[0][:8]}"), _command(f"requeue {grid} --signature {failure.id}")
    yield from _wrap(f"      look at one ({look}), submit them again ({again})", width, indent=6)


def _stalled(picture: Overview, width: int) -> Iterator[str]:
    runs = picture.stalled
    gives = "gives" if len(runs) == 1 else "give"
    yield from _wrap(f"warning: {count(len(runs), 'run')} {gives} no sign of life, though the scheduler holds the task", width)
    look, end = _command(f"logs {runs[0][:8]}"), _command(f"cancel {picture.grid} --state stalled")
    yield from _wrap(f"  look at one ({look}), end it ({end}); `stalled: resume` in the policy ends and resumes such runs", width, indent=2)


def advice_lines(advice: Iterable[Advice], grid: str, width: int) -> Iterator[str]:
    """Yield what to change in the grid file, for each kind of run."""
    found = list(advice)
    for one in found:
        yield from _wrap(f"{one.asked}: {count(one.runs, 'run')} completed", width)
        for suggestion in one.suggestions:
            yield from _suggestion(suggestion, width)
        for note in one.notes:
            yield from _wrap(f"  {note}", width, indent=4)
        if not one.suggestions and not one.notes:
            yield "  what is asked for fits what was used"
    if any(one.suggestions for one in found):
        yield from _wrap("resources and pack are no part of a run's id: what is launched from then on asks for the new values.", width)
    if not found:
        yield f"{grid}: no run is selected."


def _suggestion(suggestion: Suggestion, width: int) -> Iterator[str]:
    yield f"  {suggestion.key}: {suggestion.asked} -> {suggestion.better}{f'   {suggestion.place}' if suggestion.place else ''}"
    yield from _wrap(f"      {suggestion.reason}", width, indent=6)


def _command(words: str) -> str:
    """Return a command to type, tied together."""
    return advise(words).replace(" ", _TIED)


def _wrap(text: str, width: int, *, indent: int = 2) -> list[str]:
    """Return the lines of a text that fit the width; words that are tied together stay on one line, even where that is too long."""
    lines = textwrap.wrap(text, max(40, width), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_TIED, " ") for line in lines]


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(20, width) - 1] + "…"
