"""Instances of a stack do not change one another, nor does the number of threads."""

import itertools

import pytest
import torch

from src.objective import kernel
from src.objective.loss_and_gradient import losses_and_gradients, reference_losses
from tests.objective.problems import FLOAT64, drawn


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
