"""The loss of any model over the whole distribution by quadrature, and the error that it estimates."""

import math

import pytest
import torch
from torch import Tensor

from src.distributions.sparse import Sparse
from src.distributions.supports import SupportSizes
from src.model import ReLUOutputModel
from src.objective import loss_and_gradient
from src.population.closed_form import exact_losses
from src.population.losses import QUADRATURE, PopulationLosses
from src.population.quadrature import integrate, n_quadrature_nodes, quadrature_nodes
from tests.population.models import random_model
from tests.running import slow


def of_model(W: Tensor, b: Tensor, distribution: SupportSizes) -> PopulationLosses:
    """By quadrature, as if nothing were known of the model, and time did not matter."""
    return integrate(lambda x, weights: loss_and_gradient.losses_alone(W, b, x, weights), distribution, max_nodes=2**24)


def test_a_model_with_weights_that_are_not_numbers_does_not_hold_up_the_others() -> None:
    W, b = random_model(2, 3)
    W[0] = math.nan
    losses = of_model(W, b, SupportSizes.independent(3, 0.1))
    assert losses.loss.isfinite().tolist() == [False, True]
    assert float(losses.error[1]) <= 1e-6 * float(losses.loss[1])


@pytest.mark.parametrize("p", [0.005, 0.057, 0.1])
def test_quadrature_agrees_with_the_closed_form_to_the_error_that_it_estimates(p: float) -> None:
    W, b = random_model(8, 4)
    distribution = SupportSizes.independent(4, p)
    found, exact = of_model(W, b, distribution), exact_losses(W, b, distribution)
    assert found.method == QUADRATURE
    assert (found.error <= 1e-6 * found.loss).all()
    assert ((found.loss - exact.loss).abs() <= found.error).all()


@pytest.mark.parametrize("p", [0.005, slow(0.057), slow(0.3), slow(1.0)])
def test_the_estimated_error_covers_the_true_one(p: float) -> None:
    """Also for a square, whose kinks lie along the axes, where a rule is at its worst."""
    W, b = random_model(40, 6)
    square = torch.tensor([[1.0, 0, -1, 0, 0.3, 0.1], [0, 1, 0, -1, 0, 0]], dtype=torch.float64)
    W[:4], b[:4] = square, torch.tensor([-0.16, 0.0, 0.01, -0.1, 0.02, 0.03], dtype=torch.float64)
    W[1:4] += 1e-3 * torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    distribution = SupportSizes.independent(6, p)
    found, exact = of_model(W, b, distribution), exact_losses(W, b, distribution)
    assert ((found.loss - exact.loss).abs() <= found.error).all()


def test_a_variant_agrees_with_sampling_within_the_standard_error() -> None:
    class Leaky(ReLUOutputModel):
        def decode(self, h: Tensor) -> Tensor:
            return torch.nn.functional.leaky_relu(h @ self.W + self.b.unsqueeze(-2), 0.1)

    model = Leaky(n_features=4, n_instances=2)
    found = model.losses_over(SupportSizes.independent(4, 0.1))
    assert (found.error <= 1e-5 * found.loss).all()
    x = Sparse(4, 0.1).draw((400_000,), torch.Generator().manual_seed(5))
    errors = (x - model(x)).square().mean(dim=-1).detach().double()
    away = (errors.mean(dim=1) - found.loss) / (errors.std(dim=1) / len(x) ** 0.5)
    assert away.abs().max() < 4.5


def test_quadrature_stops_at_its_largest_rule_and_says_what_it_reached() -> None:
    W, b = random_model(1, 6)
    seen = []

    def weighted(x: Tensor, weights: Tensor) -> Tensor:
        seen.append(len(x))
        return loss_and_gradient.losses_alone(W, b, x, weights)

    distribution = SupportSizes.independent(6, 0.3)
    found = integrate(weighted, distribution, tolerance=1e-12, max_nodes=20_000)
    exact = exact_losses(W, b, distribution).loss
    assert (found.error > 1e-12 * found.loss).all()
    assert ((found.loss - exact).abs() <= found.error).all()
    assert sum(seen) < 100_000


@pytest.mark.parametrize("p", [0.057, 1.0])
def test_nodes_have_the_distributions_moments(p: float) -> None:
    x, weights = quadrature_nodes(SupportSizes.independent(4, p), 1e-2)
    assert weights.sum().item() == pytest.approx(1, rel=1e-12)
    assert (weights > 0).all()
    assert len(x) == n_quadrature_nodes(SupportSizes.independent(4, p), 1e-2)
    expected = torch.full((4, 4), p * p / 4, dtype=torch.float64).fill_diagonal_(p / 3)
    torch.testing.assert_close(x.T @ (weights.unsqueeze(1) * x), expected, rtol=1e-12, atol=0)


def test_one_at_a_time_has_no_other_nodes() -> None:
    x, weights = quadrature_nodes(SupportSizes.one_at_a_time(3), 1e-2)
    assert ((x > 0).sum(dim=1) == 1).all()
    assert weights.sum().item() == pytest.approx(1, rel=1e-12)
