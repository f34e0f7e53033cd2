"""What prune and restore do with --tensorboard DIR: show, ask, move."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath
from shlex import quote

from click.exceptions import Exit

from orchestrator.cli.options import Manner, user
from orchestrator.cli.show import UNTOUCHED, confirm, document, say, table, waiting, warn
from orchestrator.pruning.event_files import Content
from orchestrator.pruning.event_trees import MARK, EventFile, TreePlan, clean_tree, cleaned, plan_tree, restore_tree
from orchestrator.pruning.sizes import told_bytes
from orchestrator.pruning.trash import Item, written
from orchestrator.results.counting import count

KEEP = ("complete", "largest")
"""complete: the run with the last step, and of equal ones the most scalars · largest: the largest file, whatever it holds."""
SHOWN = 20
FOLDER, NAME = 24, 12
"""Characters of a column."""


def readable(text: str) -> str:
    """Return text as JSON can hold it: names of files need not be UTF-8."""
    return os.fsencode(text).decode(errors="replace")


def clean_event_trees(folder: Path, keep: str, manner: Manner) -> None:
    """Move the files of superseded runs into the tree's own trash."""
    with waiting(f"reading {folder}"):
        plan = plan_tree(folder, by_size=keep == "largest")
    if not manner.as_json:
        _show(folder, plan)
    moved, refused = list[Item](), list[str]()
    if not manner.dry_run and plan.moves:
        confirm(f"Move {count(len(plan.moves), 'file')} to the trash?", yes=manner.yes)
        moved, refused = clean_tree(folder, plan, by=user(), at=time.time())
    for sentence in refused:
        warn(sentence)
    if manner.as_json:
        moves = [
            {"file": written(PurePosixPath(move.file.place)), "bytes": move.file.size, "why": readable(move.why)} for move in plan.moves
        ]
        files = {
            written(PurePosixPath(path)): {
                "first_step": one.first_step,
                "last_step": one.last_step,
                "scalars": one.scalars,
                "whole": one.is_whole,
            }
            for path, one in plan.contents.items()
        }
        content = {
            "moves": moves,
            "kept": [readable(told) for told in plan.kept],
            "files": files,
            "moved": [item.path for item in moved],
            "refused": [readable(told) for told in refused],
        }
        document("prune-tensorboard", folder=readable(str(folder)), done=not manner.dry_run, bytes=plan.bytes, **content)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif plan.moves:
        way_back = f"mrsweep restore --tensorboard {quote(str(folder))}"
        say(f"Moved {len(moved):,} of {count(len(plan.moves), 'file')}. Bring them back with: {way_back}")
    if refused:
        raise Exit(1)


def _show(folder: Path, plan: TreePlan) -> None:
    rows = []
    beside: set[str] = set()
    for move in plan.moves:
        rows.append(_row(move.file, plan.contents.get(move.file.place), "moves"))
        rows += [_row(file, plan.contents.get(file.place), "stays") for file in move.stays if file.place not in beside]
        beside |= {file.place for file in move.stays}
    if rows:
        table(["folder", "file", "steps", "scalars", "size", ""], sorted(rows)[:SHOWN])
    if len(rows) > SHOWN:
        say(f"… and {len(rows) - SHOWN:,} more; --json lists them all.")
    whys = dict.fromkeys(f"Moves: {move.top}: {_short(move.why)}." for move in plan.moves)
    for sentence in list(whys)[:SHOWN]:
        say(sentence)
    for sentence in plan.kept:
        say(f"Stays: {_short(sentence)}.")
    say(f"{folder}: {count(plan.folders, 'folder')} with event files; {count(len(plan.moves), 'file')} to move ({told_bytes(plan.bytes)}).")


def _row(file: EventFile, content: Content | None, verdict: str) -> tuple[str, str, str, str, str, str]:
    steps = scalars = ""
    if content is not None:
        steps = f"{content.first_step}–{content.last_step}" if content.last_step is not None else "none"
        scalars = f"{content.scalars:,}" + ("" if content.is_whole else ", torn")
    return (_end_of(file.folder, FOLDER), _end_of(_short(file.name), NAME), steps, scalars, told_bytes(file.size), verdict)


def _end_of(text: str, width: int) -> str:
    """Return the last characters of a name: what tells files and sub-folders of one run apart stands at their end."""
    return text if len(text) <= width else f"…{text[1 - width :]}"


def _short(text: str) -> str:
    """Return a sentence or name without what all event files begin with."""
    return text.replace(f"events.out.{MARK}.", "")


def restore_event_trees(folder: Path, manner: Manner) -> None:
    """Move back what was cleaned."""
    items = cleaned(folder)
    if not manner.as_json:
        say(f"{folder}: {count(len(items), 'file')} to bring back.")
    back, refused = list[Item](), list[str]()
    if not manner.dry_run and items:
        confirm(f"Bring back {count(len(items), 'file')}?", yes=manner.yes)
        back, refused = restore_tree(folder, items)
    for sentence in refused:
        warn(sentence)
    if manner.as_json:
        content = {
            "files": [item.path for item in items],
            "back": [item.path for item in back],
            "refused": [readable(told) for told in refused],
        }
        document("restore-tensorboard", folder=readable(str(folder)), done=not manner.dry_run, **content)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif items:
        say(f"Brought back {len(back):,} of {count(len(items), 'file')}.")
    if refused:
        raise Exit(1)
