"""Pictures: whose are shown, which of them, how small, and that a page stays bounded."""

from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from orchestrator.metrics.history import RunHistory
from orchestrator.report.content import Frame, Panel
from orchestrator.report.images import (
    LARGEST,
    MOST_NAMES,
    MOST_STEPS,
    bounded,
    candidates,
    chosen,
    files_of,
    images_section,
    make_panel,
    reduce,
    window_of,
)
from orchestrator.report.scores import scores_of
from tests.report.made import curve, run_id, study


def png(height: int = 40, width: int = 30, mode: str = "L", kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((height, width), np.uint8)).convert(mode).save(stream, kind)
    return stream.getvalue()


def test_best_median_and_worst_are_looked_for_outwards_from_their_place() -> None:
    one = study({"x": range(5)}, [0.5, 0.9, 0.1, 0.7, 0.3])
    found = {each.rank: [int(run[:8], 16) for run in each.runs] for each in candidates(one, scores_of(one))}
    assert found["best"] == [1, 3, 0, 4, 2] and found["worst"] == [2, 4, 0, 3, 1]
    assert found["median"][0] == 0 and sorted(found["median"][1:3]) == [3, 4]


def test_without_an_objective_any_run_that_started_may_be_shown() -> None:
    one = study({"x": [1, 2]}, [0.5, None], mode=None)
    (only,) = candidates(one, scores_of(one))
    assert only.runs == (run_id(0), run_id(1))


def test_only_pictures_of_entries_are_taken() -> None:
    names = ["truth-000003.png", "my-error-12.png", "notes.txt", "-1.png", "plain.png", "x-1.PNG", ".hidden-1.png.part"]
    assert [(one.name, one.step) for one in files_of(names)] == [("my-error", 12), ("truth", 3)]


def test_steps_are_thinned_evenly_and_the_usual_names_come_first() -> None:
    files = files_of([f"{name}-{step}.png" for name in ("zz", "mask", "recon", "a", "b", "c", "d", "e") for step in range(100)])
    shown = chosen(files)
    assert {one.name for one in shown} == {"recon", "mask", "a", "b", "c", "d"} and MOST_NAMES == 6
    steps = sorted({one.step for one in shown})
    assert (len(steps), steps[0], steps[-1]) == (MOST_STEPS, 0, 99)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P", "I;16"])
def test_pictures_become_small_and_keep_their_shape(mode: str) -> None:
    with Image.open(io.BytesIO(reduce(png(2000, 1000, mode)))) as small:
        assert (small.format, small.size) == ("WEBP", (LARGEST // 2, LARGEST))


@pytest.mark.parametrize("content", [b"", b"no picture", png()[:40], png(kind="GIF")], ids=["empty", "text", "torn", "gif"])
def test_what_is_no_png_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        reduce(content)


def windowed(**told: str) -> bytes:
    stream, texts = io.BytesIO(), PngInfo()
    for name, text in told.items():
        texts.add_text(name, text)
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(stream, "PNG", pnginfo=texts)
    return stream.getvalue()


WINDOWS = [
    (windowed(low="-0.5", high="1.25"), (-0.5, 1.25)),
    (windowed(), None),
    (windowed(low="0"), None),
    (windowed(low="<b>", high="1"), None),
    (windowed(low="0", high="inf"), None),
    (b"no picture", None),
]


@pytest.mark.parametrize(("content", "window"), WINDOWS)
def test_the_display_window_is_what_the_file_says(content: bytes, window: tuple[float, float] | None) -> None:
    assert window_of(content) == window


def test_pictures_are_shown_with_their_display_window() -> None:
    one = study({"x": [1]}, [0.5])
    contents = {1: windowed(low="0", high="1.25"), 2: windowed()}
    panel = make_panel("best", run_id(0), files_of(["a-1.png", "a-2.png"]), lambda file: contents[file.step])
    section = images_section([panel], one, scores_of(one))
    assert [picture[::2] for picture in section.data["images"]["panels"][0]["pictures"]["a"]] == [[1, "[0, 1.25]"], [2, ""]]
    assert "from its smallest value (black) to its largest (white)" in section.body and "The window stands in brackets." in section.body


def test_damaged_pictures_are_left_out_and_counted() -> None:
    files = files_of(["a-1.png", "a-2.png"])
    panel = make_panel("best", run_id(1), files, lambda one: png() if one.step == 1 else b"torn")
    assert [frame.step for frame in panel.frames] == [1] and panel.left_out == 1


def test_steps_are_left_out_until_the_page_is_small_enough() -> None:
    frames = tuple(Frame(name="a", step=step, image=bytes(1000)) for step in range(16))
    kept = bounded([Panel(rank="best", run=run_id(1), frames=frames), Panel(rank="worst", run=run_id(2), frames=frames[:2])], most=9000)
    assert [[frame.step for frame in panel.frames] for panel in kept] == [[0, 2, 4, 6, 9, 11, 13, 15], [0]]
    assert [panel.left_out for panel in kept] == [8, 1]


def test_section_names_what_is_left_out_and_says_why_it_is_empty() -> None:
    one = study({"x": [1]}, [0.5])
    panel = Panel(rank="best", run=run_id(0), frames=(Frame(name="a", step=3, image=b"x"),), left_out=7)
    section = images_section([panel], one, scores_of(one))
    assert "7 pictures left out" in section.body
    assert section.data["images"]["panels"][0]["told"] == "val/ssim = 0.5000 of the selected step 2"
    assert "grey values cannot be compared between pictures" in section.body
    assert "run.image(" in images_section([], one, scores_of(one)).body


def test_picture_tells_the_objective_of_its_own_step_where_it_was_reported() -> None:
    one = study({"x": [1]}, [0.5])
    curves = {"val/ssim": curve([0.3, 0.5, 0.4], [1, 2, 4])}
    one = msgspec.structs.replace(one, history={run_id(0): RunHistory(curves=curves)})
    frames = tuple(Frame(name="a", step=step, image=b"x") for step in (1, 2, 3, 4))
    (panel,) = images_section([Panel(rank="best", run=run_id(0), frames=frames)], one, scores_of(one)).data["images"]["panels"]
    assert panel["at"] == {1: "val/ssim = 0.3000 at step 1", 4: "val/ssim = 0.4000 at step 4"}
    assert panel["told"] == "val/ssim = 0.5000 of the selected step 2"


@pytest.mark.parametrize(("rank", "run", "among"), [("best", 1, ""), ("best", 2, "of the runs with pictures"), ("worst", 0, "")])
def test_rank_among_the_runs_with_pictures_is_not_told_as_one_among_all(rank: str, run: int, among: str) -> None:
    one = study({"x": [1, 2, 3]}, [0.5, 0.9, 0.7])
    panel = Panel(rank=rank, run=run_id(run), frames=(Frame(name="a", step=1, image=b"x"),))
    assert images_section([panel], one, scores_of(one)).data["images"]["panels"][0]["among"] == among
