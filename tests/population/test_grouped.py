"""Corners of the whole cube, each once: the same means as corners of every support, and exact arithmetic's."""

import functools
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from src.distributions import AnticorrelatedPairs, Signed, Sparse
from src.distributions.supports import SupportSizes
from src.population import grouped
from src.population.closed_form import exact_derivatives, exact_losses
from src.population.grouped import probability_if_independent
from tests.population.costs import pieces_by_name
from tests.population.models import random_model
from tests.population.test_closed_form import exact_feature_loss
from tests.running import slow

NEVER = 99  # features: corners are summed over supports
COSTS = ["leaky 0.1", slow("clamp"), slow("squared relu"), "fourth power", "step"]

found_pieces = functools.cache(pieces_by_name)


def nearly_orthogonal(n: int, largest: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Columns whose products are no larger than this, and biases as small."""
    generator = torch.Generator().manual_seed(seed)
    products = largest * (2 * torch.rand(n, n, generator=generator, dtype=torch.float64) - 1)
    W = torch.linalg.cholesky((products.triu(1) + products.triu(1).T).fill_diagonal_(1)).T
    return W.unsqueeze(0), largest * (torch.rand(1, n, generator=generator, dtype=torch.float64) - 0.5)


def models(n: int) -> dict[str, tuple[Tensor, Tensor]]:
    W, b = random_model(3, n)
    dead, small, tiny, empty = (W.clone() for _ in range(4))
    dead[:, :, :2], dead[1, :, 2:4], small[:, :, 1:3], tiny[:, :, -2:], empty[:, :, :] = 0, 0, 1e-3, 1e-6, 0
    own = {"random": (W, b), "dead columns": (dead, b), "small entries": (small, b), "tiny entries": (tiny, b)}
    return own | {"nothing": (empty, b), "nearly orthogonal": nearly_orthogonal(n, 1e-2)}


MODELS = [*models(4)]


@pytest.mark.parametrize("p", [0.05, slow(0.6), 1.0])
@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("model", MODELS)
def test_corners_of_the_cube_give_what_corners_of_supports_give(
    model: str, name: str, p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the errors that both state."""
    W, b = models(4)[model]
    distribution, pieces = SupportSizes.independent(4, p), found_pieces(name)
    monkeypatch.setattr(grouped, "GROUPED_FROM", NEVER)
    by_support = exact_losses(W, b, distribution, pieces=pieces)
    monkeypatch.setattr(grouped, "GROUPED_FROM", 0)
    by_corner = exact_losses(W, b, distribution, pieces=pieces)
    assert ((by_corner.loss - by_support.loss).abs() <= by_corner.error + by_support.error).all()
    assert (by_corner.error <= 1e-8 * by_corner.loss.clamp(min=0.1 * p)).all()
    torch.testing.assert_close(by_corner.feature_losses, by_support.feature_losses, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("p", ["1/100", slow("1/3"), "1"])
@pytest.mark.parametrize("smallest", [1.0, 0.02, 1e-3, slow(1e-4), 1e-6])
def test_they_give_what_rational_arithmetic_gives(smallest: float, p: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where entries of V^T W are hardly, or much, too small to divide by."""
    monkeypatch.setattr(grouped, "GROUPED_FROM", 0)
    W, b = random_model(2, 4)
    W[:, :, 2:] *= smallest
    b[1:, 2:] *= smallest
    losses = exact_losses(W, b, SupportSizes.independent(4, float(Fraction(p))))
    for instance in range(2):
        G = (W[instance].T @ W[instance]).tolist()
        expected = [
            float(exact_feature_loss([Fraction(g) for g in G[i]], Fraction(b[instance, i].item()), i, Fraction(p)))
            for i in range(4)
        ]
        assert abs(losses.loss[instance].item() - sum(expected) / 4) <= losses.error[instance]


@pytest.mark.parametrize("largest", [3e-2, 9e-3, 9e-4, 9e-5, 1e-6])
def test_the_error_of_a_nearly_perfect_model_is_covered_too(largest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of columns below one threshold, between the two, or above both."""
    monkeypatch.setattr(grouped, "GROUPED_FROM", 0)
    for seed in range(3):
        W, b = nearly_orthogonal(3, largest, seed)
        G = [[Fraction(g) for g in row] for row in (W[0].T @ W[0]).tolist()]
        biases = [Fraction(value) for value in b[0].tolist()]
        losses = exact_losses(W, b, SupportSizes.independent(3, 0.25))
        expected = sum(exact_feature_loss(G[i], biases[i], i, Fraction(1, 4)) for i in range(3)) / 3
        assert abs(float(Fraction(losses.loss.item()) - expected)) <= losses.error.item()


@pytest.mark.parametrize("model", ["random", "dead columns", "small entries"])
def test_their_derivatives_are_the_same(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the second derivatives of two Gauss nodes go, of entries that are too small to divide by."""
    W, b = models(4)[model]
    distribution, pieces = SupportSizes.independent(4, 0.3), found_pieces("clamp")
    monkeypatch.setattr(grouped, "GROUPED_FROM", NEVER)
    by_support = exact_derivatives(W, b, distribution, pieces=pieces)
    monkeypatch.setattr(grouped, "GROUPED_FROM", 0)
    by_corner = exact_derivatives(W, b, distribution, pieces=pieces)
    torch.testing.assert_close(by_corner.gradient, by_support.gradient, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(by_corner.hessian, by_support.hessian, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("n", [9, 10])
def test_as_many_features_as_it_is_for_have_the_same_loss(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    W, b = random_model(2, n)
    distribution = SupportSizes.independent(n, 0.1)
    by_corner = exact_losses(W, b, distribution)
    monkeypatch.setattr(grouped, "GROUPED_FROM", NEVER)
    by_support = exact_losses(W, b, distribution)
    assert ((by_corner.loss - by_support.loss).abs() <= by_corner.error + by_support.error).all()
    assert not torch.equal(by_corner.loss, by_support.loss)


def test_only_independent_features_with_values_from_0_to_1_are_grouped() -> None:
    assert probability_if_independent(Sparse(9, 0.05).supports) == pytest.approx(0.05)
    assert probability_if_independent(SupportSizes.independent(3, 1.0)) == 1
    for other in (SupportSizes.one_at_a_time(9), Signed(9, 0.05).supports, AnticorrelatedPairs(8, 0.05).supports):
        assert probability_if_independent(other) is None
