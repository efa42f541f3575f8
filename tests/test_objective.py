"""The closed form of the gradient against autograd, and the loss against plain loops."""

import pytest
import torch
from torch import Tensor

from src import objective
from src.objective import feature_losses, losses_and_gradients, weighted_feature_losses

# A few dozen float64 operations on numbers of order one, each right to 1e-16.
FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}


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
    losses = feature_losses(W, b, x)
    gradients = torch.autograd.grad(losses.mean(dim=-1).sum(), (W, b))
    return losses.detach(), *gradients


def away_from_the_kink(own: bool) -> tuple[Tensor, ...]:
    """W, b and x where a difference quotient with steps of 1e-6 crosses no kink."""
    W, b, x = drawn(n_instances=2, n_features=3, n_batch=4, own=own, seed=1)
    assert (x @ W.mT @ W + b.unsqueeze(-2)).abs().min() > 1e-3
    return W.requires_grad_(), b.requires_grad_(), x.requires_grad_()


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
    torch.testing.assert_close(feature_losses(W, b, x), losses, **FLOAT64)


def test_a_perfect_reconstruction_costs_nothing() -> None:
    x = drawn(n_features=2)[2]
    W, b = torch.eye(2, dtype=torch.float64).unsqueeze(0), torch.zeros(1, 2, dtype=torch.float64)
    assert torch.equal(feature_losses(W, b, x), torch.zeros(1, 2, dtype=torch.float64))


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_derivative_of_the_loss_is_right_away_from_the_kink(own: bool) -> None:
    inputs = away_from_the_kink(own)
    # The quotient's own error is the roundoff over its step of 1e-6, about 1e-9.
    assert torch.autograd.gradcheck(feature_losses, inputs, eps=1e-6, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_second_derivative_of_the_loss_is_right_away_from_the_kink(own: bool) -> None:
    inputs = away_from_the_kink(own)
    # As above, with gradients in place of losses.
    assert torch.autograd.gradgradcheck(feature_losses, inputs, eps=1e-6, atol=1e-8, rtol=1e-6)


# The closed form


@pytest.mark.parametrize("p", [1.0, 0.2], ids=["dense", "sparse"])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("n_batch", [1, 10])
@pytest.mark.parametrize("n_features", [1, 2, 6, 7])
@pytest.mark.parametrize("n_hidden", [1, 2, 5])
@pytest.mark.parametrize("n_instances", [1, 3, 17])
def test_the_closed_form_is_what_autograd_gives(
    n_instances: int, n_hidden: int, n_features: int, n_batch: int, own: bool, p: float
) -> None:
    W, b, x = drawn(n_instances, n_hidden, n_features, n_batch, own, p)
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.parametrize("bias", [-0.5, 0.0, 0.5], ids=["off", "at the kink", "on"])
def test_a_feature_without_a_column_has_autograds_gradient(bias: float) -> None:
    W, b, x = drawn()
    W[:, :, ::2] = 0
    b[:, ::2] = bias
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_a_batch_with_empty_rows_has_autograds_gradient(own: bool) -> None:
    W, b, x = drawn(own=own)
    x[..., 1::2, :] = 0
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.parametrize("n_instances", [3, 17])
def test_a_batch_of_empty_rows_pulls_at_the_bias_alone(n_instances: int) -> None:
    W, b, x = drawn(n_instances)
    losses, W_gradient, b_gradient = losses_and_gradients(W, b, torch.zeros_like(x))
    assert torch.equal(W_gradient, torch.zeros_like(W))
    # x' = ReLU(b): the loss of a feature is its square; the mean over six features has the derivative 2 x' / 6.
    torch.testing.assert_close(losses, b.relu().square(), **FLOAT64)
    torch.testing.assert_close(b_gradient, b.relu() / 3, **FLOAT64)


def test_at_the_kink_the_gradient_is_zero() -> None:
    """With W = 0 and b = 0 every z is exactly 0, where ReLU has no derivative; both take it as 0."""
    x = drawn()[2]
    W, b = torch.zeros(3, 2, 6, dtype=torch.float64), torch.zeros(3, 6, dtype=torch.float64)
    for gradient in (*losses_and_gradients(W, b, x)[1:], *by_autograd(W, b, x)[1:]):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_at_the_kink_of_one_feature_only_its_bias_stays() -> None:
    W, b, x = drawn()
    W[:, :, 2], b[:, 2] = 0, 0
    b_gradient = losses_and_gradients(W, b, x)[2]
    assert (b_gradient != 0).sum(dim=0).tolist() == [3, 3, 0, 3, 3, 3]


def test_in_single_precision_the_gradient_is_right_to_single_precision() -> None:
    W, b, x = drawn(own=True)
    exact = losses_and_gradients(W, b, x)
    # Sums of ten products, each right to 6e-8, of numbers up to 10.
    single = tuple(tensor.double() for tensor in losses_and_gradients(W.float(), b.float(), x.float()))
    torch.testing.assert_close(single, exact, rtol=1e-5, atol=1e-5)


def test_the_closed_form_leaves_no_graph() -> None:
    W, b, x = drawn()
    results = losses_and_gradients(W.requires_grad_(), b.requires_grad_(), x)
    assert not any(result.requires_grad for result in results)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_inputs_are_left_as_they_were(own: bool) -> None:
    inputs = drawn(own=own)
    before = tuple(tensor.clone() for tensor in inputs)
    losses_and_gradients(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


# The instance axis


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_an_instance_does_not_feel_what_its_neighbours_hold(own: bool) -> None:
    W, b, x = (tensor.float() for tensor in drawn(n_instances=17, own=own))
    before = losses_and_gradients(W, b, x)
    W[:5], W[6:], b[:5], b[6:] = torch.nan, 100, torch.nan, 100
    after = losses_and_gradients(W, b, x)
    assert all(torch.equal(a[5], b[5]) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_an_instance_alone_is_what_it_is_in_a_stack(own: bool) -> None:
    W, b, x = (tensor.float() for tensor in drawn(n_instances=17, own=own))
    in_stack = losses_and_gradients(W, b, x)
    for i in range(17):
        alone = losses_and_gradients(W[i : i + 1], b[i : i + 1], x[i : i + 1] if own else x)
        # A stack of another size may be summed in another order, which costs a few roundings of 6e-8.
        torch.testing.assert_close(tuple(r[0] for r in alone), tuple(r[i] for r in in_stack), rtol=1e-6, atol=1e-6)


def test_instances_with_the_same_data_of_their_own_are_as_with_shared_data() -> None:
    W, b, x = drawn()
    own = losses_and_gradients(W, b, x.expand(3, -1, -1).contiguous())
    torch.testing.assert_close(own, losses_and_gradients(W, b, x), **FLOAT64)


@pytest.mark.parametrize("n_hidden", [1, 2, 5])
@pytest.mark.parametrize("cache", [1, 40, 100, 10_000])
def test_a_stack_in_parts_is_the_stack_in_one(cache: int, n_hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    W, b, x = drawn(n_instances=33, n_hidden=n_hidden, p=0.3)
    monkeypatch.setattr(objective, "CACHE_ENTRIES", cache)
    torch.testing.assert_close(losses_and_gradients(W, b, x), by_autograd(W, b, x), **FLOAT64)


@pytest.mark.parametrize(("cache", "n_examples"), [(1, 3), (40, 3), (40, 10), (10_000, 1000)])
@pytest.mark.parametrize("n_instances", [1, 33])
def test_weighted_losses_are_those_of_the_examples_one_by_one(
    cache: int, n_examples: int, n_instances: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    W, b, x = drawn(n_instances, p=0.5)
    weights = torch.linspace(0, 2, len(x), dtype=torch.float64)
    monkeypatch.setattr(objective, "CACHE_ENTRIES", cache)
    monkeypatch.setattr(objective, "N_EXAMPLES", n_examples)
    one_by_one = sum(
        weight * feature_losses(W, b, example.unsqueeze(0)) for weight, example in zip(weights, x, strict=True)
    )
    torch.testing.assert_close(weighted_feature_losses(W, b, x, weights), one_by_one, **FLOAT64)
