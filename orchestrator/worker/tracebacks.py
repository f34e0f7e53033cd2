"""Python's tracebacks in the text of a log, of one process or of several ranks side by side (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from orchestrator.worker.signatures import Frame

HEADER = "Traceback (most recent call last)"
_BEFORE = r"[\s|+]*(?:Original |Exception Group )?"
_FRAME = r"[\s|]*File \"(?P<file>[^\"]{1,500})\", line \d+(?:, in (?P<function>.{1,200}))?"
_EXCEPTION = r"[\s|]*(?P<kind>[A-Za-z_][\w.]{0,150})(?:: (?P<text>.*)|:?\s*)$"
_HANDLING = r"[\s|]*(During handling of the above exception|The above exception was the direct cause)"
_ASIDE = r"Exception ignored in|Exception in thread|Exception in callback|Logging error|Error in atexit"
_RANK = r"\[(?:rank|default)(\d{1,5})\]:? ?"
_LABEL = r"(\d{1,5}): "

MORE_LINES = 3
"""Lines of a message beyond its first, where that ends with a colon or is empty."""


class Line(NamedTuple):
    """One line of a log."""

    number: int
    rank: str
    text: str


class Raised(NamedTuple):
    """One exception, as the log tells it."""

    kind: str
    """Its type, without its module."""
    text: str
    frames: tuple[Frame, ...]
    """The outermost first."""
    rank: str
    first: int
    last: int
    """Numbers of its lines."""
    lines: tuple[str, ...]
    follows: str = ""
    """How it came after the one before it in the log: "handling", "from", or "" when it has nothing to do with it."""
    aside: bool = False
    """Raised where it ended nothing: in a thread or a destructor."""


def numbered(lines: Sequence[str]) -> list[Line]:
    """Return the lines with the rank that wrote each, "" where none is named."""
    labelled = any(re.match(_LABEL, line) and "Traceback (most recent call last)" in line for line in lines)
    found = []
    for number, line in enumerate(lines):
        match = re.match(_RANK, line) or (re.match(_LABEL, line) if labelled else None)
        found.append(Line(number, match[1], line[match.end() :]) if match else Line(number, "", line))
    return found


def raised_in(lines: Sequence[Line]) -> list[Raised]:
    """Return all exceptions whose tracebacks the lines hold, in the order of their ends."""
    by_rank: dict[str, list[Line]] = {}
    for line in lines:
        by_rank.setdefault(line.rank, []).append(line)
    found = [raised for one in by_rank.values() for raised in _of_one(one)]
    return sorted(found, key=lambda raised: raised.last)


def chains(found: Iterable[Raised]) -> list[list[Raised]]:
    """Group exceptions that were raised from or while handling another, the oldest first."""
    grouped: list[list[Raised]] = []
    newest: dict[str, list[Raised]] = {}
    for raised in found:
        chain = newest.get(raised.rank)
        if raised.follows and chain is not None:
            chain.append(raised)
        else:
            newest[raised.rank] = [raised]
            grouped.append(newest[raised.rank])
    return sorted(grouped, key=lambda chain: chain[-1].last)


def _of_one(lines: Sequence[Line]) -> Iterator[Raised]:
    """Yield the exceptions of one rank."""
    place, aside, follows = 0, False, ""
    while place < len(lines):
        text = lines[place].text
        handling = re.match(_HANDLING, text)
        if handling:
            follows = "handling" if handling[1].startswith("During") else "from"
        aside = aside or re.search(_ASIDE, text) is not None
        if HEADER not in text and not re.match(_FRAME, text):
            place += 1
            continue
        raised, place = _read(lines, place)
        if raised is None:
            continue
        yield raised._replace(aside=aside, follows=follows)
        aside, follows = False, ""


def _read(lines: Sequence[Line], start: int) -> tuple[Raised | None, int]:
    """Read one traceback; return it, None where its last line is missing, and the place after it."""
    indent = _indent(lines[start].text)
    place = start + 1 if HEADER in lines[start].text else start
    while place < len(lines) and lines[place].text[indent : indent + 1].isspace():
        place += 1
    body = lines[start:place]
    match = re.match(_EXCEPTION, lines[place].text) if place < len(lines) and HEADER not in lines[place].text else None
    if match is None:
        return None, max(place, start + 1)
    words, end = _words(lines, place, match["text"] or "")
    frames = tuple(Frame(found["file"], found["function"] or "") for line in body if (found := re.match(_FRAME, line.text)))
    return (
        Raised(
            kind=match["kind"].rpartition(".")[2],
            text=words,
            frames=frames,
            rank=lines[place].rank,
            first=lines[start].number,
            last=lines[end - 1].number,
            lines=(*(line.text for line in body), *(line.text for line in lines[place:end])),
        ),
        end,
    )


def _indent(text: str) -> int:
    """Return how far the header of a traceback is indented: its body is indented further, its last line is not.

    A header that a logger wrote after words of its own, or one that the beginning of the log cut off, counts as not indented.
    """
    before = text.partition(HEADER)[0] if HEADER in text else ""
    return len(before) - len(before.lstrip(" |+")) if re.fullmatch(_BEFORE, before) else 0


def _words(lines: Sequence[Line], place: int, first: str) -> tuple[str, int]:
    """Return the message that begins at `place`, and the place after it."""
    end = place + 1
    while end < len(lines) and lines[end].text.startswith(", "):  # the HDF5 library breaks its messages after a time
        end += 1
    if first.strip() and not first.rstrip().endswith(":"):
        return " ".join([first.strip(), *(line.text.strip() for line in lines[place + 1 : end])]), end
    while end < len(lines) and end <= place + MORE_LINES and lines[end].text.strip() and HEADER not in lines[end].text:
        end += 1
    return "\n".join([first.strip(), *(line.text.strip() for line in lines[place + 1 : end])]).strip(), end
