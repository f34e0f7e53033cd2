"""The report in a real browser, from a file: it loads without a complaint, filters, sorts, hides, slides, and fits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.report.content import Frame, Panel
from orchestrator.report.page import make_page
from tests.cli.conftest import Project
from tests.report.made import content, run_id, study

pytestmark = pytest.mark.journey
HERE = Path(__file__).parent
GRID = """\
# Question: is <b>deep</b> better than plain?
name: g
entry: pictured:train
preload: []
grid: {kind: [plain, deep, "</script><b>odd</b>"], acc: [4, 16], seed: [1, 2, 3]}
resources: {gpus: 0, mem_gb: 1, time_min: 5, max_parallel: 2}
policy: {breaker: 100}
metrics: {objective: val/ssim, mode: max}
"""

IN_SHADOWS = """
const found = [];
const walk = (root) => root.querySelectorAll("*").forEach((one) => {
  if (one.matches(arguments[0])) found.push(one);
  if (one.shadowRoot) walk(one.shadowRoot);
});
walk(document.getElementById(arguments[1]));
return found;
"""
"""Elements below one, also those within the shadow roots of figures."""


DECODED = """
const pictures = [...document.querySelectorAll("#images-panels img")];
Promise.all(pictures.map((one) => one.decode()))
  .then(() => arguments[0](pictures.map((one) => [one.naturalWidth, one.naturalHeight])), (error) => arguments[0](String(error)));
"""
"""The sizes of all pictures once the browser has read them, or why it cannot."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a grid that was computed on this machine."""
    project = Project(tmp_path_factory.mktemp("report") / "my 'own' #1 project")
    project.write("pictured.py", (HERE / "pictured.py").read_text())
    project.launch(str(project.write("grids/g.yaml", GRID).relative_to(project.folder)))
    project.watch()
    project.ok("report", "g", "-o", "my report.html")
    return project.folder / "my report.html"


def show(browser: Any, page: Path, *, width: int = 1280, dark: bool = False) -> None:
    """Open a page from its file, as wide as asked, and wait until its figures are drawn."""
    browser.get_log("browser")
    prefer(browser, dark=dark)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    )
    browser.get(page.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.figures") == "drawn")


def prefer(browser: Any, *, dark: bool) -> None:
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def until(truth: Callable[[], Any], within_s: float = 60.0) -> Any:
    """Return the first true value."""
    deadline = time.monotonic() + within_s
    while not (found := truth()):
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)
    return found


def text_of(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def column(browser: Any, place: int) -> list[str]:
    """Return what the rows in sight hold in one column."""
    script = "return [...document.querySelectorAll('#runs-table tbody tr:not(.spacer)')].map((row) => row.cells[arguments[0]].textContent)"
    return list(browser.execute_script(script, place))


def fill_in(browser: Any, words: str) -> None:
    field = browser.find_element("id", "runs-filter")
    field.clear()
    field.send_keys(words)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_page_loads_from_its_file_without_a_complaint(browser: Any, page: Path, width: int, dark: bool) -> None:
    show(browser, page, width=width, dark=dark)
    assert [entry for entry in browser.get_log("browser") if entry["level"] not in ("INFO", "DEBUG")] == []
    assert browser.execute_script("return document.querySelectorAll('.figure canvas, .figure > *').length") >= 5
    assert "<script>alert(1)</script>" in text_of(browser, "#curves") and "cannot train" in text_of(browser, "#failures")


def test_table_filters_by_words_and_comparisons(browser: Any, page: Path) -> None:
    show(browser, page)
    assert text_of(browser, "#runs-count") == "18 runs"
    fill_in(browser, "deep acc>4")
    assert text_of(browser, "#runs-count") == "3 of 18 runs"
    assert column(browser, 1) == ["deep"] * 3 and column(browser, 2) == ["16"] * 3
    fill_in(browser, "state=failed")
    assert text_of(browser, "#runs-count") == "3 of 18 runs"
    fill_in(browser, "ssim>=0.75 seed!=3")
    assert text_of(browser, "#runs-count") == "2 of 18 runs"
    fill_in(browser, "deep and acc>4")
    assert text_of(browser, "#runs-count") == "3 of 18 runs"
    fill_in(browser, "deep foo=1")
    assert text_of(browser, "#runs-count") == "no column foo" and column(browser, 0) == []
    fill_in(browser, "nothing like it")
    assert text_of(browser, "#runs-count") == "0 of 18 runs" and column(browser, 0) == []


def test_table_sorts_numbers_by_size_with_empty_cells_last(browser: Any, page: Path) -> None:
    show(browser, page)
    heads = browser.find_elements("css selector", "#runs-table thead button")
    place = [head.text for head in heads].index("val/ssim")
    heads[place].click()
    down = column(browser, place)
    heads[place].click()
    up = column(browser, place)
    assert [float(cell) for cell in down[:15]] == sorted(map(float, down[:15]), reverse=True)
    heads[2].click()
    assert column(browser, 2) == ["16"] * 9 + ["4"] * 9
    assert up[:15] == sorted(down[:15], key=float) and down[15:] == up[15:] == [""] * 3


def test_numbers_stand_before_what_is_not_finite_whichever_way_is_sorted(browser: Any, tmp_path: Path) -> None:
    scores = [0.5, float("nan"), 0.7, None, float("inf")]
    (file := tmp_path / "odd.html").write_text(make_page(content(study({"x": range(5)}, scores)), 0.0))
    show(browser, file)
    head = browser.find_element("xpath", "//div[@id='runs-table']//th/button[starts-with(text(), 'val/ssim')]")
    for first in (["0.7", "0.5"], ["0.5", "0.7"]):
        head.click()
        assert column(browser, 4)[:2] == first and column(browser, 4)[-1] == ""
        assert set(column(browser, 4)[2:4]) == {"nan", "inf"}


def test_best_run_with_pictures_is_not_told_as_the_best_of_all(browser: Any, tmp_path: Path) -> None:
    panel = Panel(rank="best", run=run_id(0), frames=(Frame(name="a", step=1, image=b"x"),))
    (file := tmp_path / "pictures.html").write_text(make_page(content(study({"x": [1, 2]}, [0.5, 0.7]), panels=[panel]), 0.0))
    show(browser, file)
    assert text_of(browser, "#images-panels h3").startswith("best of the runs with pictures · ")


def test_click_on_the_legend_hides_a_line_and_its_band(browser: Any, page: Path) -> None:
    show(browser, page)
    visible = "return [...Bokeh.documents[0].roots()[0].renderers].map((one) => one.visible)"
    assert browser.execute_script(visible) == [True] * 6
    for shown in ([True, True, False, False, True, True], [True] * 6):
        items = browser.execute_script(IN_SHADOWS, ".bk-item", "curve-0")  # a click makes them anew
        assert len(items) == 3
        items[1].click()
        assert browser.execute_script(visible) == shown


def test_slider_changes_the_pictures_that_have_one_at_its_step(browser: Any, page: Path) -> None:
    show(browser, page)
    sources = "return [...document.querySelectorAll('#images-panels img')].map((one) => one.src)"
    slider = browser.find_element("id", "images-step")
    before = browser.execute_script(sources)
    assert text_of(browser, "#images-shown") == "6" and len(before) == 6
    assert "of the selected step 6" in (note := text_of(browser, "#images-panels h3")) and "at step" not in note
    slider.send_keys("\ue012")  # the left arrow
    after = browser.execute_script(sources)
    assert text_of(browser, "#images-shown") == "4"
    assert "at step 4" in text_of(browser, "#images-panels h3")
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, False] * 3  # reconstruction, truth
    assert browser.execute_async_script(DECODED) == [[40, 48]] * 6


def test_drag_along_an_axis_chooses_runs_in_the_table_too(browser: Any, page: Path) -> None:
    from selenium.webdriver import ActionChains

    show(browser, page)
    canvas = browser.find_element("id", "parallel-canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    left, middle = -canvas.size["width"] // 2, -canvas.size["height"] // 2
    drag = ActionChains(browser).move_to_element_with_offset(canvas, left + 64, middle + 60)
    drag.click_and_hold().move_by_offset(0, 60).release().perform()  # the upper part of the first axis
    chosen = until(lambda: text_of(browser, "#parallel-chosen"))
    number = int(chosen.split(" of ")[0])
    assert 0 < number < 15 and chosen == f"{number} of 15 runs chosen"
    assert text_of(browser, "#runs-count") == f"{number} of 18 runs"
    assert len(set(column(browser, 1))) == 1


def test_page_and_figures_follow_dark_mode_while_open(browser: Any, page: Path) -> None:
    show(browser, page)
    colours = (
        "const axis = [...Bokeh.documents[0].roots()[0].references()].find((one) => one.type === 'LinearAxis');"
        "return [getComputedStyle(document.body).backgroundColor, axis.axis_label_text_color]"
    )
    light = browser.execute_script(colours)
    prefer(browser, dark=True)
    dark = until(lambda: (found := browser.execute_script(colours))[1] != light[1] and found)
    assert light == ["rgb(255, 255, 255)", "#1b2027"] and dark == ["rgb(20, 23, 28)", "#e7eaee"]


@pytest.mark.parametrize("width", [390, 1280])
def test_page_is_no_wider_than_the_screen(browser: Any, page: Path, width: int) -> None:
    show(browser, page, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    right = "return [...document.querySelectorAll('section, figure, .tile, .rows')].map((one) => one.getBoundingClientRect().right)"
    assert max(browser.execute_script(right)) <= width


def test_of_5000_runs_only_the_rows_in_sight_are_ever_made(browser: Any, tmp_path: Path) -> None:
    axes = {"model.kind": ["unet", "varnet"], "optim.lr": [0.1, 0.01, 0.001, 1e-4, 1e-5], "seed": range(500)}
    one = study(axes, [number / 5000 for number in range(5000)])
    page = tmp_path / "large.html"
    page.write_text(make_page(content(one), 0.0))
    show(browser, page)
    steps = """
    let made = 0;
    const count = (changes) => changes.forEach((change) => { made += change.addedNodes.length; });
    const observer = new MutationObserver(count);
    observer.observe(document.getElementById("runs-table"), { childList: true, subtree: true });
    const field = document.getElementById("runs-filter");
    field.value = "varnet seed<250";
    field.dispatchEvent(new Event("input"));
    document.querySelectorAll("#runs-table thead button")[5].click();
    document.getElementById("runs-table").scrollTop = 20000;
    requestAnimationFrame(() => requestAnimationFrame(() => { count(observer.takeRecords()); arguments[0](made); }));
    """
    made = browser.execute_async_script(steps)
    assert text_of(browser, "#runs-count") == "1,250 of 5,000 runs"
    assert 0 < made < 3 * 80 * 8  # three times the rows in sight, with their cells
    until(lambda: set(column(browser, 1)) == {"varnet"})
    seen = until(lambda: browser.execute_script("return document.querySelectorAll('#runs-table tr').length"))
    assert seen < 80


def test_what_scrolls_sideways_fades_where_there_is_more(browser: Any, tmp_path: Path) -> None:
    axes = {"a.kind_of_a_long_name": ["one", "two"], "b.another_long_name": [1, 2, 3], "c.the_third_long_name": [0.1, 0.2]}
    page = tmp_path / "wide.html"
    page.write_text(make_page(content(study(axes, [number / 12 for number in range(12)])), 0.0))
    faded = (
        "const one = document.getElementById('runs-table'); return [one.className, getComputedStyle(one).maskImage.includes('gradient')]"
    )
    show(browser, page, width=390)
    until(lambda: browser.execute_script(faded) == ["rolling more-behind", True])
    browser.execute_script("document.getElementById('runs-table').scrollLeft = 60")
    until(lambda: set(browser.execute_script(faded)[0].split()) == {"rolling", "more-before", "more-behind"})
    browser.execute_script("document.getElementById('runs-table').scrollLeft = 10000")
    until(lambda: browser.execute_script(faded)[0] == "rolling more-before")
    browser.execute_script("document.getElementById('runs-table').style.width = '3000px'")
    until(lambda: browser.execute_script(faded) == ["rolling", False])
