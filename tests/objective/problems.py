"""Random weights, biases and data, what autograd makes of them, and how to do without the fused kernel."""

import pytest
import torch
from torch import Tensor

from src.objective import kernel
from src.objective.loss_and_gradient import reference_losses

# A few dozen float64 operations on numbers of order one, each right to 1e-16.
FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}
EPSILON = torch.finfo(torch.float32).eps


def without_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "serves", lambda *tensors: False)


def drawn(
    n_instances: int = 3,
    n_hidden: int = 2,
    n_features: int = 6,
    n_batch: int = 10,
    own: bool = False,
    p: float = 1.0,
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Random W and b, and an x that is active with probability p, each instance's own or the same for all."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    W, b = normal(n_instances, n_hidden, n_features), 0.3 * normal(n_instances, n_features)
    shape = (n_instances, n_batch, n_features) if own else (n_batch, n_features)
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    return W, b, x * (torch.rand(shape, generator=generator) < p)


def by_autograd(W: Tensor, b: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses, and gradients of their mean over features, summed over instances."""
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    losses = reference_losses(W, b, x)
    gradients = torch.autograd.grad(losses.mean(dim=-1).sum(), (W, b))
    return losses.detach(), *gradients


def away_from_the_kink(own: bool) -> tuple[Tensor, ...]:
    """W, b and x where a difference quotient with steps of 1e-6 crosses no kink."""
    W, b, x = drawn(n_instances=2, n_features=3, n_batch=4, own=own, seed=1)
    assert (x @ W.mT @ W + b.unsqueeze(-2)).abs().min() > 1e-3
    return W.requires_grad_(), b.requires_grad_(), x.requires_grad_()
