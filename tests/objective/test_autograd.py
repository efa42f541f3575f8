"""The loss and gradient of any toy model follow from the hooks that it changes."""

from typing import Any

import pytest
import torch

from src.data import SparseFeatures
from src.distributions.supports import SupportSizes
from src.model import ReLUOutputModel, ToyModel
from src.objective import loss_and_gradient
from src.objective.autograd import HOOKS, Autograd
from src.population.quadrature import summary
from tests.running import SMALL_VALIDATION, slow
from tests.variants import LeakyModel


def test_a_variant_with_its_own_decoder_is_trained_by_its_own_gradient() -> None:
    x = SparseFeatures().train_dataloader().draw(1)[0]
    model = LeakyModel(n_features=6, n_instances=2)
    model.objective.set_gradients(x)
    assert model.W.grad is not None
    W = model.W.detach().clone().requires_grad_()
    reconstruction = torch.nn.functional.leaky_relu(x @ W.mT @ W, 0.1)
    (x - reconstruction).square().mean(dim=(1, 2)).sum().backward()
    torch.testing.assert_close(model.W.grad, W.grad)
    plain = ReLUOutputModel(n_features=6, n_instances=2)
    plain.objective.set_gradients(x)
    assert not torch.allclose(model.W.grad, plain.W.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("hook", [*map(slow, sorted({*HOOKS} - {"error", "encode"})), "error", "encode"])
def test_a_variant_is_trained_by_what_its_own_hook_computes(hook: str) -> None:
    """A hook that changes nothing but a factor changes the gradient, whichever hook it is."""
    inherited = getattr(ReLUOutputModel, hook)

    def own(self: ToyModel, *arguments: Any) -> Any:
        return 1.5 * inherited(self, *arguments)

    x = torch.rand(5, 6)
    variant = type("Variant", (ReLUOutputModel,), {hook: own})(n_features=6)
    losses = variant.objective.set_gradients(x)
    torch.testing.assert_close(losses, variant.feature_losses(x).detach())
    by_autograd = torch.autograd.grad(variant.feature_losses(x).mean(dim=-1).sum(), (variant.W, variant.b))
    torch.testing.assert_close((variant.W.grad, variant.b.grad), by_autograd)
    plain = ReLUOutputModel(n_features=6)
    assert not torch.allclose(plain.objective.set_gradients(x), losses)
    assert not torch.allclose(plain.W.grad, variant.W.grad)  # type: ignore[arg-type]


def test_a_variant_that_only_weighs_features_keeps_the_fused_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    class Weighted(ReLUOutputModel):
        def feature_losses(self, x: Any, weights: Any = None) -> Any:
            return torch.arange(6) * super().feature_losses(x, weights)

    calls = []
    original = loss_and_gradient.losses_and_gradients
    monkeypatch.setattr(
        loss_and_gradient, "losses_and_gradients", lambda *a, **k: calls.append(a[4]) or original(*a, **k)
    )
    model = Weighted(n_features=6)
    model.objective.set_gradients(torch.rand(5, 6))
    torch.testing.assert_close(calls, [torch.arange(6).unsqueeze(0) / 6])  # the importances
    assert torch.equal(model.b.grad[0, 0], torch.zeros(()))  # type: ignore[index]


def test_weights_in_the_loss_are_those_of_a_mean() -> None:
    model = LeakyModel(n_features=6, n_instances=2)
    x = torch.rand(4, 6)
    torch.testing.assert_close(model.feature_losses(x, torch.full((4,), 0.25)), model.feature_losses(x))


def test_a_large_stack_is_evaluated_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LeakyModel(n_features=11, n_instances=7)
    population = SparseFeatures(n_features=11, validation_size=SMALL_VALIDATION).population
    whole = model.losses_over(population)
    monkeypatch.setattr("src.objective.autograd.MAX_ENTRIES", 7 * 11 * SMALL_VALIDATION // 60)
    for value, expected in zip(model.losses_over(population)[:3], whole[:3], strict=True):
        torch.testing.assert_close(value, expected)


def test_a_variant_is_integrated_in_double_precision_and_left_as_it_was() -> None:
    model = LeakyModel(n_features=3)
    seen: list[torch.dtype] = []
    model.register_buffer("offset", torch.zeros(3))
    original = model.decode
    model.decode = lambda h: (seen.extend([h.dtype, model.offset.dtype]), original(h))[1]  # type: ignore[method-assign]
    before = model.W.detach().clone()
    losses = Autograd(model).losses_over(SupportSizes.independent(3, 0.1))
    assert set(seen) == {torch.float64}
    assert losses.loss.dtype == torch.float64
    assert (model.W.dtype, model.offset.dtype) == (torch.float32, torch.float32)
    assert torch.equal(model.W, before)


class Offset(LeakyModel):
    """A buffer with an instance axis."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.register_buffer("offset", torch.linspace(0, 1, self.n_instances).view(-1, 1, 1))

    def decode(self, h: torch.Tensor) -> torch.Tensor:
        return super().decode(h) + self.offset


@pytest.mark.parametrize("kind", [LeakyModel, Offset])
def test_some_instances_have_the_losses_that_they_have_among_all(kind: type[ToyModel]) -> None:
    model, seen = kind(n_features=6, n_instances=5), []
    original = model.encode
    model.encode = lambda x: (seen.append(len(model.W)), original(x))[1]  # type: ignore[method-assign]
    x, objective = torch.rand(8, 6), Autograd(model)
    torch.testing.assert_close(objective.losses(x, None, [3, 1]), objective.losses(x)[[3, 1]])
    assert (2 in seen) == (kind is LeakyModel)
    assert len(model.W) == 5


def test_a_step_on_weighted_nodes_has_the_gradient_of_their_weighted_loss() -> None:
    nodes = summary(SupportSizes.independent(6, 0.2))
    x, weights = nodes.x.float(), nodes.weights.float()
    for kind in (ReLUOutputModel, LeakyModel):
        model = kind(n_features=6, n_instances=2)
        losses = model.objective.set_gradients(x, weights=weights)
        expected = model.feature_losses(x, weights)
        gradient = torch.autograd.grad(expected.mean(dim=-1).sum(), [model.W, model.b])
        torch.testing.assert_close(losses, expected.detach())
        for parameter, own in zip((model.W, model.b), gradient, strict=True):
            torch.testing.assert_close(parameter.grad, own, rtol=1e-4, atol=1e-7)
