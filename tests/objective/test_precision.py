"""Random shapes in double precision, and how few roundings single precision costs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from src.objective import build, loss_and_gradient
from src.objective.loss_and_gradient import feature_losses, losses_and_gradients, reference_losses
from tests.objective.problems import EPSILON, FLOAT64, drawn


def assert_single_precision(
    W: Tensor,
    b: Tensor,
    x: Tensor,
    weights: Tensor | None = None,
    importance: Tensor | None = None,
    is_sparse: bool = False,
    n_roundings: int = 6,
) -> None:
    """Float32 results are those of float64, on the same numbers, to a few roundings of the sums' terms."""
    W, b, x = (t.detach().float() for t in (W, b, x))
    weights, importance = (None if t is None else t.float() for t in (weights, importance))
    given = W, b, x.to_sparse() if is_sparse else x, weights, importance
    results = losses_and_gradients(*given)
    assert torch.equal(loss_and_gradient.losses_alone(*given[:4]).isfinite(), results[0].isfinite())
    exact = losses_and_gradients(*(None if t is None else t.double() for t in given))  # type: ignore[arg-type]
    # The formulas with the absolute value of every term: what roundings are relative to.
    W_size, b_size = W.abs().double(), b.abs().double().unsqueeze(1)
    c = importance.double().unsqueeze(1) if importance is not None else 1 / x.shape[-1]
    w = weights.double() if weights is not None else torch.full((x.shape[-2],), 1 / x.shape[-2], dtype=torch.float64)
    x = x.double()
    h = x @ W_size.mT
    error = h @ W_size + b_size + x
    g = 2 * c * w.unsqueeze(-1) * error
    scales = (w.unsqueeze(-1) * error.square()).sum(dim=1), h.mT @ g + (g @ W_size.mT).mT @ x, g.sum(dim=1)
    for single, double, scale in zip(results, exact, scales, strict=True):
        # m operations to h, as many to z, about four more; of a sum's many roundings most cancel.
        assert ((single - double).abs() <= (n_roundings + W.shape[1]) * EPSILON * scale).all()


@pytest.mark.parametrize("seed", range(40))
def test_random_shapes_agree(seed: int, implementation: str) -> None:
    """Sizes around vector widths, tiles and panels; weights, importances and sparse tensors as they come."""
    generator = torch.Generator().manual_seed(seed)

    def one_of(*choices: Any) -> Any:
        return choices[int(torch.randint(len(choices), (1,), generator=generator))]

    n_features = one_of(1, 2, 6, 15, 16, 17, 31, 100, 511, 512, 513, 1100)
    n_instances = one_of(1, 2, 7, 8, 9, 33) if n_features < 100 else one_of(1, 3)
    own, is_sparse = one_of((False, False), (True, False), (False, True))
    W, b, x = drawn(
        n_instances, one_of(1, 2, 3, 16), n_features, one_of(1, 4, 33, 150, 300), own, one_of(0.01, 0.2), seed
    )
    weights = one_of(None, torch.rand(x.shape[-2], dtype=torch.float64, generator=generator))
    importance = torch.rand(b.shape, dtype=torch.float64, generator=generator)
    W.requires_grad_(), b.requires_grad_()
    losses = reference_losses(W, b, x, weights)
    gradients = torch.autograd.grad(losses, (W, b), importance)
    results = losses_and_gradients(W, b, x.to_sparse() if is_sparse else x, weights, importance)
    torch.testing.assert_close(results, (losses.detach(), *gradients), **FLOAT64)
    torch.testing.assert_close(feature_losses(W, b, x, weights), losses, **FLOAT64)
    assert_single_precision(W, b, x, weights, importance, is_sparse)


@pytest.mark.parametrize("p", [0.05, 1.0], ids=["sparse", "dense"])
@pytest.mark.parametrize("n_features", [6, 100])
def test_in_single_precision_the_error_is_a_few_roundings(n_features: int, p: float, implementation: str) -> None:
    assert_single_precision(*drawn(9, n_features=n_features, n_batch=1000, p=p))


@pytest.mark.parametrize("n_active", [1, 2])
@pytest.mark.parametrize("n_features", [6, 17])
def test_rounding_errors_do_not_grow_with_the_number_of_examples(n_features: int, n_active: int) -> None:
    """Sixty thousand times the same example, whose roundings all go the same way."""
    if build.library() is None:
        pytest.skip("there is no C++ compiler")
    W, b, _ = drawn(2, n_features=n_features)
    x = torch.zeros(2**16, n_features)
    x[:, :n_active] = 0.7
    # At most the 128 of a panel, each half a unit of what has been added up until then: a quarter of a unit on average.
    assert_single_precision(W, b, x, n_roundings=32)
