"""The loss over the whole distribution in closed form: against exact arithmetic and sampling, and its derivatives."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from src.distributions.sparse import Sparse
from src.distributions.supports import SupportSizes
from src.population.closed_form import exact_derivatives, exact_losses
from tests.population.models import random_model

ROUNDING = 1e-12  # relative, of sums of hundreds of float64 numbers some of which cancel


# The closed form


def exact_feature_loss(row: list[Fraction], bias: Fraction, i: int, p: Fraction) -> Fraction:
    """E[(x_i - ReLU(z))^2] in rational arithmetic: every support, every corner, no entry of the row zero."""
    n, total = len(row), Fraction(0)
    for size in range(n + 1):
        for support in itertools.combinations(range(n), size):
            weight = p**size * (1 - p) ** (n - size)
            a = [row[j] for j in support]
            scale = math.factorial(size + 2) * math.prod(a, start=Fraction(1))
            square = product = Fraction(0)
            for corner in itertools.product((0, 1), repeat=size):
                z = max(bias + sum(x * v for x, v in zip(a, corner, strict=True)), Fraction(0))
                sign = (-1) ** (size - sum(corner))
                square += 2 * sign * z ** (size + 2) / scale
                if i in support:
                    k = support.index(i)
                    product += sign * ((size + 2) * z ** (size + 1) * corner[k] - z ** (size + 2) / a[k]) / scale
            total += weight * (Fraction(int(i in support), 3) - 2 * product + square)
    return total


@pytest.mark.parametrize("p", ["1/100", "1/3", "1"])
@pytest.mark.parametrize("smallest", [1.0, 0.1, 0.02, 1e-3, 1e-6, 1e-12])
def test_the_closed_form_is_that_of_rational_arithmetic(smallest: float, p: str) -> None:
    """Also where entries of W^T W are hardly, or much, too small to divide by."""
    W, b = random_model(4, 4)
    W[:, :, 2:] *= smallest
    b[1:3, 2:] *= smallest
    losses = exact_losses(W, b, SupportSizes.independent(4, float(Fraction(p))))
    for instance in range(4):
        G = (W[instance].T @ W[instance]).tolist()
        expected = [
            float(exact_feature_loss([Fraction(g) for g in G[i]], Fraction(b[instance, i].item()), i, Fraction(p)))
            for i in range(4)
        ]
        error = abs(losses.loss[instance].item() - sum(expected) / 4)
        assert error <= losses.error[instance]
        assert losses.error[instance] <= 1e-9 * losses.loss[instance]
        assert losses.feature_losses[instance].tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("p", ["1/20", "1/3", "1"])
@pytest.mark.parametrize("largest", [3e-2, 9e-3, 2.9e-3, 9.9e-4, 1e-5])
def test_the_error_of_a_nearly_perfect_model_is_covered_too(largest: float, p: str) -> None:
    """Columns almost orthogonal, their products below one threshold, between the two, or above both."""
    generator, n = torch.Generator().manual_seed(0), 3
    for _ in range(10):
        products = largest * (2 * torch.rand(n, n, generator=generator, dtype=torch.float64) - 1)
        W = torch.linalg.cholesky((products.triu(1) + products.triu(1).T).fill_diagonal_(1)).T
        b = largest * (torch.rand(n, generator=generator, dtype=torch.float64) - 0.5)
        losses = exact_losses(W.unsqueeze(0), b.unsqueeze(0), SupportSizes.independent(n, float(Fraction(p))))
        G = [[Fraction(g) for g in row] for row in (W.T @ W).tolist()]
        biases = [Fraction(value) for value in b.tolist()]
        expected = sum(exact_feature_loss(G[i], biases[i], i, Fraction(p)) for i in range(n)) / n
        assert abs(float(Fraction(losses.loss.item()) - expected)) <= losses.error.item()


@pytest.mark.parametrize("n_hidden", [1, 2, 3])
@pytest.mark.parametrize("n_features", [1, 2, 6])
def test_the_closed_form_is_the_mean_of_a_large_sample(n_features: int, n_hidden: int) -> None:
    W, b = random_model(3, n_features, n_hidden)
    x = Sparse(n_features, 0.3).draw((200_000,), torch.Generator().manual_seed(1)).double()
    errors = (x - torch.relu(x @ W.mT @ W + b.unsqueeze(1))).square()
    exact = exact_losses(W, b, SupportSizes.independent(n_features, 0.3)).feature_losses
    away = (errors.mean(dim=1) - exact) / (errors.std(dim=1) / len(x) ** 0.5)
    assert away.abs().max() < 5  # standard errors, of at most 18 numbers


def test_sampling_comes_nearer_as_the_root_of_the_number_of_draws() -> None:
    """Over four decades, within the standard error: 400 models' samples of 100 to 1,000,000 draws."""
    W, b = random_model(1, 4)
    distribution = SupportSizes.independent(4, 0.3)
    exact = exact_losses(W, b, distribution).loss
    generator, sizes = torch.Generator().manual_seed(2), [100, 1000, 10_000, 100_000, 1_000_000]
    deviations = []
    for size in sizes:
        repeats = max(8, min(400, 1_000_000 // size))
        away = []
        for _ in range(repeats):
            x = Sparse(4, 0.3).draw((size,), generator).double()
            loss = (x - torch.relu(x @ W[0].T @ W[0] + b[0])).square().mean(dim=1)
            assert abs(float((loss.mean() - exact) / (loss.std() / size**0.5))) < 5
            away.append(float(loss.mean() - exact))
        deviations.append(math.sqrt(sum(a * a for a in away) / repeats))
    logs = torch.tensor([[math.log(n), math.log(d)] for n, d in zip(sizes, deviations, strict=True)])
    x, y = (logs - logs.mean(dim=0)).T
    slope = float((x * y).sum() / (x * x).sum())
    assert slope == pytest.approx(-0.5, abs=0.05)  # the last decades have 8 repeats, whose deviation is right to 25 %


def test_the_loss_tends_to_that_of_one_feature_at_a_time() -> None:
    """As p falls, by a term of order p: two features at once."""
    W, b = random_model(3, 5)
    b = -b.abs()  # so that an empty example costs nothing
    alone = exact_losses(W, b, SupportSizes.one_at_a_time(5)).loss
    differences = []
    for p in (1e-3, 1e-5, 1e-7):
        loss = exact_losses(W, b, SupportSizes.independent(5, p)).loss
        differences.append((loss / (5 * p) - alone).abs())
        assert (differences[-1] < 20 * p * alone).all()
    assert (differences[2] < differences[0] / 1e3).all()


def test_the_probabilities_of_the_sizes_are_binomial() -> None:
    distribution = SupportSizes.independent(4, 0.3)
    assert distribution.size_probabilities == pytest.approx([0.2401, 0.4116, 0.2646, 0.0756, 0.0081])
    assert (distribution.n_active, distribution.n_active_pairs) == pytest.approx((1.2, 4 * 3 * 0.09))


def test_instances_have_the_same_loss_alone_and_in_company() -> None:
    W, b = random_model(300, 6)
    distribution = SupportSizes.independent(6, 0.1)
    whole = exact_losses(W, b, distribution)
    alone = exact_losses(W[250:251], b[250:251], distribution)
    torch.testing.assert_close(whole.loss[250:251], alone.loss, rtol=1e-14, atol=0)


# Its derivatives


def differences(W: Tensor, b: Tensor, distribution: SupportSizes, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of the loss and of the gradient along a direction of all parameters."""
    step, n = 1e-5, b.shape[1]

    def at(sign: int) -> tuple[Tensor, Tensor]:
        move = sign * step * direction
        shifted = exact_derivatives(W + move[:, :-n].reshape(W.shape), b + move[:, -n:], distribution)
        return shifted.loss, shifted.gradient

    (loss_after, gradient_after), (loss_before, gradient_before) = at(1), at(-1)
    return (loss_after - loss_before) / (2 * step), (gradient_after - gradient_before) / (2 * step)


@pytest.mark.parametrize("n_hidden", [1, 2, 3])
@pytest.mark.parametrize("p", [0.01, 0.3, 1.0])
def test_the_derivatives_are_those_of_the_loss(n_hidden: int, p: float) -> None:
    W, b = random_model(5, 4, n_hidden)
    distribution = SupportSizes.independent(4, p)
    derivatives = exact_derivatives(W, b, distribution)
    torch.testing.assert_close(derivatives.loss, exact_losses(W, b, distribution).loss, rtol=ROUNDING, atol=0)
    direction = torch.randn(derivatives.gradient.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    slope, curvature = differences(W, b, distribution, direction)
    # A step of 1e-5 leaves 1e-10 of the third derivative and 1e-16 / 1e-5 of rounding.
    torch.testing.assert_close((derivatives.gradient * direction).sum(dim=1), slope, rtol=1e-6, atol=1e-9)
    along = (derivatives.hessian @ direction.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(along, curvature, rtol=1e-4, atol=1e-6)
    assert torch.equal(derivatives.hessian, derivatives.hessian.mT)


def test_the_mean_of_the_examples_hessians_is_another_matrix() -> None:
    """It knows nothing of a kink that moves over an active feature; the population's Hessian does."""
    W, b = torch.tensor([[[1.1]]], dtype=torch.float64), torch.tensor([[-0.3]], dtype=torch.float64)
    distribution = SupportSizes.one_at_a_time(1)
    hessian = exact_derivatives(W, b, distribution).hessian[0]
    t = (torch.arange(100_000, dtype=torch.float64) + 0.5).unsqueeze(1) / 100_000

    def mean(parameters: Tensor) -> Tensor:
        return (t - torch.relu(t * parameters[0] ** 2 + parameters[1])).square().mean()

    of_examples = torch.autograd.functional.hessian(mean, torch.tensor([1.1, -0.3], dtype=torch.float64))
    # What is missing is -2 t times the density of the kink, at t = 0.3 / 1.21: in b, -2 t / 1.21.
    missing = -2 * (0.3 / 1.21) / 1.21
    assert (hessian - of_examples)[1, 1].item() == pytest.approx(missing, rel=1e-4)


def test_derivatives_can_be_taken_where_lightning_evaluates() -> None:
    W, b = random_model(1, 3)
    distribution = SupportSizes.independent(3, 0.123)
    with torch.inference_mode():
        inside = exact_derivatives(W.clone(), b.clone(), distribution)
    assert torch.equal(inside.hessian, exact_derivatives(W, b, distribution).hessian)
