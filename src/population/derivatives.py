"""Derivatives of a population loss in a model's parameters, by the chain rule from the rows of V^T W."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Derivatives(NamedTuple):
    """A population loss, mean over features, and its derivatives.

    Parameters are W, row by row, and then b: `parameter` is hidden * feature + feature. Further ones follow.
    """

    loss: Float[Tensor, " instance"]
    gradient: Float[Tensor, "instance parameter"]
    hessian: Float[Tensor, "instance parameter parameter"]


class RowDerivatives(NamedTuple):
    """Each feature's share of the loss, and its derivatives in its own row of V^T W and its bias, the last column."""

    losses: Float[Tensor, "instance feature"]
    gradient: Float[Tensor, "instance feature column"]
    hessian: Float[Tensor, "instance feature column column"]


def over_parameters(
    by_row: RowDerivatives,
    W: Float[Tensor, "instance hidden feature"],
    V: Float[Tensor, "instance hidden feature"] | None = None,
    importance: Float[Tensor, "*instance feature"] | None = None,
) -> Derivatives:
    """Derivatives in W and b, and in V if it is given; otherwise V is W.

    With `importance`, each feature's loss is multiplied by its own.
    """
    if importance is not None:
        factor = importance.double()
        by_row = RowDerivatives(*(factor.view(*factor.shape, *[1] * k) * t for k, t in enumerate(by_row)))
    W = W.detach().double()
    n_instances, m, n = W.shape
    by_G, by_b = by_row.gradient[..., :n], by_row.gradient[..., n]
    identity, plane = (torch.eye(size, dtype=W.dtype, device=W.device) for size in (n, m))
    is_tied, decoder = V is None, W if V is None else V.detach().double()
    # G_ij = sum_k V_ki W_kj, and b_i is a parameter itself.
    in_W = torch.einsum("jc,xki->xijkc", identity, decoder).flatten(3)
    in_V = torch.einsum("ic,xkj->xijkc", identity, W).flatten(3)
    jacobian = W.new_zeros(n_instances, n, n + 1, (m * n if is_tied else 2 * m * n) + n)
    jacobian[:, :, :n, : m * n] = in_V + in_W if is_tied else in_W
    jacobian[:, :, n, m * n : m * n + n] = identity
    if not is_tied:
        jacobian[:, :, :n, m * n + n :] = in_V
    hessian = (jacobian.mT @ (by_row.hessian @ jacobian)).sum(dim=1)
    if is_tied:
        both = by_G + by_G.mT
        gradient = torch.cat([(W @ both).flatten(1), by_b], dim=1)
        second = torch.einsum("kl,xcd->xkcld", plane, both)
        hessian[:, : m * n, : m * n] += second.reshape(n_instances, m * n, m * n)
    else:
        gradient = torch.cat([(decoder @ by_G).flatten(1), by_b, (W @ by_G.mT).flatten(1)], dim=1)
        second = torch.einsum("kl,xdc->xkcld", plane, by_G).reshape(n_instances, m * n, m * n)
        hessian[:, : m * n, m * n + n :] += second
        hessian[:, m * n + n :, : m * n] += second.mT
    return Derivatives(by_row.losses.sum(dim=1), gradient, (hessian + hessian.mT) / 2)
