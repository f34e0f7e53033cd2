"""mrsweep doctor: what works here, and what will not."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec

from orchestrator.cli.main import one_line
from orchestrator.cli.options import examples, json_option, profile_option, runs_option
from orchestrator.cli.show import document, say, terminal_width, warn
from orchestrator.cluster.runs_folder import folder_facts
from orchestrator.cluster.scheduler import Fact, Verdict
from orchestrator.doctor.check import probe
from orchestrator.messages.addresses import read_targets
from orchestrator.messages.delivery import check_installed, send
from orchestrator.messages.post import Request
from orchestrator.results.counting import count
from orchestrator.store.errors import ClusterError, InputError
from orchestrator.store.layout import GridPaths
from orchestrator.watchdog.look import Site, open_site

NAME_WIDTH = 22
WIDEST = 120

_EXAMPLES = examples(
    """
mrsweep doctor
mrsweep doctor --profile slurm-gpu --runs /scratch/me/runs
mrsweep doctor --probe                also asks a node, by a job of a minute
mrsweep doctor --message              also sends a test message to each address
"""
)


@click.command("doctor", epilog=_EXAMPLES)
@runs_option
@profile_option
@json_option
@click.option("--probe", "asks_node", is_flag=True, help="Also send a job of a minute to a node, and try the runs folder from both sides.")
@click.option(
    "--wait", "wait_min", type=click.FloatRange(min=0.1), default=10, show_default=True, help="Minutes until that job must start."
)
@click.option("--message", "sends", is_flag=True, help="Also send a test message to each address that grids can name in notify.")
def command(runs: Path, *, profile: str | None, as_json: bool, asks_node: bool, wait_min: float, sends: bool) -> None:
    """Check scheduler, limits, accounting and the filesystem of the runs folder. Exits with 1 if something will not work."""
    site = open_site(GridPaths(runs), profile)
    facts = [*_machine(), *folder_facts(runs, site.profile), *_cluster(site)]
    if asks_node:
        facts += probe(runs, site.profile, patience_s=60 * wait_min, tell=warn)
    if sends:
        facts += _messages()
    if as_json:
        document("doctor", facts=[msgspec.to_builtins(fact) for fact in facts])
    else:
        for line in lines(facts, min(terminal_width(), WIDEST)):
            click.echo(line)
        say(_sum_up(facts))
    sys.exit(1 if any(fact.verdict is Verdict.BAD for fact in facts) else 0)


def _machine() -> Iterator[Fact]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Fact(name="python", value=f"{python}, {sys.executable}")
    yield Fact(name="cores", value=str(os.cpu_count()))


def _cluster(site: Site) -> Iterator[Fact]:
    yield Fact(name="profile", value=f"{site.profile.name} ({site.profile.path})")
    try:
        yield from site.scheduler.facts()
    except ClusterError as error:
        advice = f"{error} Is SLURM_CONF set, and the controller up?"
        yield Fact(name="Slurm", value="does not answer", verdict=Verdict.BAD, advice=advice)


def _messages() -> Iterator[Fact]:
    """Send a test message to each address."""
    try:
        check_installed()
        targets = read_targets(os.environ)
    except InputError as error:
        yield Fact(name="messages", value="cannot be sent", verdict=Verdict.BAD, advice=str(error))
        return
    text = "This is a test message.\nWho gets it is told by the grids whose files hold notify."
    for target in targets:
        why = send(Request(url=target.url, subject=f"[mrsweep] a test message to {target.name}", text=text))
        yield Fact(name=f"message to {target.name}", value=why or "accepted", verdict=Verdict.BAD if why else Verdict.OK)


def lines(facts: Iterable[Fact], width: int) -> Iterator[str]:
    """Yield the report: verdict, name and value, and below them the advice, none wider than `width`."""
    for fact in facts:
        head = f"  {fact.verdict.value:<6}{one_line(fact.name):<{NAME_WIDTH}}"
        indent = " " * (8 + NAME_WIDTH)
        yield from _wrap(fact.value or "-", width, f"{head} ", f"{indent} ")
        if fact.advice:
            yield from _wrap(fact.advice, width, f"{indent}   ", f"{indent}   ")


def _wrap(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(one_line(text), width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _sum_up(facts: Iterable[Fact]) -> str:
    verdicts = [fact.verdict for fact in facts]
    bad, notes = verdicts.count(Verdict.BAD), verdicts.count(Verdict.NOTE)
    told = f"{count(notes, 'thing')} worth knowing" if notes else "nothing to note"
    return f"{count(bad, 'thing')} will not work, {told}." if bad else f"All that grids need works, {told}."
