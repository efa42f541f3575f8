"""The population loss as a function of a model's parameters: its derivatives, symmetries and kinks."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from src.distributions import Binary
from src.distributions.supports import Enumerated, SupportSizes
from src.model import ReLUOutputModel, ToyModel
from src.objective.pieces import cost_of
from src.objective.tracing import trace_term
from src.population.losses import CLOSED_FORM, QUADRATURE
from src.population.surface import ROTATION, SCALING, PointwiseSurface, Surface
from src.variants import GELU, Importance, Jump, Leaky, NoBias, Untied
from tests.running import slow


class OfEach(ReLUOutputModel):
    """Each instance has an importance of its own."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        generator = torch.Generator().manual_seed(0)
        self.importance = torch.rand(self.n_instances, self.n_features, generator=generator) + 0.1


MODELS: dict[str, type[ToyModel]] = {
    "tied": ReLUOutputModel, "untied": Untied, "no bias": NoBias, "importance": Importance,
    "importance of each": OfEach, "leaky": Leaky, "gelu": GELU,
}  # fmt: skip
N_PARAMETERS = {"untied": 15, "no bias": 6}  # of two hidden dimensions and three features; else 9


def surface_of(name: str, distribution: Enumerated, n_instances: int = 2) -> tuple[PointwiseSurface, Tensor]:
    """With points at which nothing is special."""
    torch.manual_seed(1)
    model = MODELS[name](n_features=3, n_instances=n_instances)
    surface = model.objective.surface(distribution)
    assert isinstance(surface, PointwiseSurface)
    points = surface.flatten(dict(model.named_parameters()))
    return surface, points + 0.3 * torch.randn(points.shape, dtype=torch.float64)


@pytest.mark.parametrize(
    "name", ["tied", "untied", "no bias", "importance of each", slow("importance"), slow("leaky"), slow("gelu")]
)
def test_gradient_and_hessian_are_those_of_the_loss(name: str) -> None:
    """By central differences in every parameter: steps of 1e-5 leave 1e-10 of the third derivative."""
    surface, points = surface_of(name, SupportSizes.independent(3, 0.3))
    assert points.shape[1] == N_PARAMETERS.get(name, 9)
    moves, instances = 1e-5 * torch.eye(points.shape[1], dtype=torch.float64), torch.arange(2)
    here = surface.derivatives(points, instances)
    assert torch.equal(here.hessian, here.hessian.mT)
    for i in range(2):
        own = torch.full((len(moves),), i)
        ahead, behind = (surface.derivatives(points[i] + sign * moves, own) for sign in (1, -1))
        torch.testing.assert_close(here.gradient[i], (ahead.loss - behind.loss) / 2e-5, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(here.hessian[i], (ahead.gradient - behind.gradient) / 2e-5, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [*MODELS])
def test_the_loss_is_the_models(name: str) -> None:
    distribution = SupportSizes.independent(3, 0.3)
    model = MODELS[name](n_features=3, n_instances=2)
    surface = model.objective.surface(distribution)
    points = surface.flatten(dict(model.named_parameters()))
    found, expected = surface.derivatives(points, torch.arange(2)), model.losses_over(distribution)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-10, atol=0)
    assert surface.method == expected.method == (QUADRATURE if name == "gelu" else CLOSED_FORM)
    (other,) = surface.derivatives(points[1:], torch.tensor([1])).loss  # its own importance, not the first's
    torch.testing.assert_close(other, expected.loss[1], rtol=1e-10, atol=0)


def test_points_are_parameters_in_a_row_and_back() -> None:
    surface, points = surface_of("untied", SupportSizes.one_at_a_time(3))
    found = surface.unflatten(points)
    assert {name: tuple(own.shape) for name, own in found.items()} == {"W": (2, 2, 3), "b": (2, 3), "V": (2, 2, 3)}
    assert torch.equal(surface.flatten(found), points)


# Symmetries


def moved(points: dict[str, Tensor], M: Tensor) -> dict[str, Tensor]:
    """W -> M W, V -> M^-T V."""
    return points | {"W": M @ points["W"]} | ({"V": torch.linalg.inv(M).mT @ points["V"]} if "V" in points else {})


@pytest.mark.parametrize("name", ["tied", "untied", "importance of each", "no bias"])
def test_along_symmetries_neither_slope_nor_curvature_remains(name: str) -> None:
    surface, points = surface_of(name, SupportSizes.independent(3, 0.3))
    found = surface.symmetries(points)
    counts = {kind: directions.shape[1] for kind, directions in found.items()}
    assert counts == ({ROTATION: 1, SCALING: 3} if name == "untied" else {ROTATION: 1})
    at = surface.derivatives(points, torch.arange(2))
    for directions in found.values():
        assert (directions @ at.gradient.unsqueeze(-1)).abs().max() < 1e-14
        assert torch.linalg.matrix_rank(directions).tolist() == [directions.shape[1]] * 2


@pytest.mark.parametrize("kind", [ROTATION, SCALING])
def test_finite_rotations_and_scalings_leave_the_loss_as_it_is(kind: str) -> None:
    surface, points = surface_of("untied", SupportSizes.independent(3, 0.3))
    A = torch.tensor([[0.0, -0.7], [0.7, 0.0]]) if kind == ROTATION else torch.tensor([[0.3, 0.4], [0.4, -0.1]])
    M, step = torch.linalg.matrix_exp(A.double()), 1e-6
    there = surface.flatten(moved(surface.unflatten(points), M))
    losses = [surface.derivatives(own, torch.arange(2)).loss for own in (points, there)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-13, atol=0)
    # They begin along what the symmetries span.
    little = surface.flatten(moved(surface.unflatten(points), torch.linalg.matrix_exp(step * A.double())))
    away = ((little - points) / step).unsqueeze(-1)
    directions = surface.symmetries(points)[kind].mT
    left = away - directions @ torch.linalg.lstsq(directions, away).solution
    assert left.norm() < 1e-5 * away.norm()  # the second order of the step


def test_a_point_is_turned_towards_another_as_far_as_it_goes() -> None:
    surface, points = surface_of("untied", SupportSizes.one_at_a_time(3))
    reflected = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -2.0], [2.0, 0.0]], dtype=torch.float64)) @ reflected
    found = surface.turned_towards(points, surface.flatten(moved(surface.unflatten(points), turn)))
    torch.testing.assert_close(found, points, rtol=1e-12, atol=1e-12)


# Kinks


def test_no_example_is_at_a_kink_where_nothing_is_special() -> None:
    for name in ("tied", "untied", "leaky", "gelu"):
        surface, points = surface_of(name, SupportSizes.independent(3, 0.3))
        assert surface.kink_weight(points, torch.arange(2)).tolist() == [0, 0]


def test_a_bias_at_the_kink_has_the_weight_of_empty_examples() -> None:
    surface, points = surface_of("tied", SupportSizes.independent(3, 0.3))
    points[1, -1] = 0
    assert surface.kink_weight(points, torch.arange(2)).tolist() == pytest.approx([0, 0.7**3], rel=1e-12)


def test_a_bias_that_stays_as_it_is_moves_no_example_over_a_kink() -> None:
    surface, points = surface_of("no bias", SupportSizes.independent(3, 0.3))
    assert surface.kink_weight(points, torch.arange(2)).tolist() == [0, 0]


def test_columns_at_right_angles_leave_each_other_at_the_kink() -> None:
    """All but the examples in which both are active, whose every z has left it; and the curvature is of one side."""
    surface = PointwiseSurface({"W": (2, 2), "b": (2,)}, SupportSizes.independent(2, 0.3))
    points = torch.tensor([[1.0, 0, 0, 1, 0, 0]], dtype=torch.float64)
    assert surface.kink_weight(points, torch.arange(1)).item() == pytest.approx(1 - 0.3**2, rel=1e-12)
    hessians = [surface.below_kinks(points + shift, torch.arange(1)).hessian for shift in (0.0, 1e-12, -1e-12)]
    for hessian in hessians[1:]:
        torch.testing.assert_close(hessian, hessians[0], rtol=0, atol=1e-10)


def test_a_kink_that_is_not_at_0_is_looked_for_where_it_is() -> None:
    model = Jump(n_features=3, n_instances=1, threshold=0.25)
    pieces = cost_of(trace_term(model, 3).graph).pieces
    surface = PointwiseSurface({"W": (2, 3), "b": (3,)}, SupportSizes.independent(3, 0.5), pieces)
    weights = [
        surface.kink_weight(surface.flatten({"W": model.W, "b": torch.full((1, 3), b)}), torch.zeros(1).long()).item()
        for b in (0.0, 0.25)
    ]
    assert weights == pytest.approx([0, 0.125])


def test_where_values_are_always_one_any_example_may_be_at_a_kink() -> None:
    distribution = Binary(2, 0.3).supports
    assert distribution is not None
    surface = PointwiseSurface({"W": (1, 2), "b": (2,)}, distribution)
    points = torch.tensor([[1.0, 0.5, -1.0, 0.1], [1.0, 0.5, -0.9, 0.1]], dtype=torch.float64)
    # z_1 = x_1 + x_2 / 2 - 1 is at the kink where the first is active alone.
    assert surface.kink_weight(points, torch.arange(2)).tolist() == pytest.approx([0.3 * 0.7, 0])


def test_a_quadrature_states_errors_and_a_closed_form_has_none() -> None:
    for name, has_errors in (("tied", False), ("gelu", True)):
        surface, points = surface_of(name, SupportSizes.independent(3, 0.3))
        errors = surface.errors(points, torch.arange(2))
        assert [bool((own > 0).all()) for own in errors] == [has_errors] * 2
        assert all((own < 1e-6).all() for own in errors)


def test_a_surface_of_ones_own_needs_derivatives_alone() -> None:
    class Bowl(Surface):
        def derivatives(self, points: Tensor, instances: Tensor) -> Any:
            raise NotImplementedError

    bowl, points = Bowl({"W": (1, 2)}), torch.zeros(3, 2, dtype=torch.float64)
    assert bowl.symmetries(points) == {}
    assert torch.equal(bowl.turned_towards(points, points + 1), points + 1)
    assert bowl.kink_weight(points, torch.arange(3)).tolist() == [0, 0, 0]
    assert math.prod(bowl.shapes["W"]) == 2
