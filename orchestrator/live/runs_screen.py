"""The screen of one grid: how it stands, its runs, the log of one of them, and the keys that change something."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from orchestrator.live.acting import Acting
from orchestrator.live.failures_screen import FailuresScreen
from orchestrator.live.filtering import Filtering
from orchestrator.live.filters import Filter, typed_as
from orchestrator.live.glimpse import Glimpse, metric_names
from orchestrator.live.listing import RowList
from orchestrator.live.panes import Keys, Lines, cut
from orchestrator.live.reading import GridReader, Sight
from orchestrator.live.rows import Cells, Look, fitting, run_cells, run_columns
from orchestrator.live.run_panel import RunPanel, Subject
from orchestrator.live.threads import beside, while_open
from orchestrator.live.view import View, Wish, left_out, make_view
from orchestrator.live.words import Words
from orchestrator.results.overview import Line
from orchestrator.store.errors import MrsweepError

REFRESH_S = 2.0
"""Between the end of a look and the next."""
SHARE = 5
"""A look that takes long is followed by so many times the rest."""
NOTES = 2
"""So many of the notes stand above the runs: that the queue was not asked, that results lack a metric."""
_NOTHING = Glimpse()


class RunsScreen(Acting, Filtering, Screen[None]):
    """Looks again and again beside the screen, so that no key ever waits."""

    DEFAULT_CSS = """
    RunsScreen #shown { color: $text-muted; }
    RunsScreen #problem { color: $text-error; }
    RunsScreen #notice, RunsScreen #notes { color: $text-warning; }
    RunsScreen #filter { height: 1; border: none; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.leave", "quit"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("enter", "panel('log')", "log", key_display="⏎"),
        Binding("w", "panel('why')", "why"),
        Binding("f", "failures", "failures"),
        Binding("o", "order", "order"),
        Binding("m", "metric", "metric"),
        Binding("space", "mark", "mark", key_display="Space"),
        Binding("a", "mark_all", "all"),
        Binding("r", "act('requeue')", "requeue"),
        Binding("c", "act('cancel')", "cancel"),
        Binding("p", "act('prune')", "prune"),
        Binding("g", "app.show_grids", "grids"),
        Binding("escape", "back", "back", show=False),
    ]

    def __init__(self, reader: GridReader, words: Words, wanted: Filter) -> None:
        super().__init__()
        self.reader, self.words = reader, words
        self.sight: Sight | None = None
        self.view: View | None = None
        self.marked: set[str] = set()
        self._wish = Wish(wanted)
        self._made: tuple[Sight, Wish] | None = None
        self._glimpses: dict[str, Glimpse] = {}
        self._metric: str | None = None
        self._failures: FailuresScreen | None = None
        self._wake = asyncio.Event()
        self._at_once = False

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        yield Lines(id="problem")
        yield Lines(id="notes")
        typed, hint = typed_as(self._wish.filter.selection), "failed host_oom seed>2   or pieces of a name"
        yield Input(typed, placeholder=hint, id="filter", compact=True, select_on_focus=False)
        yield Lines(id="shown")
        yield Lines(id="notice")
        yield RowList(id="runs")
        yield RunPanel(self.reader.paths)
        yield Keys(self.BINDINGS)

    def on_mount(self) -> None:
        self.filter_field.display = not self._wish.filter.is_empty
        for name in ("#problem", "#notes", "#shown", "#notice"):
            self.query_one(name).display = False
        rows = self.query_one(RowList)
        rows.show((), 0, lambda _: Cells(()), empty="looking …")
        rows.at_once = {"slash": self.action_filter}
        rows.focus()
        self.run_worker(while_open(self._keep_up()))

    # looking

    async def _keep_up(self) -> None:
        """Look, show, and between two looks show anew what somebody wants to see."""
        while True:
            began = time.monotonic()
            await self._look()
            rest_s = max(REFRESH_S, self.reader.patience_s, SHARE * (time.monotonic() - began))
            until = time.monotonic() + rest_s
            await self._arrange()
            while (left_s := until - time.monotonic()) > 0 and not self._at_once:
                try:
                    await asyncio.wait_for(self._wake.wait(), left_s)
                except TimeoutError:
                    break
                self._wake.clear()
                await self._arrange()
            self._at_once = False

    def look_at_once(self) -> None:
        """Look without waiting for the next turn."""
        self._at_once = True
        self._wake.set()

    async def _look(self) -> None:
        problem = ""
        try:
            self.sight = await beside(self.reader.look)
        except (MrsweepError, OSError) as error:
            problem = str(error)
        age = f" Shown is how it was {self.words.age(self.sight.at, time.time())}." if problem and self.sight else ""
        self.query_one("#problem", Lines).show([self.words.cell(problem) + age] if problem else [])

    async def _arrange(self) -> None:
        """Make the rows that are wanted, read what the visible ones report, and show both."""
        sight, wish = self.sight, self._wish
        if sight is None:
            return
        visible, chosen = self.query_one(RowList).visible_rows, self.chosen

        def make() -> tuple[View, dict[str, Glimpse]]:
            same = self._made is not None and self._made[0] is sight and self._made[1] == wish
            view = self.view if same and self.view is not None else make_view(self.reader, sight, wish, self.words, before=self.view)
            wanted = {line.id for line in view.lines[visible.start : max(visible.stop, visible.start + self.size.height)]}
            wanted |= {chosen.id} if chosen is not None else set()
            return view, self.reader.glimpses.of(sight.records.get(run_id) for run_id in wanted)

        try:
            view, glimpses = await beside(make)
        except (MrsweepError, OSError) as error:
            self.say(str(error))
            return
        chosen = self._kept  # the cursor may have moved meanwhile
        self.view, self._glimpses, self._made = view, glimpses, (sight, wish)
        self.marked &= set(sight.records.runs) | set(sight.grid.manifests)
        self._show(keep=chosen)

    # showing

    @property
    def chosen(self) -> Line | None:
        """The run under the cursor."""
        place = self.query_one(RowList).cursor
        return self.view.lines[place] if self.view is not None and place < len(self.view.lines) else None

    @property
    def _kept(self) -> Line | None:
        """The run with which the cursor goes when rows change places: at the top it stays at the top, unless a log is read."""
        return self.chosen if self.query_one(RunPanel).mode or self.query_one(RowList).cursor else None

    def _show(self, *, keep: Line | None) -> None:
        """Show the rows; the cursor stays with its run."""
        view, sight = self.view, self.sight
        if view is None or sight is None:
            return
        rows = self.query_one(RowList)
        cursor = view.places.get(keep.id, rows.cursor) if keep is not None else rows.cursor
        look = self._common(view, sight)
        empty = "no run matches: Esc clears the filter" if view.total else "there are no runs"
        rows.show(
            look.columns,
            len(view.lines),
            lambda row: run_cells(view.lines[row], self._glimpses.get(view.lines[row].id, _NOTHING), look),
            cursor=cursor,
            empty=empty,
        )
        self.query_one("#head", Lines).show(self.words.head(sight.overview, self.size.width))
        self.query_one("#notes", Lines).show(self.words.cell(note) for note in sight.overview.notes[:NOTES])
        told = "; ".join(left_out(view, self._wish, look, len(self.marked)))
        self.query_one("#shown", Lines).show([cut(told, max(self.size.width, 20))] if told else [])
        if self._failures is not None:
            self._failures.take(sight.overview)
        self._describe(look)

    def _common(self, view: View, sight: Sight) -> Look:
        objective = sight.grid.spec.objective.name if sight.grid.spec.objective else None
        metric = self._metric or objective or next(iter(metric_names(self._glimpses, None)), None)
        rows = self.query_one(RowList)
        columns = run_columns(
            rows.room, metric=self.words.cell(metric or "metric"), need=view.names.need, full=view.names.full, without=view.without
        )
        look = Look(columns, self.words, view.names, self.marked, metric, objective, view.typical_min)
        return fitting(look, view.lines[rows.visible_rows.start : rows.visible_rows.stop], rows.room)

    def _describe(self, look: Look | None = None) -> None:
        """Tell the panel which run is under the cursor."""
        if self.sight is not None and self.view is not None:
            chosen, look = self.chosen, look or self._common(self.view, self.sight)
            glimpse = self._glimpses.get(chosen.id, _NOTHING) if chosen is not None else _NOTHING
            self.query_one(RunPanel).show(Subject(self.sight, chosen, glimpse, look))

    def say(self, text: str) -> None:
        """Show a sentence above the runs."""
        self.query_one("#notice", Lines).show([self.words.cell(text)] if text else [])

    # keys

    def on_row_list_moved(self) -> None:
        """Show another run's details, and read what newly visible runs report."""
        self._describe()
        self._wake.set()

    def on_resize(self) -> None:
        """Arrange everything for the new width."""
        self._show(keep=self.chosen)
        self._wake.set()

    def action_back(self) -> None:
        """Close what was opened last: the filter that is being typed, the panel, the filter."""
        panel = self.query_one(RunPanel)
        if self.filter_field.has_focus or not panel.mode:
            self.type_filter("")
            self.set_focus(self.query_one(RowList))
        else:
            panel.toggle(panel.mode)

    def action_panel(self, mode: str) -> None:
        """Open a panel under the runs, or close it."""
        self._describe()
        self.query_one(RunPanel).toggle(mode)

    def action_order(self) -> None:
        self._wish = self._wish._replace(order=self._wish.order.following)
        self._wake.set()

    def action_metric(self) -> None:
        """Show the next metric that the visible runs report."""
        if self.sight is None:
            return
        objective = self.sight.grid.spec.objective
        names = metric_names(self._glimpses, objective.name if objective else None)
        if names:
            place = names.index(self._metric) + 1 if self._metric in names else min(1, len(names) - 1)
            self._metric = names[place % len(names)]
            self._show(keep=self.chosen)

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away; go on to the next."""
        if self.chosen is not None:
            self.marked ^= {self.chosen.id}
            self.query_one(RowList).action_move(1)
            self._show(keep=self.chosen)

    def action_mark_all(self) -> None:
        """Mark all runs that are listed; when all are marked, none."""
        listed = set(self.view.places) if self.view is not None else set()
        self.marked = set() if listed <= self.marked else self.marked | listed
        self._show(keep=self.chosen)

    def action_act(self, name: str) -> None:
        """Requeue, cancel or prune what is marked, else the run under the cursor."""
        runs = [run_id for run_id in self.sight.grid.manifests if run_id in self.marked] if self.sight is not None else []
        self.act(name, runs or ([self.chosen.id] if self.chosen is not None else []))

    def action_failures(self) -> None:
        """Show the groups of runs that ended alike; do then what was wanted of one."""
        if self.sight is not None:
            self.run_worker(while_open(self._choose_failure(self.sight)))

    async def _choose_failure(self, sight: Sight) -> None:
        self._failures = FailuresScreen(self.words)
        self._failures.take(sight.overview)
        choice = await self.app.push_screen_wait(self._failures)
        self._failures = None
        if choice is not None and choice.action == "list":
            self.type_filter(f"signature={choice.failure.id}")
        elif choice is not None:
            self.act(choice.action, list(choice.failure.runs))
