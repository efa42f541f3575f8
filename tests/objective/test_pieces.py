"""What an answer costs, as polynomials between kinks, is read off the definition in torch, or said not to be known."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src import variants
from src.model import ReLUOutputModel, ToyModel
from src.objective.pieces import cost_of
from src.objective.pointwise import Pointwise
from src.objective.policies import policy_of
from src.objective.tracing import trace_term
from src.population.pieces import RELU
from src.population.piecewise import KinkError, Piecewise
from tests.objective.terms import by_torch, model_of

EVERYWHERE = torch.linspace(-8, 8, 1601, dtype=torch.float64)  # kinks among them


def assigned(z: Tensor) -> Tensor:
    z[z < 0] = 0
    return z


def cost_of_model(model: ToyModel) -> Piecewise:
    return cost_of(trace_term(model, 3).graph)


def value(cost: Piecewise, z: Tensor, x: Tensor) -> Tensor:
    """c(z, x); NaN where it is no polynomial."""
    assert len(cost.polynomials) == len(cost.kinks) + 1
    interval = sum((z > kink).long() for kink in cost.kinks) + torch.zeros_like(z).long()
    values = []
    for own in cost.polynomials:
        terms = [torch.full_like(z, torch.nan)] if own is None else [a * z**r * x**q for (r, q), a in own.items()]
        values.append(sum(terms, torch.zeros_like(z)))
    return torch.stack(values).gather(0, interval.unsqueeze(0)).squeeze(0)


def assert_is_the_models(cost: Piecewise, model: ToyModel) -> None:
    """Wherever it is a polynomial, away from kinks, where torch takes either side."""
    away = torch.stack([(EVERYWHERE - kink).abs() > 1e-9 for kink in (*cost.kinks, torch.inf)]).all(dim=0)
    z = EVERYWHERE[away]
    x = torch.rand(len(z), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, expected = value(cost, z, x), by_torch(model, z, x)[0]
    known = ~found.isnan()
    torch.testing.assert_close(found[known], expected[known], rtol=1e-12, atol=1e-12)


POLYNOMIALS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, ...]]] = {
    "relu": (torch.relu, (0.0,)),
    "in place": (torch.relu_, (0.0,)),
    "assignment": (assigned, (0.0,)),
    "abs": (torch.abs, ()),  # x' is kinked, its square is not, and x times it is
    "leaky": (lambda z: F.leaky_relu(z, 0.1), (0.0,)),
    "hard tanh": (F.hardtanh, (-1.0, 1.0)),
    "relu 6": (F.relu6, (0.0, 6.0)),
    "hard swish": (F.hardswish, (-3.0, 3.0)),
    "hard sigmoid": (F.hardsigmoid, (-3.0, 3.0)),
    "clamp": (lambda z: z.clamp(0.2, 0.7), (0.2, 0.7)),
    "hard shrink": (F.hardshrink, (-0.5, 0.5)),
    "soft shrink": (F.softshrink, (-0.5, 0.5)),
    "threshold": (lambda z: F.threshold(z, 0.3, -1.0), (0.3,)),
    "maximum": (lambda z: torch.maximum(z, torch.full_like(z, 0.5)), (0.5,)),
    "tests joined": (lambda z: torch.where((z > -1) & (z < 1) | (z > 3), z, 0.0), (-1.0, 1.0, 3.0)),
    "a test inverted": (lambda z: z * ~(z > 0.5), (0.5,)),
    "finite alone": (lambda z: torch.where(torch.isfinite(z), z, 0.0), ()),
    "a kink where a polynomial is 0": (lambda z: torch.relu(z * z - 4), (-2.0, 2.0)),
    "two kinks in one place": (lambda z: torch.relu(z) + torch.relu(2 * z), (0.0,)),
    "a kink that cancels": (lambda z: torch.relu(z) - torch.relu(-z), ()),
    "a number over a number": (lambda z: z / 3, ()),
    "straight through": (lambda z: z + (torch.sign(z) - z).detach(), (0.0,)),
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_an_answer_that_is_a_polynomial_between_kinks_is_found(name: str) -> None:
    activate, kinks = POLYNOMIALS[name]
    model = model_of(activate)
    cost = cost_of_model(model)
    assert cost.pieces is not None
    expected = (0.0,) if name == "abs" else kinks
    assert cost.kinks == pytest.approx(expected, abs=1e-12)
    assert_is_the_models(cost, model)


NO_POLYNOMIALS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, ...]]] = {
    "elu": (F.elu, (0.0,)),
    "softplus": (F.softplus, (20.0,)),  # beyond, it is z
    "gelu": (F.gelu, ()),
    "tanh": (torch.tanh, ()),
    "silu of relu": (lambda z: F.silu(torch.relu(z)), (0.0,)),
    "a high power": (lambda z: torch.relu(z) ** 5, (0.0,)),
}


@pytest.mark.parametrize("name", NO_POLYNOMIALS)
def test_kinks_of_another_answer_are_found(name: str) -> None:
    activate, kinks = NO_POLYNOMIALS[name]
    model = model_of(activate)
    cost = cost_of_model(model)
    assert cost.pieces is None
    assert cost.kinks == pytest.approx(kinks, abs=1e-12)
    assert_is_the_models(cost, model)


@pytest.mark.parametrize(
    ("activate", "error", "reason"),
    [
        (torch.relu, lambda x, y: (x - y).abs(), "depends on x"),
        (torch.relu, lambda x, y: F.huber_loss(y, x, reduction="none", delta=0.3), "depends on x"),
        (lambda z: z - torch.floor(z), None, "takes floor"),
        (lambda z: z * torch.round(z), None, "takes round"),
        (lambda z: torch.relu(z) ** 1.5, None, "takes the power 1.5"),
        (lambda z: torch.relu(torch.tanh(z)), None, "no polynomial has a value"),
        (lambda z: torch.sqrt(torch.relu(z) + 1e-3), None, "may be singular"),
        (lambda z: torch.log1p(torch.relu(z)), None, "may be singular"),
        (lambda z: z / (1 + z.abs()), None, "may be singular"),
    ],
)
def test_what_has_kinks_elsewhere_is_refused_by_name(activate: Any, error: Any, reason: str) -> None:
    model = model_of(activate, error)
    with pytest.raises(KinkError, match=reason):
        cost_of_model(model)
    assert policy_of(model).cost is None


VARIANTS: dict[str, tuple[type[ToyModel], dict[str, Any], tuple[float, ...] | None, bool]] = {
    # kinks, None where they are not known, and whether the cost is a polynomial between them
    "ReLUOutputModel": (ReLUOutputModel, {}, (0.0,), True),
    "Untied": (variants.Untied, {}, (0.0,), True),
    "NoBias": (variants.NoBias, {}, (0.0,), True),
    "Importance": (variants.Importance, {}, (0.0,), True),
    "Linear": (variants.Linear, {}, (), True),
    "Leaky": (variants.Leaky, {}, (0.0,), True),
    "GELU": (variants.GELU, {}, (), False),
    "Softplus": (variants.Softplus, {"beta": 5.0}, (4.0,), False),
    "Jump": (variants.Jump, {"threshold": 0.25}, (0.25,), True),
    "SquaredReLU": (variants.SquaredReLU, {}, (0.0,), True),
    "L4": (variants.L4, {}, (0.0,), True),
    "Lp 4": (variants.Lp, {"power": 4.0}, (0.0,), True),
    "Lp 3": (variants.Lp, {"power": 3.0}, None, False),
}
BY_HOOKS = {"HiddenReLU", "AbsoluteValue", "ResidualMLP"}


def test_the_table_has_every_variant() -> None:
    every = {name for name, kind in vars(variants).items() if isinstance(kind, type) and issubclass(kind, ToyModel)}
    assert every - {"ToyModel"} == {kind.__name__ for kind, *_ in VARIANTS.values()} | BY_HOOKS


@pytest.mark.parametrize("name", VARIANTS)
def test_the_cost_of_a_variant_is_known(name: str) -> None:
    kind, arguments, kinks, is_polynomial = VARIANTS[name]
    model = kind(n_features=3, n_instances=1, **arguments)
    cost = policy_of(model).cost
    if kinks is None:
        assert cost is None
        return
    assert cost is not None
    assert cost.kinks == pytest.approx(kinks, abs=1e-12)
    assert (cost.pieces is not None) == is_polynomial
    assert_is_the_models(cost, model)


@pytest.mark.parametrize("name", sorted(BY_HOOKS))
def test_a_variant_that_is_no_function_of_z_has_no_cost(name: str) -> None:
    model = getattr(variants, name)(n_features=3, n_instances=1)
    assert not isinstance(model.objective, Pointwise)


def test_the_posts_cost_is_what_its_trace_says() -> None:
    assert cost_of_model(model_of(torch.relu)).pieces == RELU


# Made up: sums and products of what has kinks.

ATOMS = st.sampled_from(
    ["z", "torch.relu(z)", "z.clamp(-1, 2)", "(z > 0.5).to(z)", "z.abs()", "F.hardtanh(z + 0.3)", "(z - 1).square()"]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.tuples(
        st.sampled_from(
            ["({0} + {1})", "({0} - 0.5 * {1})", "torch.where({0} > 0.4, {1}, {0})", "torch.maximum({0}, {1})"]
        ),
        inner,
        inner,
    ).map(lambda drawn: drawn[0].format(*drawn[1:])),
    max_leaves=3,
)


@pytest.mark.slow
@given(EXPRESSIONS)
@settings(max_examples=60, deadline=None, database=None)
def test_made_up_answers_cost_what_torch_says(expression: str) -> None:
    model = model_of(eval(f"lambda z: {expression} + 0 * z", {"torch": torch, "F": F}))
    assert_is_the_models(cost_of_model(model), model)
