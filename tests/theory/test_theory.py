"""Closed forms: the post's formulas, the literature's numbers, and every critical point against the population."""

import math
import re

import pytest
import torch

from src.distributions.supports import SupportSizes
from src.errors import ConfigError
from src.population.surface import PointwiseSurface
from src.theory.critical_points import (
    MAX_VERTICES,
    CriticalPoint,
    best_critical_point,
    best_norm_and_bias,
    polygon_cost,
    vertex_loss,
)
from src.theory.post import best_continuous_number, ignored_loss, loss_change, predicted_features, represented_loss
from src.theory.spectra import classify, spectra

POINTS = [
    CriticalPoint(k, n, n_better)
    for k in range(2, MAX_VERTICES + 1)
    for n in range(k, 11)
    for n_better in range(n - k + 1)
]


# The post's formulas


def test_an_ignored_feature_costs_a_third_of_its_probability() -> None:
    assert ignored_loss(0.057) == pytest.approx(0.019)


def test_a_feature_is_predicted_from_itself_and_its_two_neighbours() -> None:
    x = torch.tensor([[1.0, 0.0, 0.5, 0.0, 0.0]])
    cosine = math.cos(2 * math.pi / 5)
    expected = torch.tensor([[1.0, 1.5 * cosine, 0.5, 0.5 * cosine, cosine]])
    torch.testing.assert_close(predicted_features(x), expected)


def test_a_predicted_feature_is_never_negative() -> None:
    assert (predicted_features(torch.eye(3)) == torch.eye(3)).all()  # cos 120 degrees is negative


@pytest.mark.parametrize("n_represented", [4, 5, 6, 7, 8])
def test_the_cost_of_a_represented_feature_is_that_of_its_neighbours_outputs(n_represented: int) -> None:
    """Equation 3 from equation 2, one neighbour active at a time."""
    t = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    x = torch.zeros(len(t), n_represented, dtype=torch.float64)
    x[:, 0] = t
    neighbours = predicted_features(x)[:, [1, -1]].square().mean(dim=0).sum()
    assert represented_loss(n_represented, 1.0) == pytest.approx(float(neighbours), rel=1e-6, abs=1e-12)


def test_the_change_of_the_loss_is_the_published_table() -> None:
    changes = {F: round(loss_change(F), 4) for F in range(2, 9)}
    assert changes == {2: -0.6667, 3: -1, 4: -1.3333, 5: -1.3484, 6: -1, 7: -0.5192, 8: 0}
    assert min(changes, key=changes.__getitem__) == 5


def test_as_printed_the_formula_charges_features_that_point_away() -> None:
    assert loss_change(3, as_printed=True) == pytest.approx(3 * (2 / 3 / 4 - 1 / 3))
    assert loss_change(5, as_printed=True) == loss_change(5)


def test_between_whole_numbers_the_least_change_is_stationary() -> None:
    best, step = best_continuous_number(), 1e-4
    assert 4 < best < 5
    assert loss_change(best) < min(loss_change(best - step), loss_change(best + step))


# Critical points


@pytest.mark.parametrize(("k", "norm", "bias"), [(4, 1, 0), (5, 1.17046, -0.28230), (6, 1.32053, -0.61814)])
def test_norms_and_biases_are_the_published_ones(k: int, norm: float, bias: float) -> None:
    assert tuple(round(value, 5) for value in best_norm_and_bias(k)) == (norm, bias)


def test_the_costs_of_polygons_are_the_published_ones() -> None:
    assert (round(polygon_cost(5), 5), round(polygon_cost(6), 5)) == (0.23738, 0.86746)


@pytest.mark.parametrize(
    ("k", "n_better", "loss"), [(4, 1, 0.10417), (5, 0, 0.06874), (5, 1, 0.06180), (6, 0, 0.04819)]
)
def test_losses_are_the_published_ones(k: int, n_better: int, loss: float) -> None:
    assert round(CriticalPoint(k, 6, n_better).loss, 5) == loss


def test_a_better_bias_is_worth_what_is_published() -> None:
    assert CriticalPoint(5, 6).loss - CriticalPoint(5, 6, 1).loss == pytest.approx(1 / 144, rel=1e-12)


def _one_at_a_time(n_features: int) -> PointwiseSurface:
    return PointwiseSurface({"W": (2, n_features), "b": (n_features,)}, SupportSizes.one_at_a_time(n_features))


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.name} of {point.n_features}")
def test_a_critical_point_has_its_loss_no_gradient_and_its_signature(point: CriticalPoint) -> None:
    surface = _one_at_a_time(point.n_features)
    at_it = surface.flatten({"W": point.W.unsqueeze(0), "b": point.b.unsqueeze(0)})
    at = surface.derivatives(at_it, torch.zeros(1).long())
    assert float(at.loss) * point.n_features == pytest.approx(point.loss, rel=1e-12, abs=1e-15)
    assert float(at.gradient.norm()) < 1e-14
    assert classify(spectra(at.hessian, surface.symmetries(at_it))) == [point.stability]


@pytest.mark.parametrize("k", range(5, MAX_VERTICES + 1))
def test_no_other_norm_and_bias_are_better(k: int) -> None:
    norm, bias = best_norm_and_bias(k)
    best = vertex_loss(k, norm, bias)
    others = [
        vertex_loss(k, length, -x) for length in torch.linspace(0.3, 3, 100).tolist() for x in (0.0, 0.1, 0.5, 1.0, 2.0)
    ]
    assert best < min(others)


def test_a_dead_feature_with_zero_bias_gains_from_any_small_positive_one() -> None:
    point, surface = CriticalPoint(5, 6), _one_at_a_time(6)
    b = point.b.repeat(2, 1)
    b[0, 5], b[1, 5] = 1e-3, -1e-3
    points = surface.flatten({"W": point.W.repeat(2, 1, 1), "b": b})
    losses = 6 * surface.derivatives(points, torch.zeros(2).long()).loss
    assert losses[0] < point.loss
    assert float(losses[1]) == pytest.approx(point.loss, rel=1e-12)


def test_the_best_polygon_has_all_features_up_to_seven_and_no_more() -> None:
    assert [best_critical_point(n).n_vertices for n in range(4, 11)] == [4, 5, 6, 7, 7, 7, 7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 6), "the number of vertices is 1; it must be from 2 to 9."),
        ((10, 12), "the number of vertices is 10; it must be from 2 to 9."),
        ((6, 5), "the number of vertices is 6; it must be at most 5, the features."),
        ((5, 6, 2), "the number of better biases is 2; it must be from 0 to 1."),
    ],
)
def test_a_point_that_does_not_exist_is_refused(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        CriticalPoint(*arguments)
