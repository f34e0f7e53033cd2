"""The chosen runs of a grid as they are this moment, with what they reported: what tables, reports and figures are made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from orchestrator.launch.opened import OpenGrid
from orchestrator.metrics.reading import read_shown_history
from orchestrator.results.select import Selection, check_where, select
from orchestrator.store.files import read_json
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Record
from orchestrator.store.states import State
from orchestrator.tables.study import Study
from orchestrator.watchdog.look import Look, Site, look

_DIGITS = 12
"""Of a commit."""


class _Provenance(msgspec.Struct, frozen=True):
    commit: str | None = None
    diff: str | None = None


class _Submission(msgspec.Struct, frozen=True):
    """What submission.json says about the code; the rest of it is passed over."""

    provenance: _Provenance = _Provenance()


def take_study(grid: OpenGrid, site: Site, selection: Selection, *, seen: Look | None = None, may_be_empty: bool = False) -> Study:
    """Return the selected runs and their reports; what lies in the trash only where it is asked for. `seen` is a look already taken.

    Raises SelectionError for an expression that selects none of the runs, unless it `may_be_empty`: as one grid of several.
    """
    if not may_be_empty:
        check_where(grid.manifests, selection.where)
    records = (seen or look(grid, site)).records
    pairs = select(grid.manifests, records, msgspec.structs.replace(selection, limit=None))
    kept = [pair for pair in pairs if pair[1].state is not State.PRUNED or State.PRUNED in selection.states][: selection.limit]
    chosen = [record for _, record in kept]
    commits = dict(_commits(grid.paths, chosen))
    objective = grid.spec.objective
    history = read_shown_history(grid.paths, chosen, objective)
    return Study(grid=grid.paths.name, objective=objective, pairs=kept, history=history, commits=commits)


def _commits(paths: GridPaths, records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """Yield (submission, commit) of the submissions that computed the runs, where their code came from a repository."""
    tokens = {last.token for record in records if (last := record.decisive) is not None and last.token}
    for token in sorted(tokens):
        found = read_json(paths.submission(token).submission, _Submission)
        if found is not None and found.provenance.commit:
            yield token, found.provenance.commit[:_DIGITS] + ("-dirty" if found.provenance.diff else "")
