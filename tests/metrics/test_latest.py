"""The newest report of a live run, whatever its file holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.metrics.latest import Latest, read_latest
from orchestrator.store.layout import AttemptPaths


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptPaths:
    return AttemptPaths(tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\n', Latest(step=2, metrics={"loss": 1})),
        ('{"step": 1, "loss": 2}\n{"step": 2, "lo', Latest(step=1, metrics={"loss": 2})),  # the last line is still being written
        ('{"step": 1, "loss": NaN}\n', Latest(step=1, metrics={"loss": "nan"})),
        ('{"step": 1, "val": {"ssim": 0.5}}\n', Latest(step=1, metrics={"val/ssim": 0.5})),
        ('{"step": 1, "loss": 2}\n[1, 2]\nnonsense\n', Latest(step=1, metrics={"loss": 2})),
        ('{"step": 1e300, "loss": 2}\n', Latest(step=0, metrics={"loss": 2})),
        ("", None),
    ],
)
def test_newest_whole_report_is_found(attempt: AttemptPaths, text: str, found: Latest | None) -> None:
    attempt.metrics.write_text(text)
    assert read_latest(attempt) == found


def test_pipe_in_place_of_the_file_is_no_report_and_nothing_waits_for_it(attempt: AttemptPaths) -> None:
    os.mkfifo(attempt.metrics)
    assert read_latest(attempt) is None
