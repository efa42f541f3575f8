"""The reference against plain loops, and both implementations, fused and in closed form, against the reference."""

import pytest
import torch

from src.objective import tensors
from src.objective.loss_and_gradient import losses_and_gradients, reference_losses
from tests.objective.problems import EPSILON, FLOAT64, away_from_the_kink, by_autograd, drawn, without_fused

# The loss


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_loss_is_the_one_that_plain_loops_give(own: bool) -> None:
    W, b, x = drawn(n_instances=2, n_hidden=3, n_features=4, n_batch=5, own=own)
    losses = torch.zeros(2, 4, dtype=torch.float64)
    for instance in range(2):
        columns, bias = W[instance].T.tolist(), b[instance].tolist()
        batch = (x[instance] if own else x).tolist()
        for example in batch:
            hidden = [sum(example[j] * columns[j][m] for j in range(4)) for m in range(3)]
            for i in range(4):
                z = sum(columns[i][m] * hidden[m] for m in range(3)) + bias[i]
                losses[instance, i] += (example[i] - max(z, 0.0)) ** 2 / len(batch)
    torch.testing.assert_close(reference_losses(W, b, x), losses, **FLOAT64)


def test_a_perfect_reconstruction_costs_nothing() -> None:
    x = drawn(n_features=2)[2]
    W, b = torch.eye(2, dtype=torch.float64).unsqueeze(0), torch.zeros(1, 2, dtype=torch.float64)
    assert torch.equal(reference_losses(W, b, x), torch.zeros(1, 2, dtype=torch.float64))


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_derivative_of_the_loss_is_right_away_from_the_kink(own: bool) -> None:
    inputs = away_from_the_kink(own)
    # The quotient's own error is the roundoff over its step of 1e-6, about 1e-9.
    assert torch.autograd.gradcheck(reference_losses, inputs, eps=1e-6, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_second_derivative_of_the_loss_is_right_away_from_the_kink(own: bool) -> None:
    inputs = away_from_the_kink(own)
    # As above, with gradients in place of losses.
    assert torch.autograd.gradgradcheck(reference_losses, inputs, eps=1e-6, atol=1e-8, rtol=1e-6)


# Both implementations


@pytest.mark.parametrize("p", [1.0, 0.2], ids=["dense", "sparse"])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("n_batch", [1, 10])
@pytest.mark.parametrize("n_features", [1, 6, 17])
@pytest.mark.parametrize("n_hidden", [1, 2, 5])
@pytest.mark.parametrize("n_instances", [1, 3, 17])
def test_losses_and_gradients_are_what_autograd_gives(
    n_instances: int, n_hidden: int, n_features: int, n_batch: int, own: bool, p: float, implementation: str
) -> None:
    W, b, x = drawn(n_instances, n_hidden, n_features, n_batch, own, p)
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


def test_more_hidden_dimensions_than_the_fused_implementation_takes(implementation: str) -> None:
    W, b, x = drawn(n_hidden=20, n_features=30)
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.parametrize("bias", [-0.5, 0.0, 0.5], ids=["off", "at the kink", "on"])
@pytest.mark.parametrize("n_features", [6, 20])
def test_a_feature_without_a_column_has_autograds_gradient(n_features: int, bias: float, implementation: str) -> None:
    W, b, x = drawn(n_features=n_features)
    W[:, :, ::2] = 0
    b[:, ::2] = bias
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("n_features", [6, 20])
def test_a_batch_with_empty_rows_has_autograds_gradient(n_features: int, own: bool, implementation: str) -> None:
    W, b, x = drawn(n_features=n_features, own=own)
    x[..., 1::2, :] = 0
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.parametrize("n_instances", [3, 17])
@pytest.mark.parametrize("n_features", [6, 20])
def test_a_batch_of_empty_rows_pulls_at_the_bias_alone(n_instances: int, n_features: int, implementation: str) -> None:
    W, b, x = drawn(n_instances, n_features=n_features)
    losses, W_gradient, b_gradient = losses_and_gradients(W, b, torch.zeros_like(x))
    assert torch.equal(W_gradient, torch.zeros_like(W))
    # x' = ReLU(b): the loss of a feature is its square; the mean over n features has the derivative 2 x' / n.
    torch.testing.assert_close(losses, b.relu().square(), **FLOAT64)
    torch.testing.assert_close(b_gradient, 2 * b.relu() / n_features, **FLOAT64)


@pytest.mark.parametrize("n_features", [6, 20])
def test_at_the_kink_the_gradient_is_zero(n_features: int, implementation: str) -> None:
    """With W = 0 and b = 0 every z is exactly 0, where ReLU has no derivative; both take it as 0."""
    x = drawn(n_features=n_features)[2]
    W, b = torch.zeros(3, 2, n_features, dtype=torch.float64), torch.zeros(3, n_features, dtype=torch.float64)
    for gradient in (*losses_and_gradients(W, b, x)[1:], *by_autograd(W, b, x)[1:]):
        assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("n_features", [6, 20])
@pytest.mark.parametrize("n_active", [1, 2])
def test_a_tie_at_the_kink_is_decided_as_autograd_does(n_features: int, n_active: int, implementation: str) -> None:
    """Powers of two, so that every z is exact and z = 0 a true tie, in an example's own feature and in others."""
    W, b = torch.zeros(1, 2, n_features), torch.full((1, n_features), -0.5)
    W[0, 0, :2], W[0, 1, 2:4] = torch.tensor([1.0, -1.0]), torch.tensor([1.0, 1.0])
    x = torch.zeros(8, n_features)
    x[:, :n_active] = torch.tensor([0.25, 0.5, 0.75, 1.0]).repeat(2).unsqueeze(1)
    x[4:] = x[4:].roll(2, dims=1)
    assert ((x @ W.mT @ W + b.unsqueeze(1)) == 0).sum() >= 2
    results = losses_and_gradients(W, b, x)
    # All sums are exact but for the division by the number of features.
    torch.testing.assert_close(results, by_autograd(W, b, x), rtol=2 * EPSILON, atol=0)


def test_at_the_kink_of_one_feature_only_its_bias_stays(implementation: str) -> None:
    W, b, x = drawn()
    W[:, :, 2], b[:, 2] = 0, 0
    b_gradient = losses_and_gradients(W, b, x)[2]
    assert (b_gradient != 0).sum(dim=0).tolist() == [3, 3, 0, 3, 3, 3]


@pytest.mark.parametrize("n_hidden", [1, 2, 5])
@pytest.mark.parametrize(("cache", "n_examples"), [(1, 3), (40, 3), (100, 10), (10_000, 1000)])
@pytest.mark.parametrize("n_instances", [1, 33])
def test_a_stack_in_parts_is_the_stack_in_one(
    n_instances: int, cache: int, n_examples: int, n_hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_fused(monkeypatch)
    monkeypatch.setattr(tensors, "CACHE_ENTRIES", cache)
    monkeypatch.setattr(tensors, "N_EXAMPLES", n_examples)
    W, b, x = drawn(n_instances, n_hidden=n_hidden, p=0.3)
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("n_instances", [3, 100])
def test_a_gpu_gives_the_same(n_instances: int, own: bool) -> None:
    inputs = drawn(n_instances, n_batch=100, own=own, p=0.2)
    results = losses_and_gradients(*(tensor.cuda() for tensor in inputs))
    torch.testing.assert_close(tuple(result.cpu() for result in results), by_autograd(*inputs), **FLOAT64)
