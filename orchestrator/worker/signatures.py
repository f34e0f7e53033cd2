"""What is equal for failures of one reason: the type, the innermost frame of the user's code, the text without its numbers (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

SIGNATURE_LENGTH = 300
TEXT_LENGTH = 2000
"""Characters of a message that are looked at."""

_LIBRARY = r"site-packages|dist-packages|[/\\]lib\d*[/\\]python\d|^<|\.p(yx|xd|xi)$"
_CHANGING = (
    (r"(?i)\[rank ?\d+\]:? ?|\brank[ :=]+\d+", ""),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,12}", "#"),
    (r"(?:[A-Za-z]:)?(?:[/\\][^/\\\s'\":,()]+){1,64}[/\\]([^/\\\s'\":,()]+)", r"\1"),
    (r"(?i)\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b", "#"),
    (r"(?i)[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?|\b(?:nan|inf)\b", "#"),
    (r"(?i)# ?(?:[kmgt]i?b|bytes?)\b", "#"),
    (r"#(?:[,x] ?#)+,?", "#"),
)
"""Ranks, times, folders, addresses and hashes, numbers, sizes and shapes: what differs between the configs of one grid."""


class Frame(NamedTuple):
    """One line of a traceback: where."""

    file: str
    function: str

    @property
    def is_library(self) -> bool:
        """Whether nobody of the project wrote it."""
        return re.search(_LIBRARY, self.file) is not None


def signature(kind: str, frames: Sequence[Frame], text: str) -> str:
    """Return the signature of an exception: `kind` is its type, `frames` go from the outermost to the innermost."""
    place = innermost(frames)
    where = f"{PurePath(place.file).name}:{place.function}" if place else ""
    return f"{kind} {where} {without_numbers(text[:TEXT_LENGTH])}"[:SIGNATURE_LENGTH]


def innermost(frames: Sequence[Frame]) -> Frame | None:
    """Return the innermost frame outside of libraries; of all, where every one is a library's."""
    own = [frame for frame in frames if not frame.is_library]
    return next(reversed(own or frames), None)


def without_numbers(text: str) -> str:
    """Return a text without what differs between two configs that fail alike."""
    for pattern, stands in _CHANGING:
        text = re.sub(pattern, stands, text)
    return text
