"""The quadrature that takes out what jumps at kinks: exact where only that is left, and fast where more is."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate as scipy_integrate
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.distributions import Binary, Signed
from src.distributions.supports import Enumerated, SupportSizes
from src.distributions.values import BINARY, SIGNED, UNIT, Values
from src.population.closed_form import exact_losses, row_derivatives, row_losses, rows_of
from src.population.jumps import jumps_at
from src.population.pieces import Pieces
from src.population.quadrature import MAX_POINTS
from src.population.row_quadrature import RowQuadrature
from tests.population.costs import POLYNOMIAL, cost_by_hooks, pieces_by_name
from tests.population.integrals import Cost, feature_losses
from tests.population.models import random_model
from tests.running import slow

NO_JUMPS = Pieces((), ({},))


def squared(activate: Any) -> Cost:
    return lambda z, x: (x - activate(z)) ** 2


ELU, GELU = squared(F.elu), squared(F.gelu)
SOFTPLUS = squared(lambda z: F.softplus(z, 8.0, threshold=2.0))  # which jumps by 0.017 at 0.25
TABLE: dict[str, tuple[Cost, tuple[float, ...]]] = {"elu": (ELU, (0.0,)), "softplus": (SOFTPLUS, (0.25,))}


def rule_of(cost: Cost, kinks: tuple[float, ...], distribution: Enumerated, rows: Tensor, **limits: int) -> Any:
    return RowQuadrature(cost, jumps_at(cost, kinks, distribution.values), distribution, rows, **limits)


def with_points(rule: RowQuadrature, n: int) -> RowQuadrature:
    """The same rule with so many points along every axis."""
    rule.points = dict.fromkeys(rule.points, n)
    return rule


# What jumps


@pytest.mark.parametrize("values", [UNIT, SIGNED, BINARY], ids=["unit", "signed", "binary"])
@pytest.mark.parametrize("name", [name for name in POLYNOMIAL if name != "linear"])
def test_what_jumps_in_a_polynomial_is_its_difference(name: str, values: Values) -> None:
    """As a cost that is 0 before all kinks, on examples whose x is among the values."""
    expected = pieces_by_name(name)
    found = jumps_at(cost_by_hooks(name), expected.kinks, values)
    assert found.kinks == expected.kinks
    assert found.polynomials[0] == {}
    x = values.low + values.width * torch.linspace(0, 1, 7, dtype=torch.float64)
    z = torch.linspace(-2, 3, 7, dtype=torch.float64).unsqueeze(1)
    for k in range(1, len(found.polynomials)):

        def at(pieces: Pieces, interval: int) -> Tensor:
            terms = pieces.polynomials[interval].items()
            return sum((a * z**r * x**q for (r, q), a in terms), torch.zeros(7, 7).double())

        # Sides are looked at 1e-6 away and extrapolated: 1e-12 of the second derivative, over that of the fourth.
        difference = at(expected, k) - at(expected, 0)
        torch.testing.assert_close(at(found, k), difference, rtol=1e-7, atol=1e-7)


def test_where_nothing_jumps_there_is_no_kink() -> None:
    assert jumps_at(GELU, (0.0, 0.5), UNIT) == NO_JUMPS


def test_a_jump_that_is_no_polynomial_in_x_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the jump at 0\.0 is no polynomial in x"):
        jumps_at(lambda z, x: torch.relu(z) * torch.exp(3 * x), (0.0,), UNIT)


# What is left


@pytest.mark.parametrize("name", [name if name in ("jump", "leaky 0.1") else slow(name) for name in POLYNOMIAL])
def test_what_is_a_polynomial_between_kinks_needs_few_points(name: str) -> None:
    """The rest is a polynomial, at most of the eighth power, for which five points are exact."""
    W, b = random_model(2, 3)
    distribution = SupportSizes.independent(3, 0.3)
    cost, pieces = cost_by_hooks(name), pieces_by_name(name)
    rule = with_points(RowQuadrature(cost, _beyond(pieces), distribution, rows_of(W, b)), 5)
    found = rule.losses(rows_of(W, b))
    expected = exact_losses(W, b, distribution, pieces=pieces)
    torch.testing.assert_close(found.feature_losses, expected.feature_losses, rtol=1e-12, atol=1e-12)
    for own, right in zip(
        rule.derivatives(rows_of(W, b)), row_derivatives(rows_of(W, b), distribution, pieces), strict=True
    ):
        torch.testing.assert_close(own, right, rtol=1e-11, atol=1e-12)


def _beyond(pieces: Pieces) -> Pieces:
    """What a cost is beyond its first polynomial."""
    first = pieces.polynomials[0]
    terms = [{t: own.get(t, 0.0) - first.get(t, 0.0) for t in {*own, *first}} for own in pieces.polynomials]
    return Pieces(pieces.kinks, tuple({t: a for t, a in own.items() if a} for own in terms))


def errors_by_points(cost: Cost, kinks: tuple[float, ...], is_known: bool) -> tuple[list[int], list[float]]:
    """Of one active feature whose z crosses the kinks: over as many points, the mean error of some models."""
    distribution, counts = SupportSizes.one_at_a_time(1), [4, 8, 16, 32]
    starts = torch.linspace(-0.9, -0.2, 9, dtype=torch.float64)
    rows = torch.stack([torch.full_like(starts, 1.3), starts], dim=-1).unsqueeze(1)
    rule = rule_of(cost, kinks if is_known else (), distribution, rows, max_nodes=64)
    exact = [feature_loss_of(cost, kinks, row) for row in rows[:, 0]]
    errors = []
    for n in counts:
        found = with_points(rule, n).losses(rows).loss
        errors.append(float((found - torch.tensor(exact, dtype=torch.float64)).abs().mean()))
    return counts, errors


def feature_loss_of(cost: Cost, kinks: tuple[float, ...], row: Tensor) -> float:
    places = [(kink - float(row[1])) / float(row[0]) for kink in kinks]
    ends = [0.0, *sorted(t for t in places if 0 < t < 1), 1.0]
    at, weight = np.polynomial.legendre.leggauss(40)
    total = 0.0
    for low, high in itertools.pairwise(ends):
        x = torch.from_numpy(low + (high - low) * (at + 1) / 2)
        total += (high - low) / 2 * float(cost(row[0] * x + row[1], x) @ torch.from_numpy(weight))
    return total


def slope(counts: list[int], errors: list[float]) -> float:
    return float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize("name", TABLE)
def test_with_jumps_taken_out_points_converge_at_least_by_their_fourth_power(name: str) -> None:
    """What is left has four continuous derivatives; a rule that does not know of the kink errs by N^-2, or N^-1."""
    cost, kinks = TABLE[name]
    counts, errors = errors_by_points(cost, kinks, is_known=True)
    above = [(n, e) for n, e in zip(counts, errors, strict=True) if e > 1e-13]  # of roundings
    assert errors[-1] < 1e-9
    assert len(above) < 2 or slope(*map(list, zip(*above, strict=True))) < -4
    assert -3.2 < slope(*errors_by_points(cost, kinks, is_known=False)) < -0.8


@pytest.mark.parametrize("values", ["unit", slow("signed"), "binary"])
@pytest.mark.parametrize("name", TABLE)
def test_the_stated_error_covers_the_true_one(name: str, values: str) -> None:
    laws = {
        "unit": SupportSizes.independent(2, 0.4),
        "signed": Signed(2, 0.4).supports,
        "binary": Binary(2, 0.4).supports,
    }
    distribution = laws[values]
    assert distribution is not None
    (W, b), (cost, kinks) = random_model(3, 2, seed=3), TABLE[name]
    rows = rows_of(W, b)
    found = rule_of(cost, kinks, distribution, rows).losses(rows)
    expected = feature_losses(cost, kinks, W, b, distribution, n_nodes=24).mean(dim=1)
    assert ((found.loss - expected).abs() <= found.error).all()
    assert (found.error <= 1e-6 * found.loss).all()


def test_a_smooth_cost_is_what_scipy_integrates() -> None:
    """GELU, two features, both active half of the time."""
    W, b = random_model(1, 2)
    distribution, rows = SupportSizes.independent(2, 0.5), rows_of(W, b)
    found = rule_of(GELU, (), distribution, rows).losses(rows)
    for i in range(2):
        a, own = rows[0, i, :2].tolist(), rows[0, i, 2].item()

        def at(*x: float, i: int = i, a: list[float] = a, own: float = own) -> float:
            z = a[0] * x[0] + a[1] * x[1] + own
            return (x[i] - z * (1 + math.erf(z / math.sqrt(2))) / 2) ** 2

        tight = {"epsabs": 1e-13, "epsrel": 1e-13}
        parts = [
            at(0, 0),
            scipy_integrate.quad(lambda t: at(t, 0), 0, 1, **tight)[0],
            scipy_integrate.quad(lambda t: at(0, t), 0, 1, **tight)[0],
            scipy_integrate.dblquad(at, 0, 1, 0, 1, **tight)[0],
        ]
        assert found.feature_losses[0, i].item() == pytest.approx(sum(parts) / 4, rel=1e-10)


@pytest.mark.parametrize("name", ["elu", "softplus"])
def test_derivatives_are_those_of_the_loss(name: str) -> None:
    """By central differences of losses and gradients: steps of 1e-5 leave 1e-10 of the third derivative."""
    (W, b), (cost, kinks), step = random_model(1, 2), TABLE[name], 1e-5
    distribution, rows = SupportSizes((0.2, 0.8, 0.0)), rows_of(W, b)
    rule = rule_of(cost, kinks, distribution, rows, max_nodes=200)
    here = rule.derivatives(rows)
    torch.testing.assert_close(2 * here.losses, rule.losses(rows).feature_losses, rtol=1e-12, atol=0)
    for j in range(3):
        move = torch.zeros(3, dtype=torch.float64)
        move[j] = step
        ahead, behind = rule.derivatives(rows + move), rule.derivatives(rows - move)
        slopes = (ahead.losses - behind.losses) / (2 * step)
        torch.testing.assert_close(here.gradient[..., j], slopes, rtol=1e-6, atol=1e-8)
        curvatures = (ahead.gradient - behind.gradient) / (2 * step)
        torch.testing.assert_close(here.hessian[..., j], curvatures, rtol=1e-5, atol=1e-6)


def test_importance_weighs_features_and_the_error() -> None:
    W, b = random_model(2, 2)
    distribution, rows, importance = SupportSizes.one_at_a_time(2), rows_of(W, b), torch.tensor([1.0, 0.25])
    rule = rule_of(ELU, (0.0,), distribution, rows)
    plain, weighed = rule.losses(rows), rule.losses(rows, importance)
    torch.testing.assert_close(weighed.feature_losses, plain.feature_losses * importance, rtol=1e-14, atol=0)
    assert (weighed.error < plain.error).all()


def test_a_rule_has_no_more_nodes_than_it_may_and_its_error_says_so() -> None:
    W, b = random_model(2, 3)
    distribution, rows = SupportSizes.independent(3, 0.5), rows_of(W, b)
    sharp = squared(lambda z: F.softplus(z, 60.0, threshold=1e9))
    coarse, fine = (rule_of(sharp, (), distribution, rows, max_nodes=n).losses(rows) for n in (300, 100_000))
    assert ((coarse.loss - fine.loss).abs() <= coarse.error + fine.error).all()
    assert (coarse.error > 10 * fine.error).all()


def test_weights_that_are_not_numbers_do_not_hold_up_the_others() -> None:
    W, b = random_model(2, 2)
    W[0] = math.nan
    rows, distribution = rows_of(W, b), SupportSizes.independent(2, 0.5)
    found = rule_of(ELU, (0.0,), distribution, rows).losses(rows)
    assert found.loss.isfinite().tolist() == [False, True]
    alone = rule_of(ELU, (0.0,), distribution, rows[1:]).losses(rows[1:])
    torch.testing.assert_close(found.loss[1:], alone.loss, rtol=1e-12, atol=0)
    assert row_losses(rows[1:], distribution, NO_JUMPS).abs().max() == 0


def test_a_bend_as_sharp_as_a_kink_does_not_ask_for_points_without_end() -> None:
    """Finding Gauss's points takes time with their square."""
    W, b = torch.ones(1, 1, 1), torch.full((1, 1), -0.37)
    distribution, rows = SupportSizes.one_at_a_time(1), rows_of(W, b)
    rule = rule_of(squared(lambda z: F.softplus(z, 1e6, threshold=1e9)), (), distribution, rows)
    assert rule.points[1] <= MAX_POINTS
