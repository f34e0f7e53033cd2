"""What matplotlib was told to draw, read back from its artists, and the files."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D
from PIL import Image

from orchestrator.plots.cells import Ask
from orchestrator.plots.curves import plan_curves
from orchestrator.plots.draw import FORMATS, draw, render
from orchestrator.plots.effect import plan_effect
from orchestrator.plots.figure import Axis, Figure, Line, Point
from orchestrator.plots.style import BEST_COLOUR, COLOURS, MARKERS, MOST_LINES, looks_of
from orchestrator.store.errors import InputError
from orchestrator.tables.sample import Sample
from tests.plots.conftest import curves_sample, make_sample

RATIO = Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="model.blocks=STL", best="")


def drawn(axes, label: str):
    """Return the line that matplotlib drew under a label."""
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return found


def test_artists_hold_the_means_and_the_intervals(ratio: Sample) -> None:
    figure = plan_effect(ratio, RATIO)
    (axes,) = draw(figure).axes
    for line in figure.lines:
        artist = drawn(axes, line.label)
        assert artist.get_xdata().tolist() == [0, 1, 2, 3]
        assert artist.get_ydata().tolist() == [point.mean for point in line.points]
    bands = [np.array(band.get_paths()[0].vertices) for band in axes.collections]
    assert len(bands) == 3  # the best line is one of the others, and has no band of its own
    expected = {
        (point.x, round(edge, 9)) for line in figure.lines[:3] for point in line.points for edge in (point.low or 0, point.high or 0)
    }
    assert {(x, round(y, 9)) for band in bands for x, y in band.tolist()} == expected


def test_missing_cell_breaks_the_line_and_is_crossed_out_below() -> None:
    rows = [
        ({"k": k, "x": x, "seed": seed}, float(x + seed)) for k in ("a", "b") for x in (1, 2, 3) for seed in (0, 1) if (k, x) != ("b", 2)
    ]
    (axes,) = draw(plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", hue=("k",)))).axes
    assert np.isnan(drawn(axes, "b").get_ydata()).tolist() == [False, True, False]
    crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
    assert [(cross.get_xdata().tolist(), cross.get_color()) for cross in crosses] == [([2.0], COLOURS[1])]
    bars = [path.vertices.tolist() for collection in axes.collections for path in collection.get_paths() if len(path.vertices) == 2]
    assert sorted(bar[0][0] for bar in bars) == [1.0, 3.0]  # neighbours of a gap have bars, for a band would bridge it


def test_point_of_fewer_runs_is_hollow() -> None:
    rows = [({"x": x, "seed": seed}, None if (x, seed) == (2, 1) else 1.0) for x in (1, 2) for seed in (0, 1)]
    (axes,) = draw(plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim"))).axes
    hollow = [line for line in axes.get_lines() if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[2.0]]


def test_categories_stand_side_by_side_and_are_not_joined() -> None:
    rows = [({"k": k, "h": h, "seed": seed}, float(seed)) for k in ("b", "a") for h in (1, 2) for seed in (0, 2)]
    (axes,) = draw(plan_effect(make_sample(("g", rows)), Ask(x="k", y="test/ssim", hue=("h",)))).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["b", "a"]
    one, two = drawn(axes, "1"), drawn(axes, "2")
    assert one.get_linestyle() == two.get_linestyle() == "None"
    assert (one.get_xdata() < [0, 1]).all() and (two.get_xdata() > [0, 1]).all()


def test_long_names_of_categories_do_not_run_into_each_other() -> None:
    rows = [({"k": name * 6, "seed": 1}, 1.0) for name in ("abc", "def", "ghi", "jkl")]
    canvas = draw(plan_effect(make_sample(("g", rows)), Ask(x="k", y="test/ssim", over=("seed",))))
    canvas.draw_without_rendering()
    labels = canvas.axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {30.0}
    ends = [label.get_window_extent().x1 for label in labels]
    assert ends == sorted(ends) and min(label.get_window_extent().y0 for label in labels) > canvas._supxlabel.get_window_extent().y1


def test_crosses_of_two_lines_at_one_place_stand_one_above_the_other() -> None:
    rows = [({"k": k, "x": x}, None if x == 2 and k != "c" else 1.0) for k in ("a", "b", "c") for x in (1, 2)]
    (axes,) = draw(plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", hue=("k",)))).axes
    crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
    assert [cross.get_xdata().tolist() for cross in crosses] == [[2.0], [2.0]]
    assert crosses[0].get_ydata() < crosses[1].get_ydata()
    assert list(crosses[0].get_ydata()) == [0] and not crosses[0].get_clip_on()
    assert crosses[0].get_transform() == axes.get_xaxis_transform()  # y counts from the axis


def test_single_line_beside_a_baseline_is_named_after_its_metric() -> None:
    rows = [({"k": k, "x": x}, 1.0) for k in ("a", "stl") for x in (1, 2)]
    canvas = draw(plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", baseline="k=stl")))
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == ["test/ssim", "baseline: k=stl"]


def test_curve_is_dotted_where_some_runs_reported_nothing() -> None:
    sample = curves_sample([({"k": "a", "seed": seed}, {step: float(step) for step in range(1, 4 + seed)}) for seed in (0, 2)])
    (axes,) = draw(plan_curves(sample, Ask(x="step", y="val/ssim", hue=("k",)))).axes
    whole = drawn(axes, "a")
    dotted = [line for line in axes.get_lines() if line.get_linestyle() == ":" or line.is_dashed()]
    assert np.isnan(whole.get_ydata()).tolist() == [False] * 3 + [True] * 2
    assert np.isnan(dotted[0].get_ydata()).tolist() == [True] * 2 + [False] * 3


def test_scales_follow_the_figure() -> None:
    rows = [({"optim.lr": lr}, 1 / lr) for lr in (1e-4, 1e-3, 1e-2)]
    (axes,) = draw(plan_effect(make_sample(("g", rows)), Ask(x="lr", y="test/ssim"))).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlabel() == "optim.lr"


def test_legend_and_notes_cover_no_data(ratio: Sample) -> None:
    canvas = draw(plan_effect(ratio, RATIO))
    canvas.draw_without_rendering()
    axes, legend = canvas.axes[0].get_window_extent(), canvas.legends[0].get_window_extent()
    notes = canvas._supxlabel.get_window_extent()
    assert legend.y0 >= axes.y1 and notes.y1 <= axes.y0
    assert legend.x1 <= canvas.bbox.x1 and notes.x1 <= canvas.bbox.x1
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == ["IIV", "IIY", "baseline: model.blocks=STL", "best by test/ssim"]


@pytest.mark.parametrize("width", [40.0, 85.0, 170.0])
def test_width_is_the_one_asked_for_and_text_stays_readable(ratio: Sample, width: float) -> None:
    image = Image.open(io.BytesIO(render(plan_effect(ratio, RATIO), ".png", width_mm=width)))
    assert abs(image.width / 300 * 25.4 - width) < 0.1
    canvas = draw(plan_effect(ratio, RATIO), width_mm=width)
    assert min(text.get_fontsize() for text in canvas.legends[0].get_texts()) >= 6


@pytest.mark.journey
@pytest.mark.parametrize("suffix", FORMATS)
def test_same_figure_gives_the_same_bytes_in_every_process(ratio: Sample, suffix: str, tmp_path: Path) -> None:
    content = render(plan_effect(ratio, RATIO), suffix)
    assert content == render(plan_effect(ratio, RATIO), suffix)
    assert {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix] == content[: 5 if suffix == ".svg" else 4]
    assert time.strftime("%Y-").encode() not in content and str(Path.cwd()).encode() not in content
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nlines.linewidth: 9\nfigure.facecolor: red\n")
    program = (
        "import sys, hashlib\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from orchestrator.plots.draw import render\n"
        "from orchestrator.plots.figure import *\n"
        "figure = Figure(x=Axis(label='x'), y=Axis(label='y'), lines=(Line(label='a', points=(Point(x=1.0, n=1, mean=2.0),)),))\n"
        f"print(hashlib.sha256(render(figure, {suffix!r})).hexdigest())"
    )
    hashes = {
        subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True).stdout
        for folder in (tmp_path, tmp_path.parent)
    }
    assert len(hashes) == 1


def test_callers_settings_and_pyplot_are_left_alone(ratio: Sample) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    render(plan_effect(ratio, RATIO), ".svg")
    assert dict(matplotlib.rcParams) == before


def simple(label: str, points: int = 1) -> Line:
    return Line(label=label, points=tuple(Point(x=float(x), n=1, mean=1.0) for x in range(points)))


@pytest.mark.parametrize("text", ["$\\frac{$", "a$b$c", "<script>alert(1)</script>", "x" * 300, "日本語 é", "\x1b[31mred\n", "%s {0}"])
def test_any_text_can_stand_in_a_figure(text: str) -> None:
    figure = Figure(
        x=Axis(label=text, categories=(text,)), y=Axis(label=text), lines=(simple(text), simple("b")), legend=text, notes=(text,)
    )
    for suffix in FORMATS:
        assert b"<script" not in render(figure, suffix)


def _dotted_curves(number: int) -> list[Line2D]:
    """Return the parts of so many curves that are means of fewer runs."""
    sample = curves_sample([({"k": k, "seed": seed}, {1: 1.0, 2: 2.0, 3 + seed: 2.0}) for k in range(number) for seed in (0, 1)])
    (axes,) = draw(plan_curves(sample, Ask(x="step", y="val/ssim", hue=("k",)))).axes
    dotted = [line for line in axes.get_lines() if str(line.get_label()).startswith("_") or line.get_label() == ""]
    return [line for line in dotted if line.get_marker() not in ("None", "")]


def test_lines_differ_in_colour_and_marker_and_too_many_are_refused() -> None:
    looks = looks_of([simple(str(place)) for place in range(MOST_LINES)])
    assert len({(look.colour, look.dash) for look in looks}) == len({look.marker for look in looks}) == MOST_LINES == len(MARKERS)
    thin = [line.get_marker() for line in _dotted_curves(MOST_LINES)]
    assert sorted(thin) == sorted(MARKERS)
    with pytest.raises(InputError, match="--hue: makes 11 lines, and a figure can show 10"):
        looks_of([simple(str(place)) for place in range(MOST_LINES + 1)])


def test_colours_stay_apart_for_colour_blind_readers() -> None:
    """Dichromats see what Viénot, Brettel and Mollon (1999) computed."""
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, -0.0], [0.00401, -0.00401, 1.0]])
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, -0.0], [-0.02234, 0.02234, 1.0]])
    linear = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in (*COLOURS, BEST_COLOUR)]) ** 2.2
    for matrix in (np.eye(3), protan, deutan):
        seen = np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
        distances = [float(np.linalg.norm(seen[i] - seen[j])) for i in range(len(seen)) for j in range(i)]
        assert min(distances) > 0.25


def test_missing_matplotlib_says_what_to_install(ratio: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"matplotlib cannot be imported .*pip install 'mrsweep\[report\]'"):
        render(plan_effect(ratio, RATIO), ".svg")


def test_interval_below_zero_leaves_a_logarithmic_axis_finite() -> None:
    rows = [({"x": x, "seed": seed}, 20.0 ** (x * seed)) for x in (1, 2) for seed in (0, 1, 2)]
    (axes,) = draw(plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim"))).axes
    assert axes.get_yscale() == "log" and all(math.isfinite(limit) and limit > 0 for limit in axes.get_ylim())
