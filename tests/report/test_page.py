"""The page as a whole: nothing from elsewhere is markup, the policy names every script, empty grids say so."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from orchestrator.metrics.history import RunHistory
from orchestrator.report.best import best_section
from orchestrator.report.colours import LINES, SCALE, STATES, step_styles
from orchestrator.report.content import Content
from orchestrator.report.figures import inert
from orchestrator.report.markup import data_block, text
from orchestrator.report.page import SCRIPTS, make_page, sections
from orchestrator.report.parallel import axis_of
from orchestrator.report.scores import scores_of
from orchestrator.results.failures import Failure
from orchestrator.store.states import State
from orchestrator.tables.study import Study
from tests.report.made import content, curve, manifests, overview, record, run_id, study

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & \u202e $$x$$"


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the texts of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts.append((self.found[-1][1], data))


def hostile() -> Content:
    """Return a grid in which every text is an attack."""
    one = study({HOSTILE: ["a", HOSTILE], "seed": [1, 2]}, [0.1, 0.2, 0.3, 0.4], metric=HOSTILE)
    failure = Failure(id="abc123", cause="error", message=HOSTILE, runs=(one.pairs[0][0].id,), excerpt=HOSTILE)
    seen = overview({"completed": 4}, failures=(failure,), notes=(HOSTILE,), paused=HOSTILE)
    return content(one, overview=seen, question=HOSTILE, target=HOSTILE, commit=HOSTILE, profile=HOSTILE, options=HOSTILE)


def test_hostile_texts_add_no_element_and_no_script() -> None:
    tame = content(study({"key": ["a", "b"], "seed": [1, 2]}, [0.1, 0.2, 0.3, 0.4]))
    elements = Elements(make_page(hostile(), 0.0))
    assert {tag for tag, _ in elements.found} <= {tag for tag, _ in Elements(make_page(tame, 0.0)).found} | {"details", "summary", "pre"}
    assert not [attributes for _, attributes in elements.found if any(name.startswith("on") or name == "src" for name in attributes)]
    assert len([1 for attributes, _ in elements.scripts if "type" not in attributes]) == 1 + len(SCRIPTS)


def test_policy_allows_the_scripts_of_the_page_by_their_hash_and_nothing_else() -> None:
    elements = Elements(make_page(hostile(), 0.0))
    policy = next(attributes["content"] for tag, attributes in elements.found if attributes.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for kind, script in elements.scripts if not kind
    ]
    assert rules.pop("script-src").split() == hashes
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_page_fetches_nothing() -> None:
    page = make_page(hostile(), 0.0)
    ours = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|url\(|@import|<link|<iframe|<object", ours)


def test_data_blocks_hold_the_texts_unchanged() -> None:
    block = data_block("x", {HOSTILE: [HOSTILE, 1.5, None, float("nan")]})
    assert block.count("<") == 2
    assert json.loads(block.partition(">")[2].rpartition("<")[0]) == {HOSTILE: [HOSTILE, 1.5, None, None]}
    assert "\u202e" not in text(HOSTILE) and "<" not in text(HOSTILE) and '"' not in text(HOSTILE)


@pytest.mark.parametrize("words", ["$$x$$", "\\[x\\]", "\\(x\\)", "\\begin{x}"])
def test_no_text_of_a_figure_is_taken_for_a_formula(words: str) -> None:
    assert inert(words).replace(" ", "") == words and inert(words) != words


def bare(pairs: list[Any], **given: Any) -> Content:
    return content(Study(grid="g", objective=None, pairs=pairs, history={}), **given)


EMPTY = {
    "best": "No run has reported a metric yet.",
    "effects": "No run has reported a metric yet.",
    "curves": "No run has reported a metric at two steps",
    "parallel": "No run has reported a metric yet.",
    "pairs": "No run has reported a metric yet.",
    "seeds": "No axis of this grid is a seed",
    "images": "No picture",
    "runs": "The grid has no run",
    "failures": "No run stands still",
    "usage": "No attempt has ended yet.",
    "timeline": "No run has started yet.",
}


def test_every_section_of_an_empty_grid_says_why_it_is_empty() -> None:
    nothing = bare([])
    parts = {part.name: part for part in sections(nothing, scores_of(nothing.study), 0.0)[1:]}
    assert {name: EMPTY[name] in part.body for name, part in parts.items()} == dict.fromkeys(EMPTY, True)
    assert "The grid has no run, or the selection names none. Without content: Best runs, " in make_page(nothing, 0.0)


def test_grid_of_waiting_runs_makes_a_page_with_a_table() -> None:
    runs = manifests({"x": [1, 2]})
    waiting = bare([(one, record(number, state=State.QUEUED, attempts=())) for number, one in enumerate(runs)])
    parts = {part.name: part for part in sections(waiting, scores_of(waiting.study), 0.0)}
    assert [row[:3] for row in parts["runs"].data["runs"]["rows"]] == [[runs[0].id, 1, "queued"], [runs[1].id, 2, "queued"]]
    assert "2 queued" in parts["head"].body


def test_best_runs_come_with_the_command_that_repeats_them() -> None:
    one = study({"x": [1, 2, 3]}, [0.2, 0.9, None])
    named = [(msgspec.structs.replace(manifest, command=("python", "my file.py")), each) for manifest, each in one.pairs]
    body = best_section(content(msgspec.structs.replace(one, pairs=named), options=" --runs 'a b'"), scores_of(one)).body
    first, second = re.findall(r"<li>(.*?)</li>", body)
    assert "0.9" in first and "x=2" in first
    assert "mrsweep run 000000010000 --grid g --runs &#x27;a b&#x27;" in first and "python &#x27;my file.py&#x27;" in first
    assert "0.2" in second


def test_best_runs_show_the_same_measure_of_other_data() -> None:
    one = study({"x": [1, 2]}, [0.5, 0.7])
    at_step = RunHistory(curves={"val/ssim": curve([0.5, 0.9], [3, 11]), "test/ssim": curve([0.4, 0.8794], [3, 11]), "psnr": curve([1])})
    returned = RunHistory(curves={"val/ssim": curve([0.7], [5])}, final={"test/ssim": 0.65})
    one = msgspec.structs.replace(one, history={run_id(0): at_step, run_id(1): returned})
    first, second = re.findall(r"<h3>(.*?)</h3>", best_section(content(one), scores_of(one)).body)
    assert first == "val/ssim = 0.9000<small> · test/ssim 0.8794 at step 11 · 00000000 · 1 min</small>"
    assert second == "val/ssim = 0.7000<small> at step 5 · test/ssim 0.6500 · 00000001 · 1 min</small>"


def test_grid_without_a_completed_run_says_first_why_and_folds_what_is_empty() -> None:
    one = study({"x": [1, 2], "seed": [1, 2]}, [None] * 4)
    failure = Failure(id="abc", cause="error", message="bad", runs=(run_id(0),))
    page = make_page(content(one, overview=overview({"failed": 4}, failures=(failure,))), 0.0)
    assert re.findall(r'<section id="(\w+)">', page) == ["failures", "runs", "usage", "timeline", "empty"]
    folded = "Best runs, Effect of each axis, Metric curves, Parallel coordinates, Pairs of axes, Seed spread, Images"
    assert f"No run has completed yet. Without content: {folded}." in page
    done = make_page(content(study({"x": [1, 2]}, [0.5, None])), 0.0)
    assert re.findall(r'<section id="(\w+)">', done)[:2] == ["best", "effects"] and 'id="empty"' not in done


@pytest.mark.parametrize(("mode", "word"), [("max", "better"), (None, "higher")])
def test_lines_and_maps_say_the_same_of_which_colour_is_good_on_which_page(mode: str | None, word: str) -> None:
    one = study({"x": [1, 2], "y": [1, 2]}, [0.5, 0.7, 0.6, 0.9], mode=mode)
    parts = {part.name: part.body for part in sections(content(one), scores_of(one), 0.0)}
    told = f'<span class="on-light">darker is {word}</span><span class="on-dark">brighter is {word}</span>'
    assert told in parts["parallel"] and told in parts["pairs"]
    assert "brighter is" not in parts["pairs"].replace(told, "")


def test_cells_get_darker_with_the_score_on_the_light_page_and_brighter_on_the_dark_one() -> None:
    light, _, dark = step_styles().partition("@media (prefers-color-scheme: dark)")
    pages = [re.findall(r"\.heat-(\d)\{background:(#\w{6});color:(#\w{6})\}", page) for page in (light, dark)]
    assert [[int(step) for step, _, _ in page] for page in pages] == [list(range(len(SCALE)))] * 2
    assert [luminance(colour) for _, colour, _ in pages[0]] == sorted(map(luminance, SCALE), reverse=True)
    assert [luminance(colour) for _, colour, _ in pages[1]] == sorted(map(luminance, SCALE))
    assert min(contrast(colour, letters) for page in pages for _, colour, letters in page) >= 4.5


def test_axis_of_wide_numbers_is_logarithmic() -> None:
    axis = axis_of("lr", {"a": 1e-4, "b": 1e-3, "c": 1e-2})
    assert axis["places"] == [0.0, 0.5, 1.0] and [label for _, label in axis["ticks"]] == ["0.0001", "0.001", "0.01"]
    assert axis_of("kind", {"a": "x", "b": None})["ticks"] == [(0.25, "x"), (0.75, "not set")]
    near = axis_of("score", {"a": 0.5, "b": 0.501, "c": 0.7})["ticks"]
    assert [label for _, label in near] == ["0.5", "0.55", "0.6", "0.65", "0.7"]
    assert axis_of("same", {"a": 3, "b": 3})["places"] == [0.0, 0.0]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#14171c"], ids=["light", "dark"])
def test_lines_and_states_stand_out_from_both_pages(page: str) -> None:
    assert min(contrast(colour, page) for colour in (*LINES, *STATES.values())) >= 3.0


def test_all_states_have_a_colour() -> None:
    assert set(STATES) == {state.value for state in State}
