"""Means of products of powers of z and x_i over a whole distribution, where there is no kink."""

import math
from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.supports import Enumerated, SupportSizes
from src.distributions.values import Values
from src.population.pieces import Term

Means = dict[Term, Tensor | float]


def smooth_means(
    a: Float[Tensor, "instance feature feature"],
    b: Float[Tensor, "instance feature"],
    distribution: Enumerated,
    terms: Collection[Term],
) -> Means:
    """E[z^r x_i^q], z = a_i . x + b_i, for each term (r, q): [instance, feature], or the same for all."""
    if max((r + q for r, q in terms), default=0) <= 2:  # two features at a time decide
        return _second(a, b, distribution, terms)
    means: Means = {term: torch.zeros_like(b) for term in terms}
    for size, probability in enumerate(distribution.size_probabilities):
        if probability > 0:
            share, support = distribution.share(size), distribution.sets(size).to(b.device)
            for term, each in _on_supports(a, b, support, distribution.values, terms).items():
                means[term] = means[term] + (each @ share.to(b) if isinstance(share, Tensor) else share * each.sum(-1))
    return means


def _second(a: Tensor, b: Tensor, distribution: Enumerated, terms: Collection[Term]) -> Means:
    n, values = distribution.n_features, distribution.values
    if isinstance(distribution, SupportSizes):
        own, summed, squared = a.diagonal(dim1=-2, dim2=-1), a.sum(dim=-1), a.square().sum(dim=-1)
        one, two = distribution.n_active / n, distribution.n_active_pairs / (n * max(n - 1, 1))
        z_squared = b.square() + one * (b * summed + squared / 3) + two / 4 * (summed.square() - squared)
        x_z = one * (b / 2 + own / 3) + two / 4 * (summed - own)
        known: Means = {
            (0, 0): 1.0, (0, 1): one / 2, (0, 2): one / 3, (1, 0): b + one / 2 * summed, (2, 0): z_squared, (1, 1): x_z,
        }  # fmt: skip
        return {term: known[term] for term in terms}
    together = distribution.together.to(a)
    active = together.diagonal()
    second = together * values.mean**2  # E[x_j x_k]
    second.diagonal().copy_(active * values.thrice_mean_square / 3)
    with_active = a @ second  # [instance, feature, feature], its diagonal E[x_i a_i . x]
    z_squared = b.square() + 2 * values.mean * b * (a @ active) + (with_active * a).sum(dim=-1)
    x_z = values.mean * active * b + with_active.diagonal(dim1=-2, dim2=-1)
    known = {
        (0, 0): 1.0, (0, 1): values.mean * active, (0, 2): active * values.thrice_mean_square / 3,
        (1, 0): b + values.mean * (a @ active), (2, 0): z_squared, (1, 1): x_z,
    }  # fmt: skip
    return {term: known[term] for term in terms}


def _on_supports(
    a: Tensor, b: Tensor, support: Tensor, values: Values, terms: Collection[Term]
) -> dict[Term, Float[Tensor, "instance feature support"]]:
    """The means on each support, one active feature after the other: those of a sum by the binomial theorem."""
    n = a.shape[-1]
    is_own = support == torch.arange(n, device=a.device).view(n, 1, 1)  # [feature, support, active]
    means: dict[Term, Tensor] = {}
    for q in {q for _, q in terms}:
        most = max(r for r, own in terms if own == q)
        powers = [b.unsqueeze(-1).expand(*b.shape, len(support)) ** r for r in range(most + 1)]
        for j in range(support.shape[1]):
            A = a[..., support[:, j]]
            numbers = A.new_tensor([_moment(values, k) for k in range(most + q + 1)])
            moments = [torch.where(is_own[..., j], numbers[k + q], numbers[k]) for k in range(most + 1)]
            powers = [
                sum((math.comb(r, k) * A**k * moments[k] * powers[r - k] for k in range(r + 1)), A.new_zeros(()))
                for r in range(most + 1)
            ]
        there = is_own.any(dim=-1) if q else torch.ones_like(is_own[..., 0] if is_own.shape[-1] else is_own.any(dim=-1))
        means |= {(r, q): powers[r] * there for r, own in terms if own == q}
    return means


def _moment(values: Values, k: int) -> float:
    """E[x_j^k] of an active feature."""
    low, high = values
    return high**k if values.width == 0 else (high ** (k + 1) - low ** (k + 1)) / ((k + 1) * values.width)
