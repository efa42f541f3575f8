"""At which amplitude of its dipole a star no longer keeps all its columns."""

import math

import pytest

from src.results.thresholds import thresholds


def rows(names: list[str], phase: str = "0.5") -> list[dict[str, str]]:
    return [{"geometry": name, "dipole": str(0.1 * k), "phase": phase, "turn": "0.25"} for k, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "threshold"),
    [
        (["hexagon", "hexagon", "pentagon", "pentagon"], 0.15),
        (["hexagon", "pentagon", "hexagon"], 0.05),
        (["pentagon", "hexagon"], 0.0),
        (["hexagon", "hexagon"], math.inf),
    ],
)
def test_a_threshold_lies_halfway_before_the_first_that_loses_a_column(names: list[str], threshold: float) -> None:
    assert thresholds(reversed(rows(names)), 6) == pytest.approx([threshold])


def test_each_phase_has_its_own() -> None:
    both = rows(["hexagon", "square"]) + rows(["hexagon", "hexagon", "square"], "0.9")
    assert sorted(thresholds(both, 6)) == pytest.approx([0.05, 0.15])


@pytest.mark.parametrize(("census", "n_features"), [([{"geometry": "square"}], 4), (rows(["hexagon"]), 9)])
def test_another_census_or_a_polygon_without_a_name_is_refused(census: list[dict[str, str]], n_features: int) -> None:
    with pytest.raises(KeyError):
        thresholds(census, n_features)
