"""Tells people where a grid stands, after a round and without the pen; nothing that goes wrong here changes what a round did."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable

import msgspec

from orchestrator.grid.notify_shape import Notify
from orchestrator.launch.opened import OpenGrid
from orchestrator.messages.addresses import VARIABLE, Target, address_file, choose_targets, read_targets
from orchestrator.messages.delivery import LIMIT_S, check_installed, deliver
from orchestrator.messages.news import Standing, find_news
from orchestrator.messages.outbox import pending, post, read_outbox
from orchestrator.messages.words import write_message
from orchestrator.results.select import Selection
from orchestrator.store.errors import InputError, MrsweepError
from orchestrator.store.ledger import read_records
from orchestrator.store.records import Records
from orchestrator.tables.question import Question, answer
from orchestrator.tables.writers import write
from orchestrator.watchdog.look import Look, Site
from orchestrator.watchdog.study import take_study

LOG = logging.getLogger(__name__)

MOST_TABLE_BYTES = 5_000_000
"""A larger table goes with no message: mail servers would refuse it."""

Clock = Callable[[], float]
MakeTable = Callable[[], bytes]


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the messages of one round."""

    told: tuple[str, ...] = ()
    """A sentence for each thing that went wrong."""
    is_unsent: bool = False
    """Some message has not been delivered, and is tried again in a later round."""


def tell_launch(grid: OpenGrid, *, clock: Clock) -> Telling:
    """Tell that a launch has submitted runs, where the grid asks for it."""

    def tell() -> Telling:
        rules = grid.spec.notify
        if rules is None:
            return Telling()
        only = Notify(on=tuple(kind for kind in rules.on if kind == "start"), every_min=rules.every_min, to=rules.to)
        telling = _tell(grid, standing_of(grid, read_records(grid.paths), is_open=True), only, lambda: b"", clock)
        return msgspec.structs.replace(telling, told=(*telling.told, *_about_janitors(grid)))

    return _guarded(grid, tell)


def tell_round(grid: OpenGrid, site: Site, seen: Look, *, is_open: bool, again: Callable[[], Iterable[str]], clock: Clock) -> Telling:
    """Tell what a round brought, where the grid asks for it. `again`: names the runs that ended badly and are taken up again."""

    def tell() -> Telling:
        rules = grid.spec.notify
        if rules is None or grid.settings is None:
            return Telling()
        standing = standing_of(grid, seen.records, is_open=is_open, again=again())
        return _tell(grid, standing, rules, lambda: _table(grid, site, seen), clock)

    return _guarded(grid, tell)


def standing_of(grid: OpenGrid, records: Records, *, is_open: bool, again: Iterable[str] = ()) -> Standing:
    """Return where a grid stands, as messages tell it."""
    settings = grid.settings
    launched = ((manifest, records.get(run_id)) for run_id, manifest in grid.launched().items() if run_id not in records.orphans)
    return Standing(
        grid=grid.paths.name,
        version=settings.version if settings else 0,
        question=grid.spec.question,
        pairs=tuple(launched),
        again=frozenset(again),
        objective=grid.spec.objective,
        paused=records.paused,
        is_open=is_open,
    )


def _guarded(grid: OpenGrid, tell: Callable[[], Telling]) -> Telling:
    try:
        return tell()
    except Exception as error:  # whatever it is: the round is done, and only messages are missing
        why = str(error) if isinstance(error, MrsweepError) else type(error).__name__
        LOG.warning("%s: messages failed: %s", grid.paths.name, why)
        return Telling(told=(f"messages: nothing was told: {why}",))


def _tell(grid: OpenGrid, standing: Standing, rules: Notify, make_table: MakeTable, clock: Clock) -> Telling:
    before = read_outbox(grid.paths)
    messages = [write_message(news, standing, clock()) for news in find_news(standing, before.told, rules, clock())]
    fresh = [message for message in messages if post(grid.paths, message, make_table() if message.table else b"")]
    try:
        check_installed()
        targets = choose_targets(read_targets(os.environ), rules.to)
    except InputError as error:
        return Telling(told=(f"messages: {error}",) if fresh else ())
    return _deliver(grid, targets, clock)


def _deliver(grid: OpenGrid, targets: Iterable[Target], clock: Clock) -> Telling:
    targets = tuple(targets)
    told = deliver(grid.paths, read_outbox(grid.paths), targets, clock=clock, limit_s=LIMIT_S)
    left = pending(read_outbox(grid.paths), (target.name for target in targets), clock())
    return Telling(told=tuple(told), is_unsent=bool(left))


def _table(grid: OpenGrid, site: Site, seen: Look) -> bytes:
    """Return the table that `summary -o` writes; nothing where it is too large, or cannot be made: the message goes without it."""
    try:
        table = write(answer([take_study(grid, site, Selection(), seen=seen)], Question()), ".csv")
    except Exception as error:  # results that no table can hold must not keep the message back
        LOG.warning("%s: no table goes with the message: %s", grid.paths.name, type(error).__name__)
        return b""
    return table if len(table) <= MOST_TABLE_BYTES else b""


def _about_janitors(grid: OpenGrid) -> Iterable[str]:
    """Yield what is to be known where jobs look after the grid: they do not see this terminal's environment."""
    file = address_file(os.environ)
    if grid.settings is not None and grid.settings.janitor and os.environ.get(VARIABLE) and not file.exists():
        yield f"messages: the jobs that look after the grid do not see {VARIABLE}. Write its addresses into {file} (chmod 600)."
