"""The loss of the ReLU output model and its gradient (Elhage et al. 2022, "Toy Models of Superposition").

    h = W x,   z = W^T h + b,   x' = ReLU(z),   L_i = mean over the batch of (x_i - x'_i)^2

`feature_losses` is the operation to use, differentiable like any other. `reference_losses` is the same in plain torch
operations. `losses_and_gradients` is both at once, without a graph: what training calls. It is computed by C++ (`cpp/`)
or, on another device or without a compiler, in closed form with tensors that stay in cache.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.objective import kernel
from src.objective.tensors import in_closed_form


def reference_losses(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, "instance feature"]:
    """`feature_losses` in plain torch operations, with derivatives of any order in all its arguments."""
    x = x.to_dense() if x.is_sparse else x
    h = x @ W.mT
    reconstruction = torch.relu(h @ W + b.unsqueeze(-2))
    errors = (x - reconstruction).square()
    return errors.mean(dim=-2) if weights is None else torch.einsum("b,ibf->if", weights, errors)


def feature_losses(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, "instance feature"]:
    """Squared error of each feature: the mean over the batch, or the sum with `weights`.

    Differentiable in W and b to any order. A second derivative, one in x or the weights, and those that `torch.func`
    asks for take the reference's way.

    Args:
        x: dense, or sparse COO if all instances share it, for many features of which few are active.

    Raises:
        ValueError: if a tensor's shape or device does not fit W's.
    """
    if any(t is not None and t.requires_grad for t in (x, weights)) or torch._C._are_functorch_transforms_active():
        return reference_losses(W, b, x, weights)
    return _FeatureLosses.apply(W, b, x, weights)  # type: ignore[no-untyped-call]


class _FeatureLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, W: Tensor, b: Tensor, x: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(W, b, x, weights)
        return losses_alone(W, b, x, weights)

    @staticmethod
    def backward(ctx: Any, *importance: Tensor) -> tuple[Tensor | None, ...]:
        W, b, x, weights = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return (*losses_and_gradients(W, b, x, weights, importance[0])[1:], None, None)
        wanted = [t for t, needed in zip((W, b), ctx.needs_input_grad, strict=False) if needed]
        losses = reference_losses(W, b, x, weights)
        gradients = iter(torch.autograd.grad(losses, wanted, importance[0], create_graph=True))
        return (*(next(gradients) if needed else None for needed in ctx.needs_input_grad[:2]), None, None)


@torch.no_grad()
def losses_and_gradients(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
    importance: Float[Tensor, "instance feature"] | None = None,
    out: Float[Tensor, "instance feature"] | None = None,
) -> tuple[
    Float[Tensor, "instance feature"], Float[Tensor, "instance hidden feature"], Float[Tensor, "instance feature"]
]:
    """`feature_losses`, and the gradient of their mean over features with respect to W and b.

    With g = 2 c (x' - x) [z > 0], weighted and summed over the batch:

        dL/db = sum g,   dL/dW = h^T g + (g W^T)^T x.

    At the kink, z = 0, the derivative of ReLU is taken as 0, as autograd does.

    Args:
        importance: c, the weight of each feature's loss in the sum whose gradient is returned, in place of 1 / n.
        out: where the losses are written and returned, contiguous and of W's type; by default a new tensor.

    Raises:
        ValueError: if a tensor's shape or device does not fit W's, or `out` is of another kind.
    """
    _require_shapes(W, b, x, weights, importance, out)
    if not kernel.serves(W):
        losses, W_gradient, b_gradient = in_closed_form(W, b, x, weights, importance)
        return losses if out is None else out.copy_(losses), W_gradient, b_gradient
    losses = W.new_empty(b.shape) if out is None else out
    W_gradient, b_gradient = W.new_empty(W.shape), W.new_empty(b.shape)
    kernel.solve(W, b, x, weights, importance, losses, (W_gradient, b_gradient))
    return losses, W_gradient, b_gradient


@torch.no_grad()
def losses_alone(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, "instance feature"]:
    """`feature_losses` without a graph."""
    _require_shapes(W, b, x, weights)
    if not kernel.serves(W):
        return in_closed_form(W, b, x, weights, None)[0]
    losses = W.new_empty(b.shape)
    kernel.solve(W, b, x, weights, None, losses, None)
    return losses


def _require_shapes(
    W: Tensor,
    b: Tensor,
    x: Tensor,
    weights: Tensor | None,
    importance: Tensor | None = None,
    out: Tensor | None = None,
) -> None:
    n_instances, _, n_features = W.shape
    n_batch = x.shape[-2] if x.dim() > 1 else 0
    allowed = [(n_batch, n_features)] if x.is_sparse else [(n_batch, n_features), (n_instances, n_batch, n_features)]
    if tuple(x.shape) not in allowed or min(*W.shape, n_batch) < 1:
        raise ValueError(
            f"x is {list(x.shape)} and W {list(W.shape)}; they must be [batch, feature] or [instance, batch, feature], "
            "and [instance, hidden, feature], none of them empty, and a sparse x without instances."
        )
    for name, tensor, shape in (
        ("b", b, W.shape[::2]),
        ("weights", weights, (n_batch,)),
        ("importance", importance, b.shape),
    ):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name} is {list(tensor.shape)}; it must be {list(shape)}, to fit W and x.")
    if out is not None and not (out.shape == b.shape and out.dtype == W.dtype and out.is_contiguous()):
        raise ValueError(
            f"out is {list(out.shape)}, {out.dtype}; it must be {list(b.shape)}, {W.dtype} and contiguous."
        )
    for tensor in (b, x, weights, importance, out):
        if tensor is not None and tensor.device != W.device:
            raise ValueError(f"A tensor is on {tensor.device}; it must be on {W.device}, as W is.")
