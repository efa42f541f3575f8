"""Which tensors the loss and its gradient take, refuse, convert and leave as they were."""

from typing import Any

import pytest
import torch

from src.objective import loss_and_gradient
from src.objective.loss_and_gradient import feature_losses, losses_and_gradients
from tests.objective.problems import FLOAT64, drawn


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
        ("V", {"V": W[:2]}),
        ("out", {"out": out[:2]}),
        ("out", {"out": out.float()}),
        ("out", {"out": out.repeat(1, 2)[:, :6]}),
    ):
        with pytest.raises(ValueError, match=f"^{name} is .* it must be"):
            loss_and_gradient._require_shapes(**{"W": W, "b": b, "x": x, "weights": weights, **arguments})
    loss_and_gradient._require_shapes(W, b, x.expand(3, -1, -1), weights, b, out)


def test_every_way_in_checks_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
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
