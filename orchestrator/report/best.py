"""The best runs, each with the command that computes it again."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join

from orchestrator.grid.manifest import Manifest
from orchestrator.report.content import Content
from orchestrator.report.effects import why_none
from orchestrator.report.markup import Section, command, count, measured, paragraph, text
from orchestrator.report.scores import Scores
from orchestrator.report.usage import span

MOST_RUNS = 6


def best_section(content: Content, scores: Scores) -> Section:
    """List the best runs by the objective."""
    title = "Best runs"
    if not scores.mode or not scores.by_run:
        told = why_none(scores) if not scores.by_run else "The grid file names no objective: write metrics: {objective: NAME, mode: max}."
        return Section("best", title, paragraph(told))
    pairs = {manifest.id: (manifest, record) for manifest, record in content.study.pairs}
    shown = [pairs[run] for run in scores.ranked[:MOST_RUNS]]
    first = "highest" if scores.mode == "max" else "lowest"
    told = f"By {scores.metric}, {first} first: {count(len(scores.by_run), 'completed run')} compared. {scores.left_out}"
    blocks = "".join(
        f"<li><h3>{text(scores.metric)} = {measured(scores.by_run[manifest.id])}"
        f" <small>{text(manifest.id[:8])} · {span(record.spent_s / 60)}</small></h3><p>{text(manifest.label)}</p>"
        f"<p>{'<br>'.join(map(command, commands_of(manifest, content)))}</p></li>"
        for manifest, record in shown
    )
    return Section("best", title, f'{paragraph(told)}<ol class="best">{blocks}</ol>')


def commands_of(manifest: Manifest, content: Content) -> Sequence[str]:
    """Return what to type to compute a run again: through mrsweep, and the command itself where the run is one."""
    again = f"mrsweep run {manifest.id[:12]} --grid {content.study.grid}{content.options}"
    return [again, join(manifest.command)] if manifest.command else [again]
