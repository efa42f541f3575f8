"""Closed forms of costs that are polynomials between kinks: against integrals that meet the kinks, and derivatives."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from src.distributions import Binary, CorrelatedPairs, Independent, Product, Signed
from src.distributions.supports import Enumerated, SupportSizes
from src.population.closed_form import exact_derivatives, exact_losses, row_losses
from src.population.pieces import Pieces
from src.population.piecewise import Piecewise, merged
from tests.population.costs import POLYNOMIAL, cost_by_hooks, pieces_by_name
from tests.population.integrals import feature_losses
from tests.population.models import random_model
from tests.running import slow

# Of the loss of a model that answers 0. Sums of 10^3 float64 numbers, some of which cancel by the small entries that
# they are divided by.
CLOSE = 1e-10

found_pieces = functools.cache(pieces_by_name)


def enumerated(name: str) -> Enumerated:
    laws = {
        "correlated pairs": Product([CorrelatedPairs(2, 0.3), Independent([0.4])]),
        "signed": Signed(3, 0.4),
        "binary": Binary(3, 0.4),
        "a probability for each": Independent([0.6, 0.05, 0.3]),
    }
    if name == "independent":
        return SupportSizes.independent(3, 0.3)
    if name == "one at a time":
        return SupportSizes.one_at_a_time(4)
    if name == "one or two":
        return SupportSizes((0.1, 0.5, 0.4, 0.0, 0.0))
    supports = laws[name].supports
    assert supports is not None
    return supports


LAWS = ["independent", "one at a time", "one or two", "correlated pairs", "signed", "binary", "a probability for each"]


CASES = [(name, law) for name in POLYNOMIAL for law in LAWS]
BY_DEFAULT = {("clamp", law) for law in LAWS} | {(name, "one or two") for name in POLYNOMIAL}


@pytest.mark.parametrize(("name", "law"), [case if case in BY_DEFAULT else slow(*case) for case in CASES])
def test_the_closed_form_is_the_integral(name: str, law: str) -> None:
    distribution = enumerated(law)
    W, b = random_model(1, distribution.n_features, seed=1)
    found = exact_losses(W, b, distribution, pieces=found_pieces(name))
    expected = feature_losses(cost_by_hooks(name), POLYNOMIAL[name][1], W, b, distribution)
    torch.testing.assert_close(found.feature_losses, expected, rtol=1e-9, atol=1e-12)
    assert ((found.loss - expected.mean(dim=1)).abs() <= found.error).all()


@pytest.mark.parametrize("name", ["hard tanh", slow("fourth power")])
@pytest.mark.parametrize("smallest", [1e-2, 2e-3, slow(1e-3), 1e-6, 0.0])
def test_entries_that_are_too_small_to_divide_by_are_integrated_too(name: str, smallest: float) -> None:
    """Near both thresholds and below; with a bias beside the kink, where they decide."""
    W, b = random_model(2, 3)
    W[:, :, 1:] *= smallest
    b[1, 1:] = smallest
    distribution = SupportSizes.independent(3, 0.4)
    found = exact_losses(W, b, distribution, pieces=found_pieces(name))
    expected = feature_losses(cost_by_hooks(name), POLYNOMIAL[name][1], W, b, distribution)
    torch.testing.assert_close(found.feature_losses, expected, rtol=1e-9, atol=1e-12)
    assert ((found.loss - expected.mean(dim=1)).abs() <= found.error).all()


def test_untied_weights_with_importance_are_integrated_too() -> None:
    (W, b), (V, _) = random_model(2, 3), random_model(2, 3, seed=5)
    distribution, importance = SupportSizes.independent(3, 0.3), torch.tensor([[1.0, 0.5, 0.1], [0.2, 1.0, 3.0]])
    found = exact_losses(W, b, distribution, V, importance, found_pieces("hard tanh"))
    expected = importance * feature_losses(cost_by_hooks("hard tanh"), (-1.0, 1.0), W, b, distribution, V)
    torch.testing.assert_close(found.feature_losses, expected, rtol=1e-9, atol=1e-12)


def value(pieces: Pieces, z: Tensor, x: Tensor) -> Tensor:
    """c(z, x), from the polynomial of the interval that z is in."""
    interval = sum((z > kink).long() for kink in pieces.kinks) + torch.zeros_like(z).long()
    values = [
        sum((a * z**r * x**q for (r, q), a in own.items()), torch.zeros_like(z * x)) for own in pieces.polynomials
    ]
    return torch.stack(values).gather(0, interval.unsqueeze(0)).squeeze(0)


POLYNOMIALS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 3)), st.sampled_from([-1.7, -0.3, 0.2, 1.0]), max_size=4
)


@st.composite
def made_up_pieces(draw: st.DrawFn) -> Pieces:
    kinks = sorted(draw(st.lists(st.integers(-8, 8), max_size=3, unique=True)))
    polynomials = draw(st.lists(POLYNOMIALS, min_size=len(kinks) + 1, max_size=len(kinks) + 1))
    made = merged(Piecewise(tuple(kink / 10 for kink in kinks), tuple(polynomials))).pieces
    assert made is not None
    return made


@given(made_up_pieces(), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_any_polynomials_between_any_kinks_have_a_closed_form(pieces: Pieces, seed: int) -> None:
    """Jumps and high powers included; relative to sizes of terms, since they cancel as they like."""
    W, b = random_model(1, 2, seed=seed)
    distribution = SupportSizes.independent(2, 0.5)
    found = exact_losses(W, b, distribution, pieces=pieces).feature_losses
    expected = feature_losses(lambda z, x: value(pieces, z, x), pieces.kinks, W, b, distribution)
    size = float((W.mT @ W).abs().sum(dim=-1).max() + b.abs().max() + 1) ** 4
    assert ((found - expected).abs() <= CLOSE * size).all()


# Derivatives

STEP = 1e-5
SOME = {"leaky 0.1", "hard tanh", "fourth power", "step"}
TIED = pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
IMPORTANCES = {"alike": None, "per feature": torch.tensor([1.0, 0.5, 0.2])}


def flattened(W: Tensor, b: Tensor, V: Tensor | None) -> Tensor:
    return torch.cat([t.flatten(1) for t in (W, b, V) if t is not None], dim=1)


def apart(point: Tensor, is_tied: bool, n: int = 3, m: int = 2) -> tuple[Tensor, Tensor, Tensor | None]:
    W, b, V = point[:, : m * n].unflatten(1, (m, n)), point[:, m * n : m * n + n], point[:, m * n + n :]
    return W, b, None if is_tied else V.unflatten(1, (m, n))


def a_point(is_tied: bool) -> Tensor:
    (W, b), (V, _) = random_model(1, 3, seed=2), random_model(1, 3, seed=3)
    return flattened(W, b, None if is_tied else V)


@TIED
@pytest.mark.parametrize("importance", ["per feature", slow("alike")])
@pytest.mark.parametrize("name", [name if name in SOME else slow(name) for name in POLYNOMIAL])
def test_gradient_and_hessian_are_those_of_the_loss(name: str, importance: str, is_tied: bool) -> None:
    """By central differences along all parameters: steps of 1e-5 leave 1e-10 of the third derivative."""
    point, pieces = a_point(is_tied), found_pieces(name)
    distribution, factor = SupportSizes.independent(3, 0.4), IMPORTANCES[importance]
    moves = STEP * torch.eye(point.shape[1], dtype=torch.float64)

    def at(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        W, b, V = apart(points, is_tied)
        loss = exact_losses(W, b, distribution, V, factor, pieces).loss
        derivatives = exact_derivatives(W, b, distribution, V, factor, pieces)
        torch.testing.assert_close(derivatives.loss, loss, rtol=1e-12, atol=0)
        return derivatives

    (_, gradient, hessian), ahead, behind = (at(points) for points in (point, point + moves, point - moves))
    slopes = (ahead[0] - behind[0]) / (2 * STEP)
    torch.testing.assert_close(gradient[0], slopes, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(hessian[0], (ahead[1] - behind[1]) / (2 * STEP), rtol=1e-5, atol=1e-7)


@TIED
@pytest.mark.parametrize("law", ["independent", "signed", "a probability for each"])
def test_the_chain_rule_is_autograds(law: str, is_tied: bool) -> None:
    """Through the rows of V^T W, to roundings."""
    point, distribution, pieces = a_point(is_tied), enumerated(law), found_pieces("clamp")

    def loss(parameters: Tensor) -> Tensor:
        W, b, V = apart(parameters.unsqueeze(0), is_tied)
        rows = torch.cat([(W if V is None else V).mT @ W, b.unsqueeze(-1)], dim=-1)
        return row_losses(rows, distribution, pieces).mean()

    W, b, V = apart(point, is_tied)
    found = exact_derivatives(W, b, distribution, V, pieces=pieces)
    gradient = torch.autograd.functional.jacobian(loss, point[0])
    torch.testing.assert_close(found.gradient[0], gradient, rtol=1e-12, atol=1e-14)
    hessian = torch.autograd.functional.hessian(loss, point[0])
    torch.testing.assert_close(found.hessian[0], hessian, rtol=1e-10, atol=1e-12)
