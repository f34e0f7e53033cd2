"""Metrics as JSON holds them, the best of what was reported, and whether there is time for one more run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.grid.objective import Objective
from orchestrator.metrics.lines import as_number, flatten
from orchestrator.metrics.summary import Summary, summarise
from orchestrator.store.layout import AttemptPaths
from orchestrator.worker.outcome import last_report
from orchestrator.worker.task import with_overrides
from orchestrator.worker.timeleft import may_start, percentile


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (3, 3),
        (True, 1),
        (0.5, 0.5),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (10**30, 1e30),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), "nan"),
        (np.int64(7), 7),
        (np.array([[2.5]]), 2.5),
        ("text", "text"),
        (np.str_("text"), "text"),
        ("", ""),
        (None, None),
    ],
)
def test_a_metric_is_stored_as_a_plain_number_or_text(value: object, stored: object) -> None:
    assert as_number(value) == stored
    assert type(as_number(value)) is type(stored)


@pytest.mark.parametrize("value", [[1], {"a": 1}, np.zeros(3), 1j, object()])
def test_what_is_no_metric_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="metric is"):
        as_number(value)


def test_nested_metrics_are_joined() -> None:
    assert dict(flatten({"val": {"ssim": 1, "by": {"knee": 2}}, 3: 4})) == {"val/ssim": 1, "val/by/knee": 2, "3": 4}


@pytest.mark.parametrize(
    ("files", "mode", "expected"),
    [
        ([], "max", Summary()),
        (['{"step": 1, "other": 3}\n'], "max", Summary(reports=1)),
        (['{"step": 1, "q": 3}\n{"step": 2, "q": 1}\n{"st'], "min", Summary(reports=2, best=1.0, best_step=2, last=1, finite=2)),
        (['{"step": 1, "q": "nan"}\n'], "max", Summary(reports=1, last="nan")),
        (['{"step": 1, "q": NaN}\n{"step": 2, "q": -Infinity}\n'], "max", Summary(reports=2, last="-inf")),
        # steps 3 and 4 of the first attempt are superseded by those of the second
        (
            ['{"step": 2, "q": 5}\n{"step": 3, "q": 9}\n{"step": 4, "q": 9}\n', '{"step": 3, "q": 1}\n'],
            "max",
            Summary(reports=4, best=5.0, best_step=2, last=1, finite=2),
        ),
        (['{"step": 1, "q": 2}\n{"step": 1, "q": 3}\n'], "max", Summary(reports=2, best=3.0, best_step=1, last=3, finite=1)),
        (['{"step": 1, "q": 2}\n{"step": 2, "q": 2}\n'], "max", Summary(reports=2, best=2.0, best_step=1, last=2, finite=2)),
    ],
)
def test_the_best_of_all_attempts(tmp_path: Path, files: list[str], mode: str, expected: Summary) -> None:
    attempts = [AttemptPaths(tmp_path / f"attempt-{place}") for place in range(len(files))]
    for attempt, text in zip(attempts, files, strict=True):
        attempt.dir.mkdir()
        attempt.metrics.write_text(text)
    assert summarise([*attempts, AttemptPaths(tmp_path / "missing")], Objective(name="q", mode=mode)) == expected


def test_the_last_report_is_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert last_report(path) == {}
    path.write_text('{"step": 1}\n' * 2000 + '{"step": 7}\n{"step": 8, "lo')
    assert last_report(path) == {"step": 7}


def test_overrides_leave_the_original_alone() -> None:
    config: dict[str, Any] = {"train": {"batch": 8, "lr": 1}}
    assert with_overrides(config, {"train.batch": 4, "new.deep.key": 1}) == {"train": {"batch": 4, "lr": 1}, "new": {"deep": {"key": 1}}}
    assert config == {"train": {"batch": 8, "lr": 1}}


@pytest.mark.parametrize(
    ("left", "limit", "finished", "may"),
    [
        (100, 100, [], True),
        (99, 100, [], False),
        (99, 100, [10, 10, 10, 10], False),  # four are too few
        (99, 100, [10, 10, 10, 10, 10], True),
        (15, 100, [10, 10, 10, 10, 10], True),  # 1.5 x 10
        (14, 100, [10, 10, 10, 10, 10], False),
        (99, 100, [10] * 8 + [70] * 2, False),  # 1.5 x 70 = 105
        (99, 100, [10] * 9 + [70], True),
        (math.inf, 100, [], True),
    ],
)
def test_a_run_starts_only_when_it_can_end(left: float, limit: float, finished: list[float], may: bool) -> None:
    assert may_start(left, limit, finished) is may


def test_percentiles() -> None:
    assert [percentile([3, 1, 2], part) for part in (0.0, 0.5, 0.9, 1.0)] == [1, 2, 3, 3]


def test_metrics_nested_deeper_than_python_calls_are_read() -> None:
    nested: dict[str, object] = {"loss": 1}
    for _ in range(5_000):
        nested = {"a": nested, "b": 2}
    found = list(flatten(nested))
    assert (len(found), found[0], found[-1]) == (5_001, ("a/" * 5_000 + "loss", 1), ("b", 2))
