"""The Python interface: open a grid, launch it, look at it, take its results away; thin over what the command line calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.grid.spec import read_spec
from orchestrator.launch.apply import make_draft
from orchestrator.launch.opened import OpenGrid, find_grid, is_grid_file
from orchestrator.results.overview import Overview
from orchestrator.results.select import Selection, select
from orchestrator.results.summary import NUMBERS, summarise
from orchestrator.watchdog.look import look, site_of
from orchestrator.watchdog.picture import take_picture
from orchestrator.watchdog.proposal import Launched, Proposal, carry_out, propose

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Grid:
    """A grid file, or a grid on disk. Every method looks anew; what it refuses is a MrsweepError, told in one line."""

    target: str
    """A grid file, or the name of a folder below `runs`."""
    runs: Path
    variant: str | None = None
    profile: str | None = None
    """None: the profile it was launched with, else Slurm where sbatch is found, else this machine."""

    def propose(self, *, adopt: bool = True, accept_defaults: bool = False) -> Proposal:
        """Return what launching would do now; writes nothing. Entry and schema are looked for in the current folder."""
        draft = make_draft(read_spec(self._file(), variant=self.variant), self.runs, project=Path.cwd(), accept_defaults=accept_defaults)
        return propose(draft, site_of(OpenGrid(draft.paths), self.profile), adopt=adopt)

    def launch(self, *, adopt: bool = True, accept_defaults: bool = False) -> Launched:
        """Submit the runs that are missing, without asking; returns at once, with the plan and the tokens.

        `adopt`: take over results of other grids. `accept_defaults`: keep runs that were started with other defaults.
        """
        return carry_out(self.propose(adopt=adopt, accept_defaults=accept_defaults), Path.cwd())

    def status(self, *, where: str = "") -> Overview:
        """Return how the grid stands: counts, time left, failures by cause, one line a run. Writes nothing."""
        opened = self._opened()
        return take_picture(opened, site_of(opened, self.profile, reading=True), Selection(where=where))

    def results(self, *, where: str = "") -> pd.DataFrame:
        """Return the table that `mrsweep summary` writes, one row a run; a metric that diverged is NaN or infinite, as it was."""
        import pandas as pd

        opened = self._opened()
        records = look(opened, site_of(opened, self.profile, reading=True)).records
        table = summarise(select(opened.manifests, records, Selection(where=where)), opened.spec.objective)
        rows = [[_value(row.get(column)) for column in table.columns] for row in table.rows]
        return pd.DataFrame(rows, columns=list(table.columns))

    def _opened(self) -> OpenGrid:
        return find_grid(self.target, self.runs, variant=self.variant)

    def _file(self) -> Path:
        """Return the grid file to launch: the one that was named, else the newest that was applied."""
        if is_grid_file(self.target):
            return Path(self.target)
        return self._opened().newest_file


def open(grid: str | Path, *, runs: str | Path = "runs", variant: str | None = None, profile: str | None = None) -> Grid:
    """Return a grid: by its folder ("runs/mtl_knee"), by its name below `runs`, or by its file ("grids/mtl_knee.yaml").

    A folder that holds no grid raises InputError at once; a grid file is read when it is launched.
    """
    path = Path(grid)
    if path.suffix in (".yaml", ".yml"):
        return Grid(target=str(grid), runs=Path(runs), variant=variant, profile=profile)
    folder = Path(runs) if path.name == str(grid) else path.parent
    opened = find_grid(path.name, folder, variant=variant)
    return Grid(target=opened.paths.name, runs=folder, profile=profile)


def _value(value: Any) -> Any:
    """Return a metric's word for what JSON cannot hold as the number it stands for."""
    return NUMBERS.get(value, value) if isinstance(value, str) else value
