"""The report as one file: a strict content policy, the sections, and all scripts and data that they need."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from orchestrator.report.axes import axes_of
from orchestrator.report.best import best_section
from orchestrator.report.colours import SCALE, step_styles
from orchestrator.report.content import Content
from orchestrator.report.curves import curves_section
from orchestrator.report.effects import effects_of, effects_section
from orchestrator.report.failures import failures_section
from orchestrator.report.head import head_section
from orchestrator.report.heat_maps import heat_maps_of, heat_maps_section
from orchestrator.report.images import images_section
from orchestrator.report.markup import Section, data_block, paragraph, text
from orchestrator.report.parallel import parallel_section
from orchestrator.report.runs_table import table_section
from orchestrator.report.scores import Scores, scores_of
from orchestrator.report.seeds import cells_of, seeds_section
from orchestrator.report.timeline import bars_of, timeline_section
from orchestrator.report.usage import usage_section, uses_of
from orchestrator.results.select import varying_keys
from orchestrator.store.states import State

SCRIPTS = ("figures.js", "table.js", "parallel.js", "images.js", "scroll.js")


def make_page(content: Content, now: float) -> str:
    """Return the report as HTML. `now`: when the runs that still compute are drawn to end."""
    parts = sections(content, scores_of(content.study), now)
    any_completed = any(record.state is State.COMPLETED for _, record in content.study.pairs)
    return assemble(parts if any_completed else without_results(parts))


def sections(content: Content, scores: Scores, now: float) -> list[Section]:
    """Return the sections in the order in which they are read."""
    study = content.study
    manifests = [manifest for manifest, _ in study.pairs]
    axes = axes_of(manifests)
    effects = effects_of(axes, scores.by_run)
    seeds = cells_of(manifests, axes, scores)
    return [
        head_section(content, axes, scores),
        best_section(content, scores),
        effects_section(effects, scores),
        curves_section(study, axes, effects),
        parallel_section(manifests, [axis.key for axis in axes], scores),
        heat_maps_section(heat_maps_of(effects, scores.by_run), scores),
        seeds_section(seeds, scores, has_seeds=any(axis.is_seed for axis in axes)),
        images_section(content.panels, study, scores),
        table_section(study, varying_keys(manifests), scores),
        failures_section(content.overview.failures, study.grid, content.options),
        usage_section(list(uses_of(study.pairs, content.asked))),
        timeline_section(bars_of(study.pairs, now)),
    ]


def without_results(parts: Sequence[Section]) -> list[Section]:
    """Return the sections of a grid in which no run has completed: why runs failed first, those without content folded into one line."""
    head, *others = parts
    shown = sorted((part for part in others if not part.is_empty), key=lambda part: part.name != "failures")
    folded = ", ".join(part.title for part in others if part.is_empty)
    why = "No run has completed yet." if any(part.name == "runs" for part in shown) else "The grid has no run, or the selection names none."
    told = paragraph(f"{why} Without content: {folded}.")
    return [head, *shown, Section("empty", "Not yet", told)] if folded else [head, *shown]


def assemble(parts: Sequence[Section]) -> str:
    """Put sections into one document that loads nothing from elsewhere and runs no script but its own."""
    scripts = [bokeh_script(), *(asset(name) for name in SCRIPTS)]
    head, *others = parts
    links = "".join(f'<a href="#{part.name}">{text(part.title)}</a>' for part in others)
    data = {name: value for part in parts for name, value in part.data.items()}
    data |= {"scale": {"colours": SCALE}, "figures": [figure for part in parts for figure in part.figures]}
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">',
            f"<title>{text(head.title)}: report</title><style>{asset('page.css')}{step_styles()}</style></head><body>",
            f'<header><h1>{text(head.title)}</h1>{head.body}<nav aria-label="Sections">{links}</nav></header><main>',
            *(f'<section id="{part.name}"><h2>{text(part.title)}</h2>{part.body}</section>' for part in others),
            "</main>",
            *(data_block(name, value) for name, value in data.items()),
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>\n",
        )
    )


def policy(scripts: Sequence[str]) -> str:
    """Return the content policy: scripts by their hash, pictures from the file itself, and nothing else.

    Styles may stand inline: Bokeh writes style elements into every figure, whose texts are not known here. A style alone
    can fetch nothing under this policy.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def asset(name: str) -> str:
    """Return one of the page's own files."""
    return files("orchestrator.report").joinpath("assets", name).read_text(encoding="utf-8")


def bokeh_script() -> str:
    """Return BokehJS, the part that draws figures."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
