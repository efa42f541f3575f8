"""Shares with their Wilson intervals, and paired comparisons."""

import math

import numpy as np
import pytest

from src.results.rates import Difference, paired_difference, rate, rates
from tests.running import slow


@pytest.mark.parametrize(("count", "n"), [(0, 20), (1, 20), (7, 20), (20, 20), (941, 1024)])
def test_the_interval_is_where_the_score_test_stops_rejecting(count: int, n: int) -> None:
    """Wilson's interval: the p with |count/n - p| <= z sqrt(p (1 - p) / n), so equality holds at ends inside (0, 1)."""
    share = rate(count, n)
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    for p in (share.low, share.high):
        if 0 < p < 1:
            assert abs(count / n - p) == pytest.approx(z * math.sqrt(p * (1 - p) / n), rel=1e-9)
    assert share.low <= share.share <= share.high


def test_no_success_still_has_an_upper_bound() -> None:
    assert rate(0, 20).low == 0
    assert rate(0, 20).high == pytest.approx(0.1611, abs=1e-4)


def test_rates_come_most_frequent_first_and_add_up() -> None:
    shares = rates(["square", "pentagon", "hexagon", "pentagon", "hexagon"])
    assert [(name, share.count, share.n) for name, share in shares.items()] == [
        ("hexagon", 2, 5),
        ("pentagon", 2, 5),
        ("square", 1, 5),
    ]


def test_a_rate_reads_as_a_share_with_its_interval() -> None:
    assert str(rate(5, 64)) == "7.8% (3.4 to 17.0)"


def paired(both: int, gained: int, lost: int, neither: int) -> Difference:
    first = [True] * (both + gained) + [False] * (lost + neither)
    second = [True] * both + [False] * gained + [True] * lost + [False] * neither
    return paired_difference(first, second)


def test_the_p_value_counts_only_those_that_differ() -> None:
    # Exact McNemar: twice the chance of 8 or more heads in 10 throws, 2 (45 + 10 + 1) / 1024.
    assert paired(50, 8, 2, 40).p_value == pytest.approx(112 / 1024)
    assert paired(0, 8, 2, 0).p_value == pytest.approx(112 / 1024)
    assert paired(50, 0, 0, 40).p_value == 1


@pytest.mark.parametrize(
    ("table", "value", "low", "high"),
    [  # Newcombe 1998, table II, method 10: what the paper prints for its examples (a, b, c, d) of 50 pairs
        ((36, 12, 2, 0), 0.2, 0.0569, 0.3404),
        ((0, 0, 0, 50), 0.0, -0.0714, 0.0714),
    ],
)
def test_the_paired_interval_is_newcombes(
    table: tuple[int, int, int, int], value: float, low: float, high: float
) -> None:
    difference = paired(*table)
    assert (difference.value, difference.low, difference.high) == pytest.approx((value, low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("n", "gained", "lost"),
    [slow(400, 0.05, 0.005), slow(100, 0.5, 0.02), (940, 0.08, 0.07)],
)
def test_the_paired_interval_covers_the_difference_in_19_of_20_samples(n: int, gained: float, lost: float) -> None:
    draws = np.random.default_rng(0).multinomial(n, [0.02, gained, lost, 0.98 - gained - lost], size=500)
    intervals = [paired(*map(int, draw)) for draw in draws]
    covered = sum(interval.low <= gained - lost <= interval.high for interval in intervals) / len(intervals)
    assert covered > 0.92  # nominally 0.95, of 500 draws with a standard error of 0.01
    assert covered < 0.995


def test_swapping_the_two_mirrors_the_difference() -> None:
    a, b = paired(10, 8, 2, 30), paired(10, 2, 8, 30)
    assert (a.value, a.low, a.high, a.p_value) == pytest.approx((-b.value, -b.high, -b.low, b.p_value))


def test_ten_subjects_that_never_differ_prove_little() -> None:
    difference = paired(0, 0, 0, 10)
    assert (difference.value, difference.p_value) == (0, 1)
    assert difference.low < -0.2
    assert difference.high > 0.2
