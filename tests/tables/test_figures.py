"""Numbers as people read them."""

from __future__ import annotations

import pytest

from orchestrator.tables.figures import interval
from orchestrator.tables.statistics import Statistics, describe


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "–"),
        ([0.123456], "0.1235"),
        ([0.5, 0.5, 0.5], "0.5 ± 0"),
        ([0.906, 0.910, 0.914], "0.910 ± 0.010"),  # 4.303 * 0.004 / sqrt(3) = 0.00994
        ([0.80, 0.81, 0.82, 0.83], "0.815 ± 0.021"),  # 3.182 * 0.01291 / 2 = 0.02054
        ([30.0, 31.0, 32.0], "31.0 ± 2.5"),  # 4.303 / sqrt(3) = 2.484
        ([100.0, 200.0, 300.0], "200 ± 248"),
        ([1e-8, 2e-8, 3e-8], "2e-08 ± 2.5e-08"),
        ([1e18, 2e18, 3e18], "2e+18 ± 2.5e+18"),
        ([-0.5, -0.7], "-0.6 ± 1.3"),  # 12.706 * 0.1414 / sqrt(2) = 1.27
    ],
)
def test_a_mean_has_the_digits_that_its_interval_leaves_meaning_to(values: list[float], text: str) -> None:
    assert interval(describe(values)) == text


def test_a_difference_has_a_sign() -> None:
    assert interval(describe([0.01, 0.02, 0.03]), sign=True) == "+0.020 ± 0.025"
    assert interval(Statistics(n=1, mean=0.5), sign=True) == "+0.5"


def test_what_rounding_leaves_of_equal_differences_is_no_spread() -> None:
    assert interval(describe([0.92 - 0.91, 0.94 - 0.93, 0.96 - 0.95]), sign=True) == "+0.01 ± 0"
