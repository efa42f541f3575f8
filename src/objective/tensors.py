"""The loss of the ReLU output model and its gradient in tensor operations that stay in cache: without the kernel."""

import torch
from jaxtyping import Float
from torch import Tensor

STACK_FROM = 16  # instances from which it pays to have them innermost
N_EXAMPLES = 1024  # of a batch at a time, at most
CACHE_ENTRIES = 2**18  # of x' at a time: 1 MiB of float32, so that temporaries stay in cache
DEVICE_ENTRIES = 2**26  # the same on a device with memory of its own, which needs large operations


def in_closed_form(
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
