"""The words of a message: plain text, short, with the command that shows more (pure)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.messages.news import MOST_EACH, News, Standing, token
from orchestrator.results.failures import Failure, first_line, group_failures
from orchestrator.results.objectives import number
from orchestrator.store.records import Record
from orchestrator.store.states import State

Pair = tuple[Manifest, Record]

SUBJECT_CHARACTERS = 120
LINE_CHARACTERS = 160
MOST_CAUSES = 10
MOST_RUNS = 20
BEST = 5
"""So many of the best runs stand in the message itself."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, as it is kept and sent."""

    key: str
    kind: str
    at: float
    subject: str
    text: str
    tokens: tuple[str, ...] = ()
    """The ends of runs that it tells."""
    table: str = ""
    """Name of the table that goes with it; empty: none."""


def write_message(news: News, standing: Standing, now: float) -> Message:
    """Return the message that tells one thing."""
    subject, lines = _WRITERS[news.kind](news, standing)
    return Message(
        key=news.key,
        kind=news.kind,
        at=now,
        subject=visible(f"[mrsweep] {standing.grid}: {subject}", SUBJECT_CHARACTERS),
        text="\n".join(visible(line, LINE_CHARACTERS) for line in lines),
        tokens=news.tokens,
        table=f"{standing.grid}-summary.csv" if news.kind == "end" else "",
    )


def visible(text: str, most: int) -> str:
    """Return text on one line of at most `most` characters; control and direction characters are written out.

    What it returns can stand in a header: no line break gets through. The spaces that indent a line stay; others are one.
    """
    indent = " " * (len(text) - len(text.lstrip(" ")))
    flat = " ".join(text.split())
    shown = indent + "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in flat)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _start(news: News, standing: Standing) -> tuple[str, list[str]]:
    runs = _count(len(standing.pairs), "run")
    told = f"launched again, {runs}" if standing.version > 1 else f"started, {runs}"
    lines = [first_line(standing.question).removeprefix("Question: "), _states(standing), *_commands(standing, "status")]
    if len(standing.pairs) > MOST_EACH:
        lines.append(f"Of a grid of more than {MOST_EACH} runs failures are told together, not one by one.")
    return told, [line for line in lines if line]


def _failures(news: News, standing: Standing) -> tuple[str, list[str]]:
    groups = group_failures(standing.failing)
    fresh = set(news.tokens)
    new = {record.id for record in standing.failing if token(record) in fresh}
    subject = f"{_count(len(standing.failing), 'run')} failed, {_count(len(groups), 'cause')}"
    return subject, [_states(standing), *_causes(groups, new), *_commands(standing, "status", "logs")]


def _breaker(news: News, standing: Standing) -> tuple[str, list[str]]:
    reason = first_line(standing.paused.reason) if standing.paused else ""
    lines = [reason, _states(standing), *_causes(group_failures(standing.failing))]
    resume = f"When it is mended: mrsweep launch {standing.grid} --resume"
    return "paused, nothing more starts", [*lines, *_commands(standing, "status", "logs"), resume]


def _end(news: News, standing: Standing) -> tuple[str, list[str]]:
    question = first_line(standing.question).removeprefix("Question: ")
    lines = [*([question] if question else []), _states(standing), *_best(standing)]
    causes = list(_causes(group_failures(standing.failing)))
    lines += ["", "Not completed:", *causes] if causes else []
    return f"ended, {_states(standing)}", [*lines, "", *_commands(standing, "summary", "status")]


def _each(news: News, standing: Standing) -> tuple[str, list[str]]:
    fresh = set(news.tokens)
    told = [pair for pair in standing.pairs if token(pair[1]) in fresh]
    lines = [_run(pair, standing) for pair in told[:MOST_RUNS]]
    if len(told) > MOST_RUNS:
        lines.append(f"… and {len(told) - MOST_RUNS} more")
    if len(told) == 1:
        return _run(told[0], standing), [*_end_of(told[0]), *_whole(standing)]
    counts = Counter(record.state.value for _, record in told)
    subject = ", ".join(f"{count} {word}" for word, count in counts.items())
    return subject, [*lines, *_whole(standing)]


def _whole(standing: Standing) -> Iterator[str]:
    """Yield how the whole grid stands, below what is told of single runs."""
    yield f"The grid now, of {_count(len(standing.pairs), 'run')}: {_states(standing)}"
    yield from _commands(standing, "status")


_WRITERS: Mapping[str, Callable[[News, Standing], tuple[str, list[str]]]] = {
    "start": _start,
    "failures": _failures,
    "breaker": _breaker,
    "end": _end,
    "each": _each,
}


def _states(standing: Standing) -> str:
    counts = Counter(record.state for _, record in standing.pairs)
    return ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state])


def _causes(groups: Sequence[Failure], new: Iterable[str] = ()) -> Iterator[str]:
    """Yield a line for each cause: how many runs, how many of them are new, what they said."""
    fresh = set(new)
    for group in groups[:MOST_CAUSES]:
        added = sum(run_id in fresh for run_id in group.runs)
        told = f" ({added} new)" if 0 < added < len(group.runs) else ""
        yield f"  {len(group.runs):,}{told} {group.cause}: {group.message} (--signature {group.id})"
    if len(groups) > MOST_CAUSES:
        yield f"  … and {len(groups) - MOST_CAUSES} more causes"


def _best(standing: Standing) -> Iterator[str]:
    """Yield a line for each of the best runs by the grid's objective; what is not finite is never ranked."""
    objective = standing.objective
    if objective is None:
        return
    values = {record.id: number(record.best) for _, record in standing.pairs if record.state is State.COMPLETED}
    ranked = [pair for pair in standing.pairs if math.isfinite(values.get(pair[0].id, math.nan))]
    ranked.sort(key=lambda pair: values[pair[0].id], reverse=objective.mode == "max")
    if ranked:
        yield f"Best by {objective.name} ({objective.mode}):"
    for manifest, _ in ranked[:BEST]:
        yield f"  {values[manifest.id]:.6g} {manifest.id[:8]} {manifest.label}"


def _run(pair: Pair, standing: Standing) -> str:
    manifest, record = pair
    value = f", {standing.objective.name} {number(record.best):.6g}" if standing.objective and record.best is not None else ""
    cause = f" ({record.cause.value})" if record.cause else ""
    return f"{manifest.id[:8]} {record.state.value}{cause}{value}: {manifest.label}"


def _end_of(pair: Pair) -> Iterator[str]:
    manifest, record = pair
    yield manifest.label
    if record.reason:
        yield first_line(record.reason)
        yield f"Its log: mrsweep logs {manifest.id[:8]}"


def _commands(standing: Standing, *verbs: str) -> Iterator[str]:
    """Yield the commands that show more, those of the grid behind one heading."""
    heading = "Look closer: "
    for verb in verbs:
        run = next((record.id for record in standing.failing), "") if verb == "logs" else ""
        if verb != "logs":
            yield f"{heading}mrsweep {verb} {standing.grid}"
            heading = " " * len(heading)
        elif run:
            yield f"One of their logs: mrsweep logs {run[:8]}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
