"""What prune does with --empty-trash: show what has lain in the trash for long, ask, delete."""

from __future__ import annotations

import time
from pathlib import Path

from click.exceptions import Exit

from orchestrator.cli.event_trees import readable
from orchestrator.cli.options import Manner, Target
from orchestrator.cli.show import UNTOUCHED, confirm, document, say, table, warn
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.emptying import Emptying, empty, plan_emptying
from orchestrator.pruning.sizes import Size, told_bytes
from orchestrator.results.counting import count
from orchestrator.store.ledger import take_pen

SHOWN = 20


def empty_trash(target: Target, older_s: float, manner: Manner) -> None:
    """Delete what has lain in the trash for longer than `older_s`."""
    opened, site = target.open()
    before = time.time() - older_s
    found = plan_emptying(opened.paths, before=before)
    total = sum((one.size for one in found.old), found.condemned)
    if not manner.as_json:
        _show_trash(opened, found, total)
    left: list[str] = []
    if not manner.dry_run and (found.old or total.files):
        confirm(f"Delete {_contents(found)}, {total.text}, for good?", yes=manner.yes)
        with take_pen(opened.paths, lease_s=site.profile.lease_s) as pen:
            left = empty(pen, found, before=before)
    for sentence in left:
        warn(sentence)
    if manner.as_json:
        content = {
            "old": found.old,
            "young": found.young,
            "unknown": [*map(readable, found.unknown)],
            "left": [*map(readable, left)],
            "bytes": total.bytes,
            "files": total.files,
        }
        document("empty-trash", grid=opened.paths.name, done=not manner.dry_run, **content)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif found.old or total.files:
        say(
            f"Deleted {_contents(found)}, {total.text}."
            if not left
            else f"Not all is deleted: {count(len(left), 'thing')} left, see above."
        )
    if left:
        raise Exit(1)


def _show_trash(opened: OpenGrid, found: Emptying, total: Size) -> None:
    rows = [(Path(one.place).name, count(one.count, "run" if one.is_run else "part"), one.size.text, _day(one.at)) for one in found.old]
    if rows:
        table(["in the trash", "holds", "size", "since"], rows[:SHOWN])
    if len(rows) > SHOWN:
        say(f"… and {len(rows) - SHOWN:,} more; --json lists them all.")
    for name in found.unknown:
        warn(f"{opened.paths.trash / name}: was not put there by prune and is left alone")
    young = sum((one.size for one in found.young), Size())
    if found.young:
        say(f"Too young to be deleted: {count(len(found.young), 'thing')}, {young.text}. See --older-than.")
    if found.condemned.files:
        say(f"Left by an earlier deletion: {told_bytes(found.condemned.bytes)}.")
    say(f"{opened.paths.trash}: {_contents(found)} to delete ({total.text}).")


def _contents(found: Emptying) -> str:
    runs, parts = (sum(one.count for one in found.old if one.is_run is kind) for kind in (True, False))
    return f"{count(runs, 'run')} and {count(parts, 'part')}" if parts else count(runs, "run")


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
