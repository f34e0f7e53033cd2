"""What is typed to filter runs: words of --state and --cause, a signature, pieces of a name, an expression as of --where (pure)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec

from orchestrator.results.overview import Line
from orchestrator.results.select import Selection
from orchestrator.store.states import Cause, State

_WORD = re.compile(r"\s*(?:(?P<name>state|cause|signature)=)?(?P<value>[^\s\"'()<>=!,]+)(?=\s|\Z)(?!\s*(?:[=!<>]|(?:not\s+)?in\s*\())")
_NO_NAMES = ("and", "or", "not", "in")
"""Words of an expression: where one stands, it has begun."""
_JOIN = re.compile(r"\s*and\b")
_OPERATOR = re.compile(r"[=<>()]|\bin\b")
_STATES = {state.value: state for state in State}
_CAUSES = {cause.value: cause for cause in Cause}
_HEX = re.compile(r"[0-9a-f]+")


class Filter(NamedTuple):
    """Which runs are listed; everything empty lists all."""

    selection: Selection = Selection()
    text: str = ""
    """Words, each a piece of a run's label or the beginning of its id."""

    @property
    def is_empty(self) -> bool:
        return self == Filter()


def parse_filter(typed: str) -> Filter:
    """Return what was typed: first words, which are states, causes, or pieces of a name, then an expression over config keys.

    "failed host_oom seed>2", "cause=timeout", "signature=3f9a1c", "acceleration=8", "varnet acceleration=8".
    """
    selection, words, rest = Selection(), list[str](), typed
    while (match := _WORD.match(rest)) is not None:
        taken = _take(selection, match["name"] or "", match["value"].lower())
        if taken is None and (match["name"] or match["value"] in _NO_NAMES):
            break
        words += [match["value"].lower()] if taken is None else []
        selection, rest = taken or selection, rest[match.end() :]
        rest = rest[join.end() :] if (join := _JOIN.match(rest)) else rest
    rest = rest.strip()
    if _OPERATOR.search(rest):
        return Filter(msgspec.structs.replace(selection, where=rest), " ".join(words))
    return Filter(selection, " ".join([*words, *rest.lower().split()]))


def _take(selection: Selection, name: str, value: str) -> Selection | None:
    """Return the selection with one word more; None for a word that is neither a state nor a cause."""
    if name == "signature":
        return msgspec.structs.replace(selection, signature=value) if _HEX.fullmatch(value) else None
    if name != "cause" and value in _STATES:
        return msgspec.structs.replace(selection, states=(*selection.states, _STATES[value]))
    if name != "state" and value in _CAUSES:
        return msgspec.structs.replace(selection, causes=(*selection.causes, _CAUSES[value]))
    return None


def typed_as(selection: Selection) -> str:
    """Return what one would type for a selection that was given on the command line."""
    words = [state.value for state in selection.states] + [f"cause={cause.value}" for cause in selection.causes]
    words += [f"signature={selection.signature}"] if selection.signature else []
    return " ".join([*words, selection.where]).strip()


def with_limit(wanted: Filter, limit: int | None) -> Filter:
    """Return the filter for at most so many runs: what is typed says nothing of how many."""
    return wanted._replace(selection=msgspec.structs.replace(wanted.selection, limit=limit))


def narrow(lines: Iterable[Line], wanted: Filter, *, matching: Collection[str] | None, alike: Collection[str] | None) -> list[Line]:
    """Return the lines that are wanted.

    `matching`: the runs whose config the expression selects, `alike`: those of the signature; None: all.
    """
    states = {state.value for state in wanted.selection.states}
    causes = {cause.value for cause in wanted.selection.causes}
    found = [
        line
        for line in lines
        if (not states or line.state in states)
        and (not causes or line.cause in causes)
        and (matching is None or line.id in matching)
        and (alike is None or line.id in alike)
        and all(word in line.label.lower() or line.id.startswith(word) for word in wanted.text.split())
    ]
    return found[: wanted.selection.limit]
