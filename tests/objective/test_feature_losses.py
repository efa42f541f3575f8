"""The differentiable operation against the reference: values, derivatives and training."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from src.objective.loss_and_gradient import feature_losses, reference_losses
from tests.objective.problems import FLOAT64, away_from_the_kink, drawn
from tests.running import slow


def test_the_operation_has_the_references_value_and_derivatives(implementation: str) -> None:
    inputs = away_from_the_kink(own=False)[:2]
    x, weights = drawn(n_instances=2, n_features=3, n_batch=4, seed=1)[2], torch.tensor([0.1, 0.4, 0.3, 0.2]).double()

    def losses(W: Tensor, b: Tensor) -> Tensor:
        return feature_losses(W, b, x, weights)

    torch.testing.assert_close(losses(*inputs), reference_losses(*inputs, x, weights), **FLOAT64)
    # As for the reference.
    assert torch.autograd.gradcheck(losses, inputs, eps=1e-6, atol=1e-8, rtol=1e-6)
    assert torch.autograd.gradgradcheck(losses, inputs, eps=1e-6, atol=1e-8, rtol=1e-6)


def test_the_operation_differentiates_what_is_asked_for(implementation: str) -> None:
    W, b, x = drawn()
    W.requires_grad_()
    gradient = torch.autograd.grad(feature_losses(W, b, x)[:, 0].sum(), W, create_graph=True)[0]
    assert gradient.requires_grad
    torch.testing.assert_close(gradient, torch.autograd.grad(reference_losses(W, b, x)[:, 0].sum(), W)[0], **FLOAT64)


def test_the_operation_differentiates_in_the_data_too() -> None:
    inputs = drawn()
    x, reference_x = (inputs[2].clone().requires_grad_() for _ in range(2))
    feature_losses(*inputs[:2], x).sum().backward()
    reference_losses(*inputs[:2], reference_x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, reference_x.grad)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch.func's own use of it
def test_the_operation_serves_the_transforms_of_torch_func() -> None:
    W, b, x = drawn(n_instances=1, n_features=3)
    hessians = [
        torch.func.hessian(lambda W, losses=losses: losses(W, b, x).sum())(W)  # type: ignore[misc]
        for losses in (feature_losses, reference_losses)
    ]
    torch.testing.assert_close(*hessians, **FLOAT64)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=1.0),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-3),
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01),
}


@pytest.mark.parametrize("n_features", [6, 20])
@pytest.mark.parametrize("name", [slow("RMSprop"), slow("Adam"), "SGD", "AdamW"])
def test_a_hundred_steps_side_by_side_stay_together(name: str, n_features: int, implementation: str) -> None:
    W, b, _ = drawn(n_instances=9, n_features=n_features, seed=3)
    start = 0.4 * W
    models = [[torch.nn.Parameter(start.clone()), torch.nn.Parameter(0.0 * b)] for _ in range(2)]
    optimizers = [OPTIMIZERS[name](model) for model in models]
    for step in range(100):
        x = drawn(n_features=n_features, n_batch=64, p=0.2, seed=step)[2]
        for (W, b), optimizer, losses in zip(models, optimizers, (feature_losses, reference_losses), strict=True):
            optimizer.zero_grad()
            losses(W, b, x).mean(dim=-1).sum().backward()
            optimizer.step()
    assert not torch.allclose(models[0][0], start, atol=1e-2)
    # A gradient's error of 1e-16 is magnified where Adam divides by a gradient that is nearly zero.
    torch.testing.assert_close(models[0], models[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_instances", [1, 33])
def test_weighted_losses_are_those_of_the_examples_one_by_one(n_instances: int, implementation: str) -> None:
    W, b, x = drawn(n_instances, p=0.5)
    weights = torch.linspace(0, 2, len(x), dtype=torch.float64)
    one_by_one = sum(
        weight * reference_losses(W, b, example.unsqueeze(0)) for weight, example in zip(weights, x, strict=True)
    )
    torch.testing.assert_close(feature_losses(W, b, x, weights), one_by_one, **FLOAT64)
