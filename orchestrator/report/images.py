"""Pictures of the best, the median and the worst run, side by side, with one slider through their steps."""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from orchestrator.metrics.history import Curve
from orchestrator.report.content import Frame, Panel
from orchestrator.report.markup import Section, measured, number, paragraph
from orchestrator.report.scores import Scores
from orchestrator.report.thinning import evenly
from orchestrator.results.counting import count
from orchestrator.tables.study import Study
from orchestrator.tables.values import selected_step

MOST_NAMES = 6
MOST_STEPS = 20
LARGEST = 256
"""Pixels of the longer side."""

MOST_PIXELS = 64_000_000
"""Of a larger picture nothing is shown."""

MOST_FILE_BYTES = 100_000_000
"""A larger file is not read."""

MOST_BYTES = 6_000_000
"""Of all pictures of a report together; steps are left out until they fit."""

QUALITY = 85
FIRST = ("reconstruction", "recon", "output", "truth", "target", "error", "mask")
"""Names that stand first, in this order."""

WINDOW = ("low", "high")
"""Texts of a PNG file that say which values are black and white."""

_FILE = re.compile(r"(?P<name>.+)-(?P<step>\d+)\.png\Z", re.ASCII)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the figure, and the runs that may take it: the first that has pictures does."""

    rank: str
    runs: tuple[str, ...]


def candidates(study: Study, scores: Scores) -> list[Candidate]:
    """Return whose pictures to look for: best, median and worst by score; without scores whatever run has some."""
    ranked = scores.ranked
    if not ranked or not scores.mode:
        return [Candidate(rank="first run", runs=tuple(manifest.id for manifest, record in study.pairs if record.attempts))]
    middle = len(ranked) // 2
    outwards = sorted(range(len(ranked)), key=lambda place: abs(place - middle))
    return [
        Candidate(rank="best", runs=tuple(ranked)),
        Candidate(rank="median", runs=tuple(ranked[place] for place in outwards)),
        Candidate(rank="worst", runs=tuple(reversed(ranked))),
    ]


class File(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A picture as an entry saves it: images/<name>-<step>.png."""

    name: str
    step: int
    file: str


def files_of(names: Sequence[str]) -> list[File]:
    """Return those file names that are pictures of an entry."""
    matches = ((name, _FILE.match(name)) for name in names)
    return sorted(File(name=match["name"], step=int(match["step"]), file=name) for name, match in matches if match)


def chosen(files: Sequence[File]) -> list[File]:
    """Return the pictures to show: of so many names, at so many steps, evenly picked."""
    names = sorted({one.name for one in files}, key=_order)[:MOST_NAMES]
    kept = [one for one in files if one.name in names]
    steps = set(evenly(sorted({one.step for one in kept}), MOST_STEPS))
    return [one for one in kept if one.step in steps]


def _order(name: str) -> tuple[int, str]:
    places = [place for place, word in enumerate(FIRST) if word in name.lower()]
    return min(places, default=len(FIRST)), name


def reduce(png: bytes) -> bytes:
    """Return a picture as a small WebP. Raises ValueError for what is no picture, or far too large."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels")
            deep = picture.mode.startswith("I")  # of 16 bits, which a conversion would cut off at 255
            shown = picture.convert("I").point(lambda value: value / 257) if deep else picture
            small = shown.convert("L" if deep or picture.mode in ("L", "1") else "RGB")
            small.thumbnail((LARGEST, LARGEST))
            stream = io.BytesIO()
            small.save(stream, "WEBP", quality=QUALITY, method=2)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
    return stream.getvalue()


def window_of(png: bytes) -> tuple[float, float] | None:
    """Return which values of the array are black and white in a picture, as they were written into it; None: it does not say."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
            low, high = (float(picture.info.get(name, "nan")) for name in WINDOW)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def bounded(panels: Sequence[Panel], most: int = MOST_BYTES) -> list[Panel]:
    """Leave out steps, evenly, until all pictures together have at most `most` bytes."""
    panels = list(panels)
    while panels and _size(panels) > most and max(len(_steps(panel)) for panel in panels) > 1:
        panels = [_with_half(panel) for panel in panels]
    return panels


def _size(panels: Sequence[Panel]) -> int:
    return sum(len(frame.image) for panel in panels for frame in panel.frames)


def _steps(panel: Panel) -> list[int]:
    return sorted({frame.step for frame in panel.frames})


def _with_half(panel: Panel) -> Panel:
    steps = _steps(panel)
    kept = set(evenly(steps, max(1, len(steps) // 2)))
    frames = tuple(frame for frame in panel.frames if frame.step in kept)
    return msgspec.structs.replace(panel, frames=frames, left_out=panel.left_out + len(panel.frames) - len(frames))


def make_panel(rank: str, run: str, files: Sequence[File], read: Callable[[File], bytes]) -> Panel:
    """Return the pictures of a run. `read`: file → its bytes; what cannot be read or shown is left out and counted."""
    frames = []
    shown = chosen(files)
    for one in shown:
        try:
            png = read(one)
            frames.append(Frame(name=one.name, step=one.step, image=reduce(png), window=window_of(png)))
        except (ValueError, OSError):
            continue
    return Panel(rank=rank, run=run, frames=tuple(frames), left_out=len(files) - len(frames))


def images_section(panels: Sequence[Panel], study: Study, scores: Scores) -> Section:
    """Hand the pictures to the page's script."""
    title = "Images"
    panels = [panel for panel in panels if panel.frames]
    if not panels:
        told = "No picture: an entry saves some with run.image(name, array, step), and they are shown of runs that completed."
        return Section("images", title, paragraph(told), is_empty=True)
    labels = {manifest.id: manifest.label for manifest, _ in study.pairs}
    steps = sorted({frame.step for panel in panels for frame in panel.frames})
    firsts = {each.rank: each.runs[:1] for each in candidates(study, scores)}
    made = [_panel(panel, labels[panel.run], study, scores) | {"among": _among(panel, firsts.get(panel.rank, ()))} for panel in panels]
    data = {"steps": steps, "panels": made}
    left_out = sum(panel.left_out for panel in panels)
    told = f"Each picture at the step of the slider, or its last one before; at most {LARGEST} pixels wide or high, and compressed: "
    told += (
        "measure in the files. Each has a display window of its own, from its smallest value (black) to its largest (white), unless its "
    )
    told += "entry saved bytes, so that grey values cannot be compared between pictures. "
    if any(frame.window for panel in panels for frame in panel.frames):
        told += "The window stands in brackets. "
    told += f"{count(left_out, 'picture')} left out, steps evenly picked." if left_out else ""
    slider = (
        f'<label class="slider">step <input id="images-step" type="range" min="0" max="{len(steps) - 1}" value="{len(steps) - 1}" step="1">'
        f'<output id="images-shown">{steps[-1]}</output></label>'
    )
    return Section("images", title, f'{paragraph(told)}{slider}<div id="images-panels"></div>', data={"images": data})


def _panel(panel: Panel, label: str, study: Study, scores: Scores) -> dict[str, Any]:
    names = sorted({frame.name for frame in panel.frames}, key=_order)
    pictures = {
        name: [[frame.step, base64.b64encode(frame.image).decode(), _told(frame)] for frame in panel.frames if frame.name == name]
        for name in names
    }
    run = study.reported(panel.run)
    steps = sorted({frame.step for frame in panel.frames})
    selected = selected_step(run, study.objective)
    told = _of_selected_step(scores, panel.run, selected)
    at = told_at(run.curves.get(scores.metric), scores.metric, [step for step in steps if step != selected])
    return {"rank": panel.rank, "told": told, "at": at, "label": label, "names": names, "pictures": pictures}


def _among(panel: Panel, first: Sequence[str]) -> str:
    """Return among which runs this one has its rank, where a run before it has no pictures; empty: among all."""
    return "" if panel.run in first else "of the runs with pictures"


def _told(frame: Frame) -> str:
    """Return the display window of a picture: "[0, 1.25]"."""
    return f"[{number(frame.window[0])}, {number(frame.window[1])}]" if frame.window is not None else ""


def _of_selected_step(scores: Scores, run: str, step: float | None) -> str:
    """Return the value by which a run is compared, with the step that it was reported at."""
    value = scores.by_run.get(run)
    if value is None:
        return ""
    return f"{scores.metric} = {measured(value)}" + (f" of the selected step {step:g}" if step is not None else "")


def told_at(curve: Curve | None, metric: str, steps: Sequence[int]) -> dict[int, str]:
    """Return step → what the metric was there, for those of the steps at which it was reported."""
    reported = dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True)) if curve is not None else {}
    return {step: f"{metric} = {measured(reported[step])} at step {step}" for step in steps if step in reported}
