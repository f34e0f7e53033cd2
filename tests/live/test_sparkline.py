"""Curves of a few characters: their range, their length, what is not finite."""

from __future__ import annotations

import math

import pytest

from orchestrator.live.sparkline import sparkline

CASES = [
    ([], 5, ""),
    ([3.0], 5, "▄"),
    ([2.0, 2.0, 2.0], 5, "▄▄▄"),
    ([0.0, 1.0], 5, "▁█"),
    ([1.0, 0.0], 5, "█▁"),
    ([float(value) for value in range(8)], 8, "▁▂▃▄▅▆▇█"),
    ([0.0, 2.0, 4.0, 6.0, 8.0], 2, "▁█"),  # means of two and of three: 1 and 6
    ([1.0, math.nan, 2.0], 3, "▁×█"),
    ([1.0, math.nan, 3.0, 3.0], 2, "▁█"),  # of a stretch the finite values count
    ([math.nan, math.inf], 4, "××"),
    ([1e308, -1e308], 4, "█▁"),
    ([1.0, 2.0], 0, ""),
]


@pytest.mark.parametrize(("values", "width", "drawn"), CASES)
def test_a_curve_is_drawn_between_its_lowest_and_highest_value(values: list[float], width: int, drawn: str) -> None:
    assert sparkline(values, width) == drawn
