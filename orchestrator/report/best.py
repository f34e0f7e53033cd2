"""The best runs, each with the command that computes it again."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join

from orchestrator.grid.manifest import Manifest
from orchestrator.metrics.lines import as_float
from orchestrator.report.content import Content
from orchestrator.report.effects import why_none
from orchestrator.report.markup import Section, command, measured, paragraph, text
from orchestrator.report.scores import Scores
from orchestrator.report.usage import span
from orchestrator.results.counting import count
from orchestrator.store.records import Record
from orchestrator.tables.study import Study
from orchestrator.tables.values import selected_step, values_of

MOST_RUNS = 6


def best_section(content: Content, scores: Scores) -> Section:
    """List the best runs by the objective."""
    title = "Best runs"
    if not scores.mode or not scores.by_run:
        told = why_none(scores) if not scores.by_run else "The grid file names no objective: write metrics: {objective: NAME, mode: max}."
        return Section("best", title, paragraph(told), is_empty=True)
    pairs = {manifest.id: (manifest, record) for manifest, record in content.study.pairs}
    shown = [pairs[run] for run in scores.ranked[:MOST_RUNS]]
    first = "highest" if scores.mode == "max" else "lowest"
    told = f"By {scores.metric}, {first} first: {count(len(scores.by_run), 'completed run')} compared."
    told = f"{told} {scores.left_out} {scores.told_diverged}".strip()
    blocks = "".join(_block(manifest, record, content, scores) for manifest, record in shown)
    return Section("best", title, f'{paragraph(told)}<ol class="best">{blocks}</ol>')


def _block(manifest: Manifest, record: Record, content: Content, scores: Scores) -> str:
    score = f"{scores.metric} = {measured(scores.by_run[manifest.id])}"
    more = f"{beside(content.study, manifest.id, scores.metric)} · {manifest.id[:8]} · {span(record.spent_s / 60)}"
    commands = "<br>".join(map(command, commands_of(manifest, content)))
    return f"<li><h3>{text(score)}<small>{text(more)}</small></h3><p>{text(manifest.label)}</p><p>{commands}</p></li>"


def beside(study: Study, run_id: str, metric: str) -> str:
    """Return the step of a score, and the metrics of the same last word such as test/ssim beside val/ssim: there, or as returned."""
    run = study.reported(run_id)
    step = selected_step(run, study.objective)
    kin = [name for name in run.names if name != metric and name.rpartition("/")[2] == metric.rpartition("/")[2]]
    values = {name: as_float(value) for name, value in zip(kin, values_of(run, kin, step), strict=True)}
    told = {name: f" · {name} {measured(value)}" for name, value in values.items() if value is not None}
    there = [name for name in told if step is not None and name in run.curves and step in run.curves[name].steps]
    at = f" at step {step:g}" if step is not None else ""
    returned = [words for name, words in told.items() if name not in there]
    return "".join([*(told[name] for name in there), at, *returned])


def commands_of(manifest: Manifest, content: Content) -> Sequence[str]:
    """Return what to type to compute a run again: through mrsweep, and the command itself where the run is one."""
    again = f"mrsweep run {manifest.id[:12]} --grid {content.study.grid}{content.options}"
    return [again, join(manifest.command)] if manifest.command else [again]
