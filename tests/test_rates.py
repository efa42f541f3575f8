import math

import pytest

from src.rates import paired_difference, rate, rates


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


def test_the_paired_difference_counts_only_those_that_differ() -> None:
    first = [True] * 8 + [False] * 2 + [True] * 50 + [False] * 40
    second = [False] * 8 + [True] * 2 + [True] * 50 + [False] * 40
    difference = paired_difference(first, second)
    assert difference.value == pytest.approx(0.06)
    # Exact McNemar: twice the chance of 8 or more heads in 10 throws, 2 (45 + 10 + 1) / 1024.
    assert difference.p_value == pytest.approx(112 / 1024)
    assert difference.low < 0 < difference.high
    mirrored = paired_difference(second, first)
    assert (mirrored.value, mirrored.low) == pytest.approx((-difference.value, -difference.high))


def test_outcomes_that_never_differ_show_no_difference() -> None:
    assert paired_difference([True, False], [True, False]) == (0, 0, 0, 1)


def test_a_clear_difference_excludes_zero() -> None:
    difference = paired_difference([True] * 30 + [False] * 70, [False] * 100)
    assert difference.low > 0
    assert difference.p_value < 1e-8
