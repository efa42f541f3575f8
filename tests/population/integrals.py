"""Population losses by integrals that meet every kink: exact for what is a polynomial between kinks, and slow.

Along each axis Gauss's nodes lie between the places where z would be at a kink at some corner of the other axes.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from src.distributions.supports import Enumerated
from src.distributions.values import Values

Cost = Callable[[Tensor, Tensor], Tensor]  # of z and x
N_NODES = 6  # exact for polynomials up to the eleventh power


def feature_loss(
    cost: Cost, kinks: Sequence[float], row: Tensor, b: Tensor, i: int, distribution: Enumerated, n_nodes: int = N_NODES
) -> float:
    """E[c(row . x + b, x_i)]."""
    total = 0.0
    for active, probability in distribution.as_sets().items():
        if probability > 0:
            a = [float(row[j]) for j in active]
            x, weights = _on_cube(a, float(b), kinks, distribution.values, n_nodes)
            z = torch.from_numpy(x @ np.array(a) + float(b))
            own = x[:, active.index(i)] if i in active else np.zeros(len(x))
            total += probability * float(cost(z, torch.from_numpy(own)) @ torch.from_numpy(weights))
    return total


def feature_losses(
    cost: Cost,
    kinks: Sequence[float],
    W: Tensor,
    b: Tensor,
    distribution: Enumerated,
    V: Tensor | None = None,
    n_nodes: int = N_NODES,
) -> Tensor:
    """Of each feature of each model."""
    G = (W if V is None else V).mT @ W
    pairs = itertools.product(range(b.shape[0]), range(b.shape[1]))
    losses = [feature_loss(cost, kinks, G[k, i], b[k, i], i, distribution, n_nodes) for k, i in pairs]
    return torch.tensor(losses, dtype=torch.float64).view_as(b)


def _on_cube(
    a: list[float], z: float, kinks: Sequence[float], values: Values, n_nodes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [node, active] and weights for z + a . x."""
    if not a:
        return np.zeros((1, 0)), np.ones(1)
    if values.width == 0:
        return np.full((1, len(a)), values.high), np.ones(1)
    at, weight = np.polynomial.legendre.leggauss(n_nodes)
    corners = [sum(corner) for corner in itertools.product(*[(values.low * t, values.high * t) for t in a[1:]])]
    places = {(kink - z - corner) / a[0] for kink in kinks for corner in corners} if a[0] else set[float]()
    ends = [values.low, *sorted(t for t in places if values.low < t < values.high), values.high]
    every, weights = [], []
    for low, high in itertools.pairwise(ends):
        inside, shares = low + (high - low) * (at + 1) / 2, (high - low) * weight / 2 / values.width
        if not a[1:]:
            every.append(inside[:, None])
            weights.append(shares)
            continue
        for t, w in zip(inside, shares, strict=True):
            x, own = _on_cube(a[1:], z + a[0] * float(t), kinks, values, n_nodes)
            every.append(np.hstack([np.full((len(x), 1), t), x]))
            weights.append(w * own)
    return np.vstack(every), np.hstack(weights)
