"""The reference against plain loops, and both implementations, fused and in closed form, against the reference."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from src.objective import build, kernel, loss_and_gradient, tensors
from src.objective.loss_and_gradient import feature_losses, losses_and_gradients, reference_losses

# A few dozen float64 operations on numbers of order one, each right to 1e-16.
FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}
EPSILON = torch.finfo(torch.float32).eps


def without_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "serves", lambda W: False)


@pytest.fixture(params=["fused", "closed form"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which implementation `losses_and_gradients` uses in the test."""
    if request.param == "closed form":
        without_fused(monkeypatch)
    elif build.library() is None:
        pytest.skip("there is no C++ compiler")
    return request.param


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


def test_shapes_and_devices_that_do_not_fit_are_refused() -> None:
    """The fused implementation would read and write beyond the tensors. (Under pytest the annotations check first.)"""
    W, b, x = drawn()
    weights, out = torch.ones(10).double(), torch.empty(3, 6).double()
    bad_x = x[:, :5], x.repeat(1, 2), x.unsqueeze(0), x.expand(4, -1, -1), x[0], x[:0], x.expand(3, -1, -1).to_sparse()
    for bad in bad_x:
        with pytest.raises(ValueError, match=r"^x is \[.*\] and W \[3, 2, 6\]; they must be"):
            loss_and_gradient._require_shapes(W, b, bad, None)
    for given in ((b, x.to("meta"), None), (b.to("meta"), x, None), (b, x, weights.to("meta"))):
        with pytest.raises(ValueError, match="on meta; it must be on cpu"):
            loss_and_gradient._require_shapes(W, *given)
    for name, arguments in (
        ("b", {"b": b[:2]}),
        ("b", {"b": b[:, :5]}),
        ("weights", {"weights": weights[:9]}),
        ("importance", {"importance": b[0]}),
        ("out", {"out": out[:2]}),
        ("out", {"out": out.float()}),
        ("out", {"out": out.repeat(1, 2)[:, :6]}),
    ):
        with pytest.raises(ValueError, match=f"^{name} is .* it must be"):
            loss_and_gradient._require_shapes(**{"W": W, "b": b, "x": x, "weights": weights, **arguments})
    loss_and_gradient._require_shapes(W, b, x.expand(3, -1, -1), weights, b, out)


def test_every_way_in_checks_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("checked")

    monkeypatch.setattr(loss_and_gradient, "_require_shapes", refuse)
    for function in (losses_and_gradients, loss_and_gradient.losses_alone, feature_losses):
        with pytest.raises(ValueError, match="checked"):
            function(*drawn())


def test_types_that_differ_from_the_weights_are_converted(implementation: str) -> None:
    W, b, x = drawn()
    weights, importance = torch.rand(10), torch.rand(3, 6)
    results = losses_and_gradients(W, b.float(), x.float(), weights, importance)
    exact = losses_and_gradients(W, b.float().double(), x.float().double(), weights.double(), importance.double())
    assert [result.dtype for result in results] == 3 * [torch.float64]
    torch.testing.assert_close(results, exact, **FLOAT64)


def test_losses_are_written_where_they_are_wanted(implementation: str) -> None:
    W, b, x = drawn()
    out = torch.full((2, 3, 6), torch.nan, dtype=torch.float64)
    assert losses_and_gradients(W, b, x, out=out[1])[0].data_ptr() == out[1].data_ptr()
    assert torch.equal(out[1], losses_and_gradients(W, b, x)[0])
    assert out[0].isnan().all()


def test_there_is_no_graph(implementation: str) -> None:
    W, b, x = drawn()
    results = losses_and_gradients(W.requires_grad_(), b.requires_grad_(), x)
    assert not any(result.requires_grad for result in results)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_inputs_are_left_as_they_were(own: bool, implementation: str) -> None:
    inputs = drawn(own=own)
    before = tuple(tensor.clone() for tensor in inputs)
    losses_and_gradients(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


def test_tensors_that_are_views_are_read_as_what_they_show(implementation: str) -> None:
    W, b, x = drawn(5)
    views = W.permute(2, 1, 0).contiguous().permute(2, 1, 0), b.repeat(1, 2)[:, :6], x.repeat(2, 2)[::2, 6:][:5]
    x = views[2].clone()
    torch.testing.assert_close(losses_and_gradients(*views), losses_and_gradients(W, b, x), **FLOAT64)


# The differentiable operation


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
@pytest.mark.parametrize("name", OPTIMIZERS)
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


# The instance axis


@pytest.mark.parametrize("n_features", [6, 20])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_an_instance_does_not_feel_what_its_neighbours_hold(own: bool, n_features: int, implementation: str) -> None:
    W, b, x = (tensor.float() for tensor in drawn(n_instances=17, n_features=n_features, own=own))
    before = losses_and_gradients(W, b, x)
    W[:5], W[6:], b[:5], b[6:] = torch.nan, 100, torch.nan, 100
    after = losses_and_gradients(W, b, x)
    assert all(torch.equal(a[5], b[5]) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("n_features", [6, 20])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("p", [0.05, 1.0], ids=["sparse", "dense"])
@pytest.mark.parametrize("parameter", ["W", "b"])
def test_a_parameter_that_is_not_finite_shows_in_the_losses_as_in_the_reference(
    parameter: str, p: float, bad: float, n_features: int, implementation: str
) -> None:
    W, b, x = drawn(n_instances=4, n_features=n_features, n_batch=200, p=p)
    (W[2, 0] if parameter == "W" else b[2])[1] = bad
    losses = losses_and_gradients(W, b, x)[0]
    finite = losses.isfinite().all(dim=1)
    assert finite.tolist() == reference_losses(W, b, x).isfinite().all(dim=1).tolist()
    assert finite[[0, 1, 3]].all()


@pytest.mark.parametrize("n_features", [6, 20])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_an_instance_alone_is_what_it_is_in_a_stack(own: bool, n_features: int, implementation: str) -> None:
    W, b, x = (tensor.float() for tensor in drawn(n_instances=17, n_features=n_features, own=own, n_batch=100, p=0.1))
    in_stack = losses_and_gradients(W, b, x)
    for i in range(17):
        alone = losses_and_gradients(W[i : i + 1], b[i : i + 1], x[i : i + 1] if own else x)
        of_stack = tuple(r[i : i + 1] for r in in_stack)
        if implementation == "fused":
            assert all(torch.equal(a, s) for a, s in zip(alone, of_stack, strict=True))
        else:  # a stack of another size may be summed in another order, which costs a few roundings of 6e-8
            torch.testing.assert_close(alone, of_stack, rtol=1e-6, atol=1e-6)


def test_instances_with_the_same_data_of_their_own_are_as_with_shared_data(implementation: str) -> None:
    W, b, x = drawn()
    own = losses_and_gradients(W, b, x.expand(3, -1, -1).contiguous())
    torch.testing.assert_close(own, losses_and_gradients(W, b, x), **FLOAT64)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize(("n_instances", "n_features"), [(1, 3000), (3, 3000), (100, 6), (5, 40)])
def test_the_number_of_threads_does_not_change_a_bit(
    n_instances: int, n_features: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "THREADS_FROM", 0)
    W, b, x = (t.float() for t in drawn(n_instances, n_features=n_features, n_batch=300, own=own, p=0.02))
    results = []
    for n_threads in (1, 2, 3, 2, 1):
        monkeypatch.setattr(kernel, "N_THREADS", n_threads)
        results += [losses_and_gradients(W, b, x) for _ in range(20)]
    for a, b in itertools.pairwise(results):
        assert all(torch.equal(*pair) for pair in zip(a, b, strict=True))


# The closed form's parts


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


@pytest.mark.parametrize("n_instances", [1, 33])
def test_weighted_losses_are_those_of_the_examples_one_by_one(n_instances: int, implementation: str) -> None:
    W, b, x = drawn(n_instances, p=0.5)
    weights = torch.linspace(0, 2, len(x), dtype=torch.float64)
    one_by_one = sum(
        weight * reference_losses(W, b, example.unsqueeze(0)) for weight, example in zip(weights, x, strict=True)
    )
    torch.testing.assert_close(feature_losses(W, b, x, weights), one_by_one, **FLOAT64)
