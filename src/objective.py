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

from src import fused

STACK_FROM = 16  # instances from which it pays to have them innermost
N_EXAMPLES = 1024  # of a batch at a time, at most
CACHE_ENTRIES = 2**18  # of x' at a time: 1 MiB of float32, so that temporaries stay in cache
DEVICE_ENTRIES = 2**26  # the same on a device with memory of its own, which needs large operations


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
    if not fused.serves(W):
        losses, W_gradient, b_gradient = _in_closed_form(W, b, x, weights, importance)
        return losses if out is None else out.copy_(losses), W_gradient, b_gradient
    losses = W.new_empty(b.shape) if out is None else out
    W_gradient, b_gradient = W.new_empty(W.shape), W.new_empty(b.shape)
    fused.solve(W, b, x, weights, importance, losses, (W_gradient, b_gradient))
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
    if not fused.serves(W):
        return _in_closed_form(W, b, x, weights, None)[0]
    losses = W.new_empty(b.shape)
    fused.solve(W, b, x, weights, None, losses, None)
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


# Without the fused implementation.


def _in_closed_form(
    W: Tensor, b: Tensor, x: Tensor, weights: Tensor | None, importance: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """`losses_and_gradients` in tensor operations, so many examples at a time, those that all share without the empty.

    Every model answers an empty example with ReLU(b).
    """
    b = b.to(W)
    c = torch.full_like(b, 1 / b.shape[-1]) if importance is None else importance.to(W)
    weights = b.new_full((x.shape[-2],), 1 / x.shape[-2]) if weights is None else weights.to(b)
    is_active = torch.zeros_like(weights, dtype=torch.bool)
    if x.is_sparse:
        is_active[x.coalesce().indices()[0]] = True
    else:
        is_active |= (x != 0).any(dim=-1) if x.dim() == 2 else True
    of_empty, empty = torch.relu(b), weights[~is_active].sum()
    losses, dW, db = empty * of_empty.square(), torch.zeros_like(W), 2 * c * empty * of_empty
    solve = _instances_last if x.dim() == 2 and len(W) >= STACK_FROM else _instances_first
    active = is_active.nonzero().flatten()
    for rows in active.split(max(1, min(N_EXAMPLES, _entries_at_once(W) // b.shape[-1]))) if len(active) else ():  # type: ignore[no-untyped-call]
        part = x.index_select(-2, rows)
        part = (part.to_dense() if part.is_sparse else part).to(W)
        of_part = solve(W, b, c, part, weights[rows])
        losses, dW, db = (total.add_(term) for total, term in zip((losses, dW, db), of_part, strict=True))
    return losses, dW, db


def _entries_at_once(W: Tensor) -> int:
    return CACHE_ENTRIES if W.device.type == "cpu" else DEVICE_ENTRIES


def _instances_first(W: Tensor, b: Tensor, c: Tensor, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    h = x @ W.mT
    reconstruction = torch.baddbmm(b.unsqueeze(-2), h, W).relu_()
    error = reconstruction - x
    weighted = error * weights.unsqueeze(-1)
    losses = (weighted * error).sum(dim=-2)
    g = torch.ops.aten.threshold_backward(weighted, reconstruction, 0).mul_(2 * c.unsqueeze(-2))
    through_encoder = (g @ W.mT).mT @ x
    return losses, torch.baddbmm(through_encoder, h.mT, g), g.sum(dim=-2)


def _instances_last(
    W: Tensor, b: Tensor, c: Tensor, x: Float[Tensor, "batch feature"], weights: Float[Tensor, " batch"]
) -> tuple[Tensor, Tensor, Tensor]:
    """The same for a large stack that sees the same x: instances innermost, and so many at a time."""
    W_last, b_last, c_last = W.permute(1, 2, 0), b.mT, c.mT  # [hidden, feature, instance], [feature, instance]
    losses, dW, db = torch.empty_like(b_last), torch.empty_like(W_last), torch.empty_like(b_last)
    target, weight = x.mT.unsqueeze(-1), weights.unsqueeze(-1)
    size = max(1, _entries_at_once(W) // x.numel())
    for start in range(0, len(W), size):
        part = slice(start, start + size)
        w = W_last[..., part].contiguous()
        h = x @ w  # [hidden, batch, instance]
        z = b_last[:, part].unsqueeze(1) + h[0] * w[0].unsqueeze(1)  # [feature, batch, instance]
        for k in range(1, len(w)):
            z.addcmul_(h[k], w[k].unsqueeze(1))
        error = z.relu_() - target
        weighted = error * weight
        losses[:, part] = error.mul_(weighted).sum(dim=1)
        g = torch.ops.aten.threshold_backward(weighted, z, 0).mul_(2 * c_last[:, part].unsqueeze(1))
        db[:, part] = g.sum(dim=1)
        for k in range(len(w)):
            through_encoder = x.mT @ torch.mul(g, w[k].unsqueeze(1), out=z).sum(dim=0)
            dW[k, :, part] = through_encoder.add_(torch.mul(g, h[k], out=z).sum(dim=1))
    return losses.mT, dW.permute(2, 0, 1), db.mT
