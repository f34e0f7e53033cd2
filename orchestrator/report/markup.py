"""HTML from values: everything that comes from elsewhere is escaped here, and nowhere else."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

INVISIBLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for a character that steers a terminal or the direction of text."""


class Section(NamedTuple):
    """One part of the page."""

    name: str
    """Its anchor: a word of ours."""
    title: str
    body: str
    """HTML."""
    data: Mapping[str, Any] = {}
    """Name → value that a script of the page reads."""
    figures: Sequence[Any] = ()
    """Figures as Bokeh's JSON; each names the element that it is drawn into."""
    is_empty: bool = False
    """It says no more than why there is nothing to show."""


def text(value: object) -> str:
    """Return any value as HTML text, also for attributes in double quotes."""
    shown = "".join(char if char.isprintable() or char in "\n\t" else INVISIBLE for char in str(value))
    return html.escape(shown, quote=True)


def data_block(name: str, value: Any) -> str:
    """Return a block of JSON that scripts read and no browser runs: nothing in it can end the block."""
    written = msgspec.json.encode(value).decode()
    inert = written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return f'<script type="application/json" id="data-{text(name)}">{inert}</script>'


def paragraph(told: str, kind: str = "note") -> str:
    """Return a sentence, which is plain text."""
    return f'<p class="{kind}">{text(told)}</p>' if told else ""


def table(head: Iterable[str], rows: Iterable[Iterable[object]], kind: str = "") -> str:
    """Return a small table of plain texts; numbers stand at the right."""
    cells = "".join(f'<th scope="col">{text(word)}</th>' for word in head)
    lines = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cell(value: object) -> str:
    kind = ' class="number"' if isinstance(value, int | float) else ""
    return f"<td{kind}>{text(number(value) if isinstance(value, float) else '' if value is None else value)}</td>"


def number(value: float | None) -> str:
    """Return a number with four telling digits."""
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def measured(value: float | None) -> str:
    """Return a number whose four telling digits are all written, so that numbers below each other compare."""
    if value is None or not math.isfinite(value) or float(value).is_integer():
        return number(value)
    return f"{value:#.4g}"


def percent(share: float) -> str:
    """Return a share as SVG and CSS take it."""
    return f"{100 * share:.2f}%"


def command(words: str) -> str:
    """Return a command to copy."""
    return f"<code>{text(words)}</code>"
