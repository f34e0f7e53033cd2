"""Tables as pages: Markdown, LaTeX (booktabs) and HTML; nothing in a cell is read as markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from orchestrator.tables.figures import as_words
from orchestrator.tables.table import Row, Table

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "–": "--",
    "…": r"\dots{}",
    "[": "{[}",
    "*": "{*}",
    **{mark: f"\\{mark}" for mark in "&%$#_"},
}
_MARKDOWN = str.maketrans({"<": "&lt;", "&": "&amp;", **{mark: f"\\{mark}" for mark in "\\|[]`*~$"}})
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore at the edge of a word; one between letters or digits is read as it is."""
_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;color-scheme:light dark}table{border-collapse:collapse}"
    "th,td{padding:.2em .8em;text-align:left;white-space:nowrap}thead{border-bottom:2px solid}tr{border-bottom:1px solid #8886}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}"
)


def write_markdown(table: Table) -> bytes:
    """Return a table that Markdown shows as one, its notes below."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(map(_markdown, cells)) + " |"

    rule = "|" + "|".join(" ---: " if numeric else " --- " for numeric in _numeric(table)) + "|"
    lines = [line(table.columns), rule, *map(line, as_words(table))]
    notes = [f"\n{_markdown(note)}" for note in table.notes]
    return ("\n".join([*lines, *notes]) + "\n").encode()


def _markdown(text: str) -> str:
    return _EMPHASIS.sub(r"\_", _visible(text).translate(_MARKDOWN))


def write_tex(table: Table) -> bytes:
    """Return a tabular of the booktabs package, its notes as comments."""

    def line(cells: Iterable[str]) -> str:
        return " & ".join(map(_tex, cells)) + r" \\"

    columns = "".join("r" if numeric else "l" for numeric in _numeric(table))
    rows = map(line, as_words(table))
    notes = [f"% {_visible(note)}" for note in table.notes]
    head = [r"\begin{tabular}{" + columns + "}", r"\toprule", line(table.columns), r"\midrule"]
    return "\n".join([*notes, *head, *rows, r"\bottomrule", r"\end{tabular}", ""]).encode()


def write_html(table: Table) -> bytes:
    """Return a page of its own: no script, and nothing that is loaded from elsewhere."""
    numeric = _numeric(table)
    body = "\n".join(_html_row(row, "td", numeric) for row in as_words(table))
    notes = "\n".join(f"<p>{html.escape(_visible(note))}</p>" for note in table.notes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>summary</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<table>\n<thead>\n{_html_row(table.columns, 'th', numeric)}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        f"{notes}\n</body>\n</html>\n"
    ).encode()


def _html_row(cells: Iterable[str], tag: str, numeric: Sequence[bool]) -> str:
    marks = (' class="n"' if right else "" for right in numeric)
    return (
        "<tr>" + "".join(f"<{tag}{mark}>{html.escape(_visible(cell))}</{tag}>" for cell, mark in zip(cells, marks, strict=True)) + "</tr>"
    )


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in _visible(text))


def _numeric(table: Table) -> list[bool]:
    """Say of each column whether it holds numbers, which stand at the right."""
    return [_all_numbers(table.rows, place) for place in range(len(table.columns))]


def _all_numbers(rows: Iterable[Row], place: int) -> bool:
    found = [row[place] for row in rows if row[place] is not None]
    return bool(found) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)


def _visible(text: str) -> str:
    """Return text on one line; control and direction characters, which could show something else than is there, are written out."""
    flat = " ".join(text.split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in flat)
