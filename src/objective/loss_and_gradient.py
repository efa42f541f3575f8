"""The loss of a toy model and its gradient (Elhage et al. 2022, "Toy Models of Superposition").

    h = W x,   z = V^T h + b,   L_i = mean over the batch of term(z_i, x_i)

In the post's model V is W and the term (x - ReLU(z))^2; another term is a policy. `feature_losses` is the operation to
use, differentiable like any other. `reference_losses` is the same in plain torch operations. `losses_and_gradients` is
both at once, without a graph: what training calls. It is computed by C++ (`cpp/`) or, for the post's model on another
device or without a compiler, in closed form with tensors that stay in cache.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.objective import kernel
from src.objective.kernel import Policy
from src.objective.tensors import in_closed_form


def reference_losses(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
    V: Float[Tensor, "instance hidden feature"] | None = None,
    policy: Policy | None = None,
) -> Float[Tensor, "instance feature"]:
    """`feature_losses` in plain torch operations, with derivatives of any order in all its arguments."""
    x = x.to_dense() if x.is_sparse else x
    h = x @ W.mT
    z = h @ (W if V is None else V) + b.unsqueeze(-2)
    errors = (x - torch.relu(z)).square() if policy is None else policy.term(z, x)
    return errors.mean(dim=-2) if weights is None else torch.einsum("b,ibf->if", weights, errors)


def feature_losses(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
    V: Float[Tensor, "instance hidden feature"] | None = None,
    policy: Policy | None = None,
) -> Float[Tensor, "instance feature"]:
    """The term of each feature: the mean over the batch, or the sum with `weights`.

    Differentiable in W, b and V to any order. A second derivative, one in x or the weights, and those that `torch.func`
    asks for take the reference's way.

    Args:
        x: dense, or sparse COO if all instances share it, for many features of which few are active.
        V: the decoder, if it is not W.
        policy: the term, if it is not the post's.

    Raises:
        ValueError: if a tensor's shape or device does not fit W's.
    """
    is_fixed = not any(t is not None and t.requires_grad for t in (x, weights))
    is_posts = V is None and policy is None
    if is_fixed and not torch._C._are_functorch_transforms_active() and (is_posts or kernel.serves(W, policy, V)):
        return _FeatureLosses.apply(W, b, V, x, weights, policy)  # type: ignore[no-untyped-call]
    return reference_losses(W, b, x, weights, V, policy)


class _FeatureLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, W: Tensor, b: Tensor, V: Tensor | None, x: Tensor, weights: Tensor | None, policy: Policy | None
    ) -> Tensor:
        ctx.save_for_backward(W, b, V, x, weights)
        ctx.policy = policy
        return losses_alone(W, b, x, weights, V, policy)

    @staticmethod
    def backward(ctx: Any, *importance: Tensor) -> tuple[Tensor | None, ...]:
        W, b, V, x, weights = ctx.saved_tensors
        if not torch.is_grad_enabled():
            _, *gradients = losses_and_gradients(W, b, x, weights, importance[0], V=V, policy=ctx.policy)
            return (*gradients, *[None] * (6 - len(gradients)))
        wanted = [t for t, needed in zip((W, b, V), ctx.needs_input_grad, strict=False) if needed]
        losses = reference_losses(W, b, x, weights, V, ctx.policy)
        found = iter(torch.autograd.grad(losses, wanted, importance[0], create_graph=True))
        return (*(next(found) if needed else None for needed in ctx.needs_input_grad[:3]), None, None, None)


@torch.no_grad()
def losses_and_gradients(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
    importance: Float[Tensor, "instance feature"] | None = None,
    out: Float[Tensor, "instance feature"] | None = None,
    V: Float[Tensor, "instance hidden feature"] | None = None,
    policy: Policy | None = None,
) -> tuple[Tensor, ...]:
    """`feature_losses`, and the gradient of their mean over features with respect to W, b and, if given, V.

    With g = c dterm/dz, for the post's model 2 c (x' - x) [z > 0], weighted and summed over the batch:

        dL/db = sum g,   dL/dV = h^T g,   dL/dW = (g V^T)^T x        and where V is W, the sum of both

    At the kink, z = 0, the derivative of ReLU is taken as 0, as autograd does.

    Args:
        importance: c, the weight of each feature's loss in the sum whose gradient is returned, in place of 1 / n.
        out: where the losses are written and returned, contiguous and of W's type; by default a new tensor.
        V, policy: other than the post's, the kernel has to serve them (`kernel.serves`).

    Returns:
        The losses [instance, feature], and gradients in the shapes of W, b and V.

    Raises:
        ValueError: if a tensor's shape or device does not fit W's, or `out` is of another kind.
    """
    _require_shapes(W, b, x, weights, importance, out, V)
    if V is None and policy is None and not kernel.serves(W):
        losses, W_gradient, b_gradient = in_closed_form(W, b, x, weights, importance)
        return losses if out is None else out.copy_(losses), W_gradient, b_gradient
    losses = W.new_empty(b.shape) if out is None else out
    gradients = W.new_empty(W.shape), W.new_empty(b.shape), *(() if V is None else (W.new_empty(W.shape),))
    kernel.solve(W, b, x, weights, importance, losses, gradients, V, policy)
    return losses, *gradients


@torch.no_grad()
def losses_alone(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None = None,
    V: Float[Tensor, "instance hidden feature"] | None = None,
    policy: Policy | None = None,
) -> Float[Tensor, "instance feature"]:
    """`feature_losses` without a graph."""
    _require_shapes(W, b, x, weights, V=V)
    if V is None and policy is None and not kernel.serves(W):
        return in_closed_form(W, b, x, weights, None)[0]
    losses = W.new_empty(b.shape)
    kernel.solve(W, b, x, weights, None, losses, None, V, policy)
    return losses


def _require_shapes(
    W: Tensor,
    b: Tensor,
    x: Tensor,
    weights: Tensor | None,
    importance: Tensor | None = None,
    out: Tensor | None = None,
    V: Tensor | None = None,
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
        ("V", V, W.shape),
    ):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name} is {list(tensor.shape)}; it must be {list(shape)}, to fit W and x.")
    if out is not None and not (out.shape == b.shape and out.dtype == W.dtype and out.is_contiguous()):
        raise ValueError(
            f"out is {list(out.shape)}, {out.dtype}; it must be {list(b.shape)}, {W.dtype} and contiguous."
        )
    for tensor in (b, x, weights, importance, out, V):
        if tensor is not None and tensor.device != W.device:
            raise ValueError(f"A tensor is on {tensor.device}; it must be on {W.device}, as W is.")
