"""The Python interface: open a grid, launch it, look at it, take its results away; thin over what the command line calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from orchestrator.grid.spec import read_spec
from orchestrator.launch.apply import make_draft
from orchestrator.launch.opened import OpenGrid, find_grid, is_grid_file
from orchestrator.results.arguments import named_as_arguments
from orchestrator.results.overview import Overview
from orchestrator.results.select import Selection, check_where
from orchestrator.store.errors import InputError
from orchestrator.tables.frame import as_frame
from orchestrator.tables.question import Question, answer
from orchestrator.watchdog.look import site_of
from orchestrator.watchdog.picture import take_picture
from orchestrator.watchdog.proposal import Launched, Proposal, carry_out, propose
from orchestrator.watchdog.studies import take_studies

if TYPE_CHECKING:
    import pandas as pd

Names = str | Sequence[str]
"""One name, several, or a text with commas between them."""


class Runs:
    """Runs whose results can be taken away as pandas frames; what the command prints below a table is in `frame.attrs["notes"]`."""

    profile: str | None

    def results(self, *, where: str = "", metric: Names = (), select: str = "", all_keys: bool = False) -> pd.DataFrame:
        """Return the table of `mrsweep summary`, one row a run; a value that is not finite is NaN or infinite, as it was."""
        return self._table(where, Question(metrics=_names(metric), select=select, all_keys=all_keys))

    def history(self, *, where: str = "", metric: Names = (), all_keys: bool = False) -> pd.DataFrame:
        """Return what the runs reported, one row a step and run; a metric that was not reported at a step is NaN there."""
        return self._table(where, Question(metrics=_names(metric), long=True, all_keys=all_keys))

    def grouped(
        self, by: Names, over: Names = (), metric: Names = (), *, where: str = "", select: str = "", baseline: str = "", across: Names = ()
    ) -> pd.DataFrame:
        """Return statistics over the runs that share the keys `by`, one row a group and metric: n, mean, std (ddof 1), 95 % interval.

        `over`: the keys in which runs of a group differ, such as seed; without it, all others. `baseline`: adds the paired
        difference to the groups that it selects. `across`: makes the values of these keys columns.
        """
        question = Question(
            by=_names(by), over=_names(over), across=_names(across), metrics=_names(metric), select=select, baseline=baseline
        )
        if not question.by and not question.across:
            raise InputError('by is empty. Name the keys that the runs of a group share, as in by="mask.kind,mask.acceleration".')
        return self._table(where, question)

    def best(self, metric: str, per: Names = (), *, show: Names = (), where: str = "", select: str = "") -> pd.DataFrame:
        """Return the best run of each group of `per`: `metric` ranks, and is the grid's objective, or says which way: max:NAME, min:NAME.

        `show`: the metrics that stand beside it, without it all; a run with one that is not finite is not ranked. `select`: the metric
        whose best step every value is of; without it, that of `metric`.
        """
        if not metric.strip():
            raise InputError('metric is empty. Name the metric that ranks, as in metric="val/ssim".')
        question = Question(best=metric, per=_names(per), metrics=_names(show), select=select)
        return self._table(where, question, {"best": "metric", "metric": "show"})

    def _table(self, where: str, question: Question, names: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return the answer as a frame. `names`: options that are arguments of another name here."""
        with named_as_arguments(names):
            table = answer(take_studies(self._grids(), self.profile, Selection(where=where)), question).data
        frame = as_frame(table)
        frame.attrs["notes"] = list(table.notes)
        return frame

    def _grids(self) -> list[OpenGrid]:
        raise NotImplementedError


@dataclass(frozen=True)
class Grid(Runs):
    """A grid file, or a grid on disk. Every method looks anew; what it refuses is a MrsweepError, told in one line."""

    target: str
    """A grid file, or the name of a folder below `runs`."""
    runs: Path
    variant: str | None = None
    profile: str | None = None
    """None: the profile it was launched with, else Slurm where sbatch is found, else this machine."""

    def propose(self, *, adopt: bool = True, accept_defaults: bool = False) -> Proposal:
        """Return what launching would do now; writes nothing. Entry and schema are looked for in the current folder."""
        with named_as_arguments():
            spec = read_spec(self._file(), variant=self.variant)
            draft = make_draft(spec, self.runs, project=Path.cwd(), accept_defaults=accept_defaults)
            return propose(draft, site_of(OpenGrid(draft.paths), self.profile), adopt=adopt)

    def launch(self, *, adopt: bool = True, accept_defaults: bool = False) -> Launched:
        """Submit the runs that are missing, without asking; returns at once, with the plan and the tokens.

        `adopt`: take over results of other grids. `accept_defaults`: keep runs that were started with other defaults.
        """
        proposal = self.propose(adopt=adopt, accept_defaults=accept_defaults)
        with named_as_arguments():
            return carry_out(proposal, Path.cwd())

    def status(self, *, where: str = "") -> Overview:
        """Return how the grid stands: counts, time left, failures by cause, one line a run. Writes nothing."""
        with named_as_arguments():
            opened = self._opened()
            check_where(opened.manifests, where)
            return take_picture(opened, site_of(opened, self.profile, reading=True), Selection(where=where))

    def _grids(self) -> list[OpenGrid]:
        return [self._opened()]

    def _opened(self) -> OpenGrid:
        return find_grid(self.target, self.runs, variant=self.variant)

    def _file(self) -> Path:
        """Return the grid file to launch: the one that was named, else the newest that was applied."""
        if is_grid_file(self.target):
            return Path(self.target)
        return self._opened().newest_file


@dataclass(frozen=True)
class Grids(Runs):
    """Several grids, whose runs stand in one table: the column `grid` tells them apart, and `by="grid"` compares them."""

    grids: tuple[Grid, ...]
    profile: str | None = None

    def _grids(self) -> list[OpenGrid]:
        return [opened for grid in self.grids for opened in grid._grids()]


@overload
def open(grid: str | Path, *, runs: str | Path = "runs", variant: str | None = None, profile: str | None = None) -> Grid: ...
@overload
def open(
    grid: str | Path,
    other: str | Path,
    /,
    *more: str | Path,
    runs: str | Path = "runs",
    variant: str | None = None,
    profile: str | None = None,
) -> Grids: ...
def open(
    grid: str | Path, *more: str | Path, runs: str | Path = "runs", variant: str | None = None, profile: str | None = None
) -> Grid | Grids:
    """Return a grid: by its folder ("runs/mtl_knee"), by its name below `runs`, or by its file ("grids/mtl_knee.yaml"); or several.

    A folder that holds no grid raises InputError at once; a grid file is read when it is launched. Of several grids there
    are the tables of their results, as those of `mrsweep summary GRID GRID`.
    """
    grids = tuple(_open(each, Path(runs), variant, profile) for each in dict.fromkeys((grid, *more)))
    return Grids(grids, profile) if more else grids[0]


def _open(grid: str | Path, runs: Path, variant: str | None, profile: str | None) -> Grid:
    path = Path(grid)
    if path.suffix in (".yaml", ".yml"):
        return Grid(target=str(grid), runs=runs, variant=variant, profile=profile)
    folder = runs if path.name == str(grid) else path.parent
    opened = find_grid(path.name, folder, variant=variant)
    return Grid(target=opened.paths.name, runs=folder, profile=profile)


def _names(names: Names) -> tuple[str, ...]:
    """Return names that were given one by one, or as text with commas."""
    listed = names.split(",") if isinstance(names, str) else names
    return tuple(name.strip() for name in listed if name.strip())
