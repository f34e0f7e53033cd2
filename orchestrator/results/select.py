"""Which runs are meant: by id prefix, --where, --state, --cause, --signature and --limit (pure)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.grid.canonical import canonical
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.where import parse_where
from orchestrator.results.failures import failure_id
from orchestrator.store.errors import SelectionError, did_you_mean
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State

_ID = re.compile(r"""(?<![\w."'])id\s*(?P<operator>==|=|!=)\s*(?P<quote>["']?)(?P<prefix>[0-9a-fA-F]+)(?P=quote)(?![\w.])""")


VALUES = 6
"""Values of a key that are told."""
_MEANT = dict.fromkeys(("finished", "done", "success", "successful", "succeeded", "complete", "ok"), State.COMPLETED.value)
"""Words of others for a state."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; everything empty selects all runs."""

    runs: tuple[str, ...] = ()
    """Prefixes of run ids."""
    where: str = ""
    states: tuple[State, ...] = ()
    causes: tuple[Cause, ...] = ()
    signature: str = ""
    """Beginning of the id that status gives to runs that ended alike."""
    limit: int | None = None


def parse_state(text: str) -> State:
    """Return the state that a word names; an unknown one lists the known."""
    try:
        return State(text.lower())
    except ValueError:
        meant = _MEANT.get(text.lower(), text.lower())
        raise SelectionError(f"--state '{text}' is not a state. {did_you_mean(meant, (state.value for state in State))}") from None


def parse_cause(text: str) -> Cause:
    """Return the cause that a word names; an unknown one lists the known."""
    try:
        return Cause(text.lower())
    except ValueError:
        raise SelectionError(f"--cause '{text}' is not a cause. {did_you_mean(text.lower(), (cause.value for cause in Cause))}") from None


def select(manifests: Mapping[str, Manifest], records: Records, selection: Selection) -> list[tuple[Manifest, Record]]:
    """Return the runs that the selection names, in the order of the manifest.

    Raises SelectionError for an id prefix that names no run or several, for a key that no run has, and for a signature that
    is that of no run or of several groups.
    """
    wanted = {find_run(manifests, prefix) for prefix in selection.runs}
    pairs: Iterable[tuple[Manifest, Record]] = ((manifest, records.get(run_id)) for run_id, manifest in manifests.items())
    if wanted:
        pairs = (pair for pair in pairs if pair[0].id in wanted)
    if selection.where:
        where = parse_where(_with_whole_ids(selection.where, manifests))
        pairs = where.select_by_short_keys(pairs, lambda pair: flat(pair[0]))
    if selection.states:
        pairs = (pair for pair in pairs if pair[1].state in selection.states)
    if selection.causes:
        pairs = (pair for pair in pairs if pair[1].cause in selection.causes)
    if selection.signature:
        failure = find_failure(records.runs.values(), selection.signature)
        pairs = (pair for pair in pairs if failure_id(pair[1]) == failure)
    return list(pairs)[: selection.limit]


def check_where(manifests: Mapping[str, Manifest], where: str) -> None:
    """Raise SelectionError for an expression that selects none of the runs; it tells what their keys hold."""
    if not where or not manifests:
        return
    values = [flat(manifest) for manifest in manifests.values()]
    parsed = parse_where(_with_whole_ids(where, manifests)).completed(values)
    if any(True for _ in parsed.select(values, lambda each: each)):
        return
    raise selects_none("--where", where, parsed.keys, values)


def selects_none(option: str, expression: str, keys: Iterable[str], runs: Sequence[Mapping[str, Any]]) -> SelectionError:
    """Return the error for an expression that selects none of the runs: it tells what the keys that it names hold."""
    told = "; ".join(_told_values(key, runs) for key in sorted(keys) if key != "id")
    hold = f"; {told}." if told else "."
    return SelectionError(f"{option} {expression[:120]!r} selects none of {len(runs):,} run{'s' * (len(runs) != 1)}{hold}")


def _told_values(key: str, runs: Iterable[Mapping[str, Any]]) -> str:
    """Return "net.kind is cascade, unet, varnet"."""
    found = [values[key] for values in runs if key in values]
    texts = {value if isinstance(value, str) else canonical(value): value for value in found}
    held = sorted(texts, key=lambda text: (_size(texts[text]), text))
    return f"{key} is {', '.join(held[:VALUES])}{', …' if len(held) > VALUES else ''}"


def _size(value: Any) -> float:
    """Return by what a value is told before others: numbers by their size, texts after them."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else math.inf


def find_failure(records: Iterable[Record], prefix: str) -> str:
    """Return the id of the one group of runs that ended alike whose id begins with `prefix`."""
    sizes = Counter(failure_id(record) for record in records)
    del sizes[""]
    found = [name for name in sizes if name.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{name} ({number:,} run{'s' * (number != 1)})" for name, number in sizes.most_common(8))
    if not found:
        told = f"Known: {listed}." if listed else "No run has ended badly."
        raise SelectionError(f"--signature '{prefix[:40]}' is that of no run. {told}")
    raise SelectionError(f"--signature '{prefix}' begins {len(found)} of them. Write more digits. Known: {listed}.")


def _with_whole_ids(where: str, manifests: Mapping[str, Manifest]) -> str:
    """Return the expression with `id=96c9` written out as the run that it begins; where configs have a key id, that is meant."""
    if any("id" in manifest.config for manifest in manifests.values()):
        return where
    return _ID.sub(lambda match: f'id{match["operator"]}"{find_run(manifests, match["prefix"])}"', where)


def find_run(manifests: Mapping[str, Manifest], prefix: str) -> str:
    """Return the id of the one run whose id begins with `prefix`."""
    if prefix in manifests:
        return prefix
    found = [run_id for run_id in manifests if run_id.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise SelectionError(f"'{prefix[:40]}' matches none of {len(manifests)} runs. List them with: mrsweep status --all")
    shown = "; ".join(f"{run_id[:12]} ({manifests[run_id].label})" for run_id in found[:4])
    raise SelectionError(f"'{prefix}' matches {len(found)} runs: {shown}. Write more digits.")


def flat(manifest: Manifest) -> dict[str, Any]:
    """Return the run's complete config as dotted key → value, and its id."""
    return {"id": manifest.id, **dict(_leaves(manifest.config, ""))}


def _leaves(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def varying_keys(manifests: Iterable[Manifest]) -> list[str]:
    """Return the keys that vary in the grid, in the order in which its file names them."""
    return list(dict.fromkeys(key for manifest in manifests for key in manifest.varying))
