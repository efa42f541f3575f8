"""A model's pointwise hooks, written out in C++, are what PyTorch computes: the term and its slope, kinks included."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.objective.policies import policy_of
from src.objective.tracing import TracingError
from tests.objective.terms import Term, by_torch, compiled, model_of

N_POINTS = 2000
# Against torch's own error in float32, and in float64 against torch itself, which rounds at other places.
TIMES, ROUNDINGS = 8, {torch.float32: 8, torch.float64: 32}
TORCHS_OWN = {("gelu", torch.float32)}  # whose vectors make NaN of +infinity, and its single numbers infinity
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan]
KINKS = [-3.0, -1.0, -0.5, 0.1, 0.5, 1.0, 3.0, 6.0, 20.0]


def assigned(z: Tensor) -> Tensor:
    z[z < 0] = 0
    return z


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "arctangent": torch.atan,
    "assignment": assigned,
    "ceil": lambda z: z * torch.ceil(z),
    "clamp": lambda z: z.clamp(0, 1),
    "cosine": torch.cos,
    "elu": F.elu,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "finite alone": lambda z: torch.where(torch.isfinite(z), z, 0.0),
    "floor": lambda z: z - torch.floor(z),
    "gelu": F.gelu,
    "gelu by tanh": lambda z: F.gelu(z, approximate="tanh"),
    "hard shrink": F.hardshrink,
    "hard tanh": F.hardtanh,
    "in place": torch.relu_,
    "inverse root": lambda z: z * torch.rsqrt(1 + z * z),
    "jump": lambda z: z * (z > 0.1),
    "leaky": lambda z: F.leaky_relu(z, 0.1),
    "log": lambda z: torch.log(1 + z.abs()),
    "log 2": lambda z: torch.log2(1 + z * z),
    "log cosh by hand": lambda z: z.abs() + F.softplus(-2 * z.abs()),
    "log sigmoid": F.logsigmoid,
    "log sum": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
    "log1p": lambda z: torch.log1p(z.abs()),
    "made up": lambda z: z * torch.tanh(z) + 0.3 * z**3,
    "maximum": lambda z: torch.maximum(z, torch.full_like(z, 0.5)),
    "minimum": lambda z: torch.minimum(z, torch.full_like(z, 0.5)),
    "mish": F.mish,
    "number as a tensor": lambda z: torch.where(z > 0, z, torch.tensor(0.1)),
    "power": lambda z: torch.relu(z) ** 1.5,
    "reciprocal": lambda z: 1 / (1 + z * z),
    "relu": torch.relu,
    "relu 6": F.relu6,
    "root": lambda z: torch.sqrt(1 + z * z),
    "round": lambda z: z * torch.round(z),
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sine": torch.sin,
    "soft shrink": F.softshrink,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "squared relu": lambda z: torch.relu(z) ** 2,
    "straight through": lambda z: z + (torch.sign(z) - z).detach(),
    "tangent": lambda z: torch.tan(0.3 * z),
    "tanh": torch.tanh,
    "tests joined": lambda z: torch.where((z > -1) & (z < 1) | (z > 3), z, 0.0),
    "trunc": lambda z: z * torch.trunc(z),
}
ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "fourth power": lambda x, y: (x - y).pow(4),
    "absolute": lambda x, y: (x - y).abs(),
    "another power": lambda x, y: (x - y).abs().pow(2.5),
    "huber": lambda x, y: F.huber_loss(y, x, reduction="none", delta=0.3),
    "cross entropy": lambda x, y: F.binary_cross_entropy_with_logits(y, x, reduction="none"),
}
MODELS = {
    **{name: model_of(function) for name, function in FUNCTIONS.items()},
    **{name: model_of(torch.relu, error) for name, error in ERRORS.items()},
}


@pytest.fixture(scope="module")
def terms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Term]:
    return dict(zip(MODELS, compiled(list(MODELS.values()), tmp_path_factory.mktemp("terms")), strict=True))


def assert_as_exact_as_torch(term: Term, model: Any, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    z = (3 * torch.randn(N_POINTS, generator=generator, dtype=torch.float64)).to(dtype)
    x = torch.rand(N_POINTS, generator=generator, dtype=torch.float64).to(dtype)
    exact = by_torch(model, z.double(), x.double())
    for found, torchs, right in zip(term(z, x), by_torch(model, z, x), exact, strict=True):
        largest = float(right.abs().max())
        allowed = TIMES * (torchs - right).abs().max() + ROUNDINGS[dtype] * torch.finfo(dtype).eps * largest
        assert (found - right).abs().max() <= allowed


def test_every_policy_is_as_exact_as_torch(terms: dict[str, Term]) -> None:
    for name, term in terms.items():
        for dtype in (torch.float32, torch.float64):
            assert_as_exact_as_torch(term, MODELS[name], dtype)


def test_kinks_infinities_zeros_and_no_number_are_torchs(terms: dict[str, Term]) -> None:
    for name, term in terms.items():
        for dtype in (torch.float32, torch.float64):
            z = torch.tensor([*SPECIAL, *KINKS, *(-k for k in KINKS)], dtype=dtype).repeat(2)
            x = torch.cat([torch.zeros(len(z) // 2), torch.full((len(z) // 2,), 0.5)]).to(dtype)
            if (name, dtype) in TORCHS_OWN:
                z, x = z[z != math.inf], x[z != math.inf]
            for found, right in zip(term(z, x), by_torch(MODELS[name], z, x), strict=True):
                torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5, equal_nan=True, msg=f"{name}, {dtype}")


# Pointwise expressions of z that stay of order one, so that neither side loses more than a few digits.
UNARY = (
    "torch.relu({0})", "torch.tanh({0})", "torch.sigmoid({0})", "torch.sin({0})", "torch.cos({0})", "torch.erf({0})",
    "F.softplus({0})", "F.gelu({0})", "F.silu({0})", "F.leaky_relu({0}, 0.2)", "F.hardtanh({0})", "F.elu({0})",
    "({0}).abs()", "(-({0}))", "torch.atan({0})", "torch.tanh({0}).square()", "torch.log1p(({0}).abs())",
    "torch.exp(-({0}).square())", "({0}).clamp(-1, 2)", "torch.sqrt(1 + ({0}).square())",
)  # fmt: skip
BINARY = (
    "({0}) + ({1})", "({0}) - ({1})", "torch.tanh({0}) * ({1})", "torch.maximum({0}, {1})", "torch.minimum({0}, {1})",
    "torch.where(({0}) > ({1}), {0}, 0.5 * ({1}))", "({0}) / (1 + ({1}).square())", "({0}) * (({1}) > 0.1)",
)  # fmt: skip
LEAVES = st.sampled_from(["z", "z", "2 * z", "(z - 0.3)", "torch.full_like(z, 0.7)"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.tuples(st.sampled_from(UNARY), inner).map(lambda pair: pair[0].format(pair[1]))
    two = st.tuples(st.sampled_from(BINARY), inner, inner).map(lambda drawn: drawn[0].format(*drawn[1:]))
    return one | two


# Without a search for a smaller example, which would compile for minutes.
ANY: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
EXPRESSIONS = st.recursive(LEAVES, _grown, max_leaves=5)


def assert_expressions_are_as_exact_as_torch(expressions: list[str], folder: Path) -> None:
    models = [model_of(eval(f"lambda z: {text} + 0 * z", {"torch": torch, "F": F})) for text in expressions]
    for model, term in zip(models, compiled(models, folder), strict=True):
        for dtype in (torch.float32, torch.float64):
            assert_as_exact_as_torch(term, model, dtype)


@pytest.mark.slow
@given(st.lists(EXPRESSIONS, min_size=25, max_size=25, unique=True))
@settings(max_examples=13, phases=[Phase.generate], **ANY)
def test_made_up_expressions(tmp_path_factory: pytest.TempPathFactory, expressions: list[str]) -> None:
    assert_expressions_are_as_exact_as_torch(expressions, tmp_path_factory.mktemp("made_up"))


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.sign(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient


OTHER = torch.ones(6)


@pytest.mark.parametrize(
    ("activate", "reason"),
    [
        (lambda z: torch.softmax(z, dim=-1), "takes softmax"),
        (lambda z: z - z.mean(), "takes mean"),
        (lambda z: z - z.mean(dim=-2, keepdim=True), "takes mean"),
        (lambda z: z.cumsum(dim=-1), "takes cumsum"),
        (lambda z: z.flip(-1), "takes flip"),
        (lambda z: z + torch.rand_like(z), "takes rand_like"),
        (lambda z: F.dropout(z, training=True), "takes"),
        (lambda z: z if z.max() > 0 else -z, "decides on its data"),
        (lambda z: z * z.max().item(), "takes a number out of its data"),
        (lambda z: z * OTHER, "uses a tensor that it is not given"),
        (lambda z: z.double().exp().float(), "takes torch.float64"),
        (lambda z: z / z.shape[-2], "depends on the number of examples"),
        (Straight.apply, "is an autograd.Function"),
        (torch.special.i0, "takes"),
    ],
)
def test_what_is_not_pointwise_is_refused_by_name(activate: Callable[[Tensor], Tensor], reason: str) -> None:
    with pytest.raises(TracingError, match=reason):
        policy_of(model_of(activate))


def test_a_parameter_in_a_hook_is_refused_by_name() -> None:
    model = model_of(lambda z: z * model.b[0, 0])
    with pytest.raises(TracingError, match="uses b"):
        policy_of(model)


def test_the_same_hooks_make_the_same_policy() -> None:
    assert policy_of(MODELS["gelu"]).text == policy_of(model_of(F.gelu)).text
    assert policy_of(MODELS["gelu"]).text != policy_of(MODELS["mish"]).text
