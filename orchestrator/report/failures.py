"""Why runs stand still: a block a group of runs that ended alike."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.report.markup import Section, command, paragraph, text
from orchestrator.results.counting import count
from orchestrator.results.failures import Failure, doubt, telling_lines, told_doubts

MOST_GROUPS = 12
EXCERPT_LINES = 8


def failures_section(failures: Sequence[Failure], grid: str, options: str) -> Section:
    """Say of each group its cause, what was said, and the commands that look at it and submit it again."""
    title = "Failure causes"
    if not failures:
        return Section("failures", title, paragraph("No run stands still because it ended badly."), is_empty=True)
    total = sum(len(failure.runs) for failure in failures)
    most = len(failures[0].runs)
    told = f"{count(total, 'run')} in {count(len(failures), 'group')} that ended alike."
    if len(failures) > MOST_GROUPS:
        told += f" The {MOST_GROUPS} largest are shown; mrsweep status {grid} --json has them all."
    if doubts := told_doubts(failures[:MOST_GROUPS]):
        told += f" Beside a cause, {doubts}."
    blocks = "".join(_block(failure, most, grid, options) for failure in failures[:MOST_GROUPS])
    return Section("failures", title, paragraph(told) + blocks)


def _block(failure: Failure, most: int, grid: str, options: str) -> str:
    width = f"{100 * len(failure.runs) / most:.1f}%"
    lines = "\n".join(telling_lines(failure, EXCERPT_LINES))
    excerpt = f"<details><summary>what one of them said</summary><pre>{text(lines)}</pre></details>" if lines else ""
    look, again = f"mrsweep logs {failure.runs[0][:8]}{options}", f"mrsweep requeue {grid} --signature {failure.id}{options}"
    return (
        f'<div class="failure"><svg class="amount" aria-hidden="true"><rect width="{width}" height="100%"/></svg>'
        f"<h3>{len(failure.runs):,} × {text(failure.cause)}{text(doubt(failure))}</h3>"
        f"<p>{text(failure.message[:400])}</p>{excerpt}<p>{command(look)} {command(again)}</p></div>"
    )
