"""mrsweep watch: look again and again, record, take up interrupted runs, fill free slots."""

from __future__ import annotations

import time

import click

from orchestrator.cli.options import Target, examples, json_option, on_grid
from orchestrator.cli.show import document, say, warn
from orchestrator.launch.opened import OpenGrid
from orchestrator.store.errors import MrsweepError
from orchestrator.watchdog.look import Site
from orchestrator.watchdog.watch import Round, watch_once

_EXAMPLES = examples(
    """
mrsweep watch quickstart              until every run has ended
mrsweep watch quickstart --once       one round, for cron
"""
)


@click.command("watch", epilog=_EXAMPLES)
@on_grid
@json_option
@click.option("--once", is_flag=True, help="One round only.")
def command(*, target: Target, as_json: bool, once: bool) -> None:
    """Keep a grid alive: record what happened, take runs up again as its policy says, use free slots."""
    opened, site = target.open()
    if once:
        _tell(watch_once(opened, site), opened, as_json=as_json)
        return
    while _round(opened, site, as_json=as_json):
        time.sleep(site.profile.poll_s)
        opened = OpenGrid(opened.paths)  # another launch may have extended it


def _round(opened: OpenGrid, site: Site, *, as_json: bool) -> bool:
    """Do one round; say whether runs are still open. What goes wrong is told, and tried again: a week's watch does not end by it."""
    try:
        done = watch_once(opened, site)
    except (MrsweepError, OSError) as error:
        warn(f"{time.strftime('%H:%M:%S')} {error}")
        return True
    _tell(done, opened, as_json=as_json)
    return done.is_open or done.is_unsent


def _tell(done: Round, opened: OpenGrid, *, as_json: bool) -> None:
    counts: dict[str, int] = {}
    for run_id in opened.manifests:
        word = done.look.records.get(run_id).state.value
        counts[word] = counts.get(word, 0) + 1
    if as_json:
        news = {"events": len(done.look.events), "told": done.told, "waiting": done.waiting, "notes": done.look.snapshot.notes}
        document("watch", grid=opened.paths.name, counts=counts, **news)
        return
    for sentence in (*done.told, *done.look.snapshot.notes):
        say(sentence)
    if done.look.records.paused is not None and not done.told:
        say(f"{opened.paths.name} is paused: {done.look.records.paused.reason}")
    if done.look.events or done.told:
        for sentence in done.waiting:
            say(sentence)
        say(f"{time.strftime('%H:%M:%S')} {opened.paths.name}: " + ", ".join(f"{count} {word}" for word, count in counts.items()))
