"""One round of watching: look, record, settle what was cut off, answer bad ends, fill free slots."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest, content
from orchestrator.launch.apply import Draft, make_draft, write_draft
from orchestrator.launch.commit import open_intents, take_up
from orchestrator.launch.opened import OpenGrid
from orchestrator.launch.plan import tell_waiting
from orchestrator.pruning.runs import prune
from orchestrator.store.errors import InputError
from orchestrator.store.events import Changed, Looked
from orchestrator.store.ledger import Pen, take_pen
from orchestrator.store.records import WATCH, Records
from orchestrator.store.states import ALIVE, FINAL, State
from orchestrator.watchdog.answers import read_answers
from orchestrator.watchdog.breaker import find_trip
from orchestrator.watchdog.decisions import GIVEN_UP, Decisions, decisions_of, has_bad_ends
from orchestrator.watchdog.filling import fill, plan_filling
from orchestrator.watchdog.janitor import keep_janitors, missing_janitors
from orchestrator.watchdog.look import Look, Site, ask, ask_of, known_limits, live_tokens, look, save_absences
from orchestrator.watchdog.pausing import keep_paused, needs_holding, pause
from orchestrator.watchdog.release import canaries_are_through, release_behind
from orchestrator.watchdog.stall import Checked, computing
from orchestrator.watchdog.stalling import check_for_stalled, end_stalled, save_quiet, to_end
from orchestrator.watchdog.stuck import find_stuck, take_out
from orchestrator.watchdog.telling import tell_round

LOG = logging.getLogger(__name__)

Sleep = Callable[[float], None]

FRESH_S = 10.0
"""What the scheduler said is believed so long, when the pen was taken meanwhile."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of watching did; every entry is a sentence."""

    look: Look
    told: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    """Runs that cannot be named yet: "3 runs wait for results of stl_single"."""
    is_open: bool
    """Some run that was launched may still change without a person."""
    is_unsent: bool = False
    """Some message is still to be delivered: a later round tries it again."""


def record(grid: OpenGrid, site: Site, *, wait_s: float = 60.0) -> Look:
    """Look, and bring the ledger up to date; takes the pen only when there is news."""
    seen = look(grid, site)
    if not seen.events:
        save_absences(grid.paths, seen.absences)
        return seen
    with take_pen(grid.paths, lease_s=site.profile.lease_s, wait_s=wait_s) as pen:
        return record_under(pen, grid, site, before=seen)


def record_under(pen: Pen, grid: OpenGrid, site: Site, *, before: Look | None = None) -> Look:
    """Look and record, with the pen in hand. `before`: a look without it; what the scheduler said then may still hold."""
    snapshot = before.snapshot if before and _still_holds(before, pen) else None
    seen = look(grid, site, records=pen.records, now=pen.clock(), snapshot=snapshot)
    if seen.events:
        pen.write(*seen.events, Looked(at=pen.clock(), sources=_sources(seen.snapshot)))
    save_absences(grid.paths, seen.absences)
    return seen


def _still_holds(seen: Look, pen: Pen) -> bool:
    """Say whether the scheduler's answer is fresh, and about all that must be asked about."""
    return pen.clock() - seen.snapshot.taken_at <= FRESH_S and set(live_tokens(pen.records)) <= set(seen.asked)


def _sources(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(name for name, answered in (("queue", snapshot.queue_ok), ("accounting", snapshot.accounting_ok)) if answered)


def watch_once(grid: OpenGrid, site: Site, *, sleep: Sleep = time.sleep, wait_s: float = 60.0) -> Round:
    """Do one round. A round that finds nothing to write and nothing to do leaves the disk as it is."""
    seen = look(grid, site)
    checked = check_for_stalled(grid, site, read_answers(grid.spec.policy), seen.records, seen.snapshot)
    draft = _draft_of_runs_that_waited(grid)
    waiting = tuple(tell_waiting(draft.waiting)) if draft else ()
    news = seen.events or (checked and checked.events) or (draft and _that_waited(draft, grid))  # waiting alone is no work
    told: list[str] = []
    if news or _has_work(grid, seen, site):
        with take_pen(grid.paths, lease_s=site.profile.lease_s, wait_s=wait_s) as pen:
            seen = record_under(pen, grid, site, before=seen)
            told = _attend(pen, grid, site, seen.snapshot, checked, sleep)
            seen = msgspec.structs.replace(seen, records=pen.records)
    else:
        save_absences(grid.paths, seen.absences)
        save_quiet(grid.paths, checked)
    grid = OpenGrid(grid.paths) if draft else grid
    is_open = bool(waiting) or _is_open(grid, site, seen.records, seen.snapshot)
    return _with_messages(Round(look=seen, told=tuple(told), waiting=waiting, is_open=is_open), grid, site)


def _with_messages(done: Round, grid: OpenGrid, site: Site) -> Round:
    """Tell people what a round brought, where the grid asks for it: after all else is done, and without the pen."""

    def again() -> set[str]:
        decisions = _decide(grid, site, done.look.records, done.look.snapshot)
        return {*decisions.again, *decisions.later}

    telling = tell_round(grid, site, done.look, is_open=done.is_open, again=again, clock=time.time)
    return msgspec.structs.replace(done, told=(*done.told, *telling.told), is_unsent=telling.is_unsent)


def _is_open(grid: OpenGrid, site: Site, records: Records, snapshot: Snapshot) -> bool:
    """Say whether some run that was launched may still change without a person."""
    states = {run_id: records.get(run_id).state for run_id in grid.launched() if run_id not in records.orphans}
    if records.paused is not None:
        return any(state in ALIVE for state in states.values())
    if any(state not in FINAL and state not in (State.BLOCKED, State.HELD) for state in states.values()):
        return True
    decisions = _decide(grid, site, records, snapshot)
    return bool(decisions.again or decisions.later)


def _attend(pen: Pen, grid: OpenGrid, site: Site, snapshot: Snapshot, checked: Checked | None, sleep: Sleep) -> list[str]:
    """Do everything that a round may have to do, with the pen in hand; returns a sentence for each thing done."""
    policy = read_answers(grid.spec.policy)
    told = [*_cancel_unwanted(pen, snapshot, site), *take_out(pen, site, snapshot), *settle_open(pen, snapshot, site, sleep)]
    told += _note_stalled(pen, checked)
    added = _add_runs_that_waited(pen, grid)
    grid = OpenGrid(grid.paths) if added else grid
    told += [*added, *end_stalled(pen, site, policy, snapshot)]
    decisions = _decide(grid, site, pen.records, snapshot)
    told += _give_up(pen, decisions)
    trip = find_trip(pen.records, decisions.stay_failed, least=policy.breaker) if _can_start(grid, pen.records) else None
    told += [pause(pen, trip, by=WATCH)] if trip else release_behind(pen, grid, decisions.again.keys() | decisions.later.keys())
    keep_paused(pen, snapshot, site)
    told += _prune(pen, grid, site, decisions)
    told += keep_janitors(pen, grid, site, snapshot) if _is_open(grid, site, pen.records, snapshot) else []
    return told + fill(pen, grid, site, snapshot, decisions.again)


def _has_work(grid: OpenGrid, seen: Look, site: Site) -> bool:
    """Say whether a round would do something, although nothing happened since the last look."""
    records, snapshot = seen.records, seen.snapshot
    if grid.settings is None:
        return False
    if open_intents(records.submissions.values()) or _unwanted(records, snapshot) or needs_holding(records, snapshot):
        return True
    if find_stuck(records, snapshot) or to_end(records, read_answers(grid.spec.policy)):
        return True
    if missing_janitors(grid, snapshot) and _is_open(grid, site, records, snapshot):
        return True
    decisions = _decide(grid, site, records, snapshot)
    if decisions.is_work or canaries_are_through(grid, records):
        return True
    return plan_filling(grid, site, records, snapshot, decisions.again) is not None


def _decide(grid: OpenGrid, site: Site, records: Records, snapshot: Snapshot) -> Decisions:
    """Decide about bad ends; a cluster is asked for its limits only where there are any, and only one that answers."""
    if not has_bad_ends(records):
        return Decisions()
    return decisions_of(grid, site, records, snapshot, known_limits(site) if snapshot.queue_ok else None)


def _can_start(grid: OpenGrid, records: Records) -> bool:
    """Say whether runs of the grid have yet to start: else there is nothing to pause."""
    waiting = (State.PLANNED, State.QUEUED, State.INTERRUPTED)
    return any(records.get(run_id).state in waiting for run_id in grid.launched() if run_id not in records.orphans)


def _note_stalled(pen: Pen, checked: Checked | None) -> list[str]:
    """Record which runs have become silent and which go on; what has ended meanwhile is neither."""
    if checked is None:
        return []
    living = {record.id for record in computing(pen.records)}
    events = [event for event in checked.events if event.run in living]
    pen.write(*events)
    save_quiet(pen.paths, checked)
    return [f"run {event.run[:8]}…: {event.reason or 'goes on again'}" for event in events]


def _give_up(pen: Pen, decisions: Decisions) -> list[str]:
    """Let runs count as failed that no rule takes up any more, and say why; a person may."""
    told = []
    for run_id, answer in decisions.given_up.items():
        record = pen.records.get(run_id)
        reason = f"{GIVEN_UP}{answer.reason}; the last: {record.reason}" if record.reason else f"{GIVEN_UP}{answer.reason}"
        pen.write(Changed(at=pen.clock(), run=run_id, state=State.FAILED, cause=record.cause, reason=reason))
        told.append(f"run {run_id[:8]}…: given up, {answer.reason}")
    return told


def _prune(pen: Pen, grid: OpenGrid, site: Site, decisions: Decisions) -> list[str]:
    """Move to the trash what the policy says to."""
    if not decisions.prune:
        return []
    chosen = {run_id: decision.reason for run_id, decision in decisions.prune.items()}
    refused = prune(pen, grid, chosen, ask_of(chosen, pen.records, site.scheduler, pen.clock()), by="policy")
    moved = sum(pen.records.get(run_id).state is State.PRUNED for run_id in chosen)
    return [*refused, f"{moved} run{'s' * (moved != 1)} moved to the trash, as the policy says"]


def _cancel_unwanted(pen: Pen, snapshot: Snapshot, site: Site) -> list[str]:
    """Cancel waiting tasks that would find nothing to do; returns a sentence for each submission that was taken twice."""
    unwanted = _unwanted(pen.records, snapshot)
    if not unwanted:
        return []
    pen.check()
    site.scheduler.cancel(unwanted)
    twins = {row.token for row in unwanted} & {row.token for row in snapshot.twins}
    return [f"{token}: a second job of it was cancelled" for token in sorted(twins)]


def _unwanted(records: Records, snapshot: Snapshot) -> list[TaskRow]:
    """Return the second jobs of submissions that were taken twice, and tasks that were taken out of their array and not cancelled."""
    recalled = (
        snapshot.task(token, row)
        for token, submission in records.submissions.items()
        if not submission.listed
        for row in submission.recalled
    )
    twins = (row for row in snapshot.twins if row.token in records.submissions)
    return [row for row in (*twins, *recalled) if row is not None and row.state is TaskState.WAITING]


def settle_open(pen: Pen, snapshot: Snapshot, site: Site, sleep: Sleep) -> list[str]:
    """Settle submissions whose answer got lost: look twice, some seconds apart, then adopt or submit again."""
    if not open_intents(pen.records.submissions.values()):
        return []
    sleep(site.profile.confirm_s)
    return take_up(pen, [snapshot, ask(pen.records, site.scheduler, pen.clock())], site.scheduler)


def _draft_of_runs_that_waited(grid: OpenGrid) -> Draft | None:
    """Return what the grid file asks for now; None for a grid whose runs need no other's result."""
    if not grid.spec.has_needs or grid.settings is None:
        return None
    try:
        return make_draft(grid.spec, grid.paths.dir.parent, project=Path(grid.settings.cwd), accept_defaults=True)
    except InputError as error:  # runs that were made already are kept alive all the same
        LOG.warning("%s: which runs can be added is not known: %s", grid.paths.name, error)
        return None


def _add_runs_that_waited(pen: Pen, grid: OpenGrid) -> list[str]:
    """Make the runs whose `needs:` have been met since the launch. Runs are added only: to leave some out is a person's launch."""
    draft = _draft_of_runs_that_waited(grid)
    if draft is None or grid.settings is None:
        return []
    version = grid.settings.version
    new = tuple(msgspec.structs.replace(manifest, version=version) for manifest in _that_waited(draft, grid))
    if not new:
        return []
    runs = msgspec.structs.replace(draft.runs, new=new, orphans=(), revived=())
    write_draft(pen, msgspec.structs.replace(draft, version=version, is_new_version=False, runs=runs))
    return [f"{len(new)} run{'s have' if len(new) > 1 else ' has'} now what was waited for"]


def _that_waited(draft: Draft, grid: OpenGrid) -> list[Manifest]:
    """Return the new runs of points that had none: what is made already is not made anew because another result is now the best."""
    made = {content(manifest) for manifest in grid.launched().values()}
    return [manifest for manifest in draft.runs.new if content(manifest) not in made]
