"""Means of powers of z beyond a kink when features are active independently: corners of the whole cube, each once.

Summed over supports there are 3^n corners: each feature is 0, or at one of the two ends of its values. But where it is
at 0, it matters little whether it is active. So supports with the same corner are taken together: with D^-1 for one
integration of the power of z, what each feature j does is an operator,

    1 - p - p / a_j D^-1   where it stays at 0,   p / a_j D^-1   where it goes to 1,

and their product a polynomial in D^-1 for each of 2^n corners. Where a_j is much smaller than the largest entry, two
Gauss nodes of its whole law take their place. That is exact enough as long as an entry that is large is active, which
integrates the power once more. Examples of which none is make the same problem with fewer features, and are left to
the next round.
"""

import math
from collections.abc import Collection
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from src.distributions.supports import SupportSizes
from src.population.pieces import Term

GROUPED_FROM = 8  # features: below, 3^n corners are nearly as quick, and err less
SMALL, OTHER_SMALL = 1e-3, 1e-4  # far apart: what the second evaluation differs by shows either's error
UNSEEN = 1e-10  # as in `closed_form.py`
SAME = 1e-12
OWN_NODES = 4  # along x_i where a_i is small


def probability_if_independent(distribution: object) -> float | None:
    """p, where features are active independently with the same probability, and their values are uniform on [0, 1]."""
    if not isinstance(distribution, SupportSizes):
        return None
    n, p = distribution.n_features, min(1.0, distribution.n_active / distribution.n_features)
    pairs = zip(distribution.size_probabilities, SupportSizes.independent(n, p).size_probabilities, strict=True)
    return p if all(math.isclose(own, other, rel_tol=1e-9, abs_tol=SAME) for own, other in pairs) else None


def grouped_means(
    a: Float[Tensor, "instance feature feature"],
    b: Float[Tensor, "instance feature"],
    p: float,
    small: float,
    terms: Collection[Term],
) -> dict[Term, Float[Tensor, "instance feature"]]:
    """E[z_+^r x_i^q], z = a_i . x + b_i <= 0 for x = 0, for each term (r, q), over all supports.

    Args:
        p: the probability that a feature is active.
        small: of the largest entry of a_i that counts: below it an entry is not divided by.
    """
    n = a.shape[-1]
    own = torch.arange(n, device=a.device).repeat(len(a))
    a, means = a.flatten(0, 1), {term: torch.zeros_like(b.flatten()) for term in terms}
    is_over, is_left = torch.zeros_like(a, dtype=torch.bool), torch.ones_like(a, dtype=torch.bool)
    while True:
        magnitude = torch.where(is_left, a.detach().abs(), 0)
        rows = (magnitude > 0).any(dim=1).nonzero().flatten()
        if not len(rows):
            return {term: total.view_as(b) for term, total in means.items()}
        is_large = magnitude > small * magnitude.amax(dim=1, keepdim=True)
        found = _round(a[rows], b.flatten()[rows], own[rows], is_large[rows], is_over[rows], p, terms)
        means = {term: total.index_add(0, rows, found[term]) for term, total in means.items()}
        is_left, is_over = is_left & ~is_large, is_over | is_large


def _round(
    a: Float[Tensor, "row feature"],
    b: Float[Tensor, " row"],
    own: Int[Tensor, " row"],
    is_large: Bool[Tensor, "row feature"],
    is_over: Bool[Tensor, "row feature"],
    p: float,
    terms: Collection[Term],
) -> dict[Term, Float[Tensor, " row"]]:
    """The part of the means in which a large entry is active, and none that is over."""
    n = a.shape[1]
    inverse = torch.where(is_large, 1 / torch.where(is_large, a, 1), 0)
    place = torch.arange(n - 1, device=a.device)
    others = place + (place >= own.unsqueeze(1))
    among = [t.gather(1, others) for t in (a, is_large, is_over, inverse)]
    z, C = _corners(b, among[0], among[1], among[2], among[3], p)
    own_a, own_inverse, own_large, own_over = (t.gather(1, own.unsqueeze(1)) for t in (a, inverse, is_large, is_over))
    most = max(r + q for r, q in terms) + 1 + len(C)
    at_low, at_high = (_powers(z + shift, most) for shift in (0.0, own_a))
    nodes = [] if (own_large | own_over).all() else _own_nodes(z, own_a, most)
    means = {}
    for r, q in terms:
        low, high = torch.zeros_like(z), torch.zeros_like(z)
        for k in range(q + 1):  # by parts along x_i, of which x_i^(q - k) is 0 or 1 at the ends
            factor = (-1) ** k * math.perm(q, k) * own_inverse ** (k + 1)
            high = high + factor * _applied(C, at_high, r + k + 1)
            if k == q:
                low = low + factor * _applied(C, at_low, r + k + 1)
        active = high - low
        if nodes:  # a small x_i is active beside a large one
            flat = sum((w * v**q * _applied(C, powers, r, 1) for v, w, powers in nodes), torch.zeros_like(z))
            active = torch.where(own_large, active, flat)
        whole = p * torch.where(own_over, 0, active)
        if q == 0:
            whole = whole + (1 - p) * _applied(C, at_low, r, 1)
        means[r, q] = math.factorial(r) * whole.sum(dim=-1)
    return means


def _corners(
    b: Tensor, a: Tensor, is_large: Tensor, is_over: Tensor, inverse: Tensor, p: float
) -> tuple[Tensor, list[Tensor]]:
    """z at each corner of the other features, and the coefficients there of 1, D^-1, D^-2, ..."""
    z = b.unsqueeze(-1)
    C = [torch.ones_like(z)]
    first, second, of_first, of_second, zero, one, passive = z.new_tensor([*_gauss(p), 0.0, 1.0, 1 - p])
    for j in range(a.shape[1]):
        own, large, over, scaled = a[:, j : j + 1], *(t[:, j : j + 1] for t in (is_large, is_over, p * inverse))
        stands = large | over
        z = torch.cat([z + torch.where(stands, zero, first) * own, z + torch.where(stands, one, second) * own], dim=-1)
        stays, goes, nothing = torch.where(stands, passive, of_first), torch.where(stands, zero, of_second), C[0] * 0
        C = [
            torch.cat([stays * same - scaled * lower, goes * same + scaled * lower], dim=-1)
            for same, lower in zip([*C, nothing], [nothing, *C], strict=True)
        ]
    return z, C


def _powers(z: Tensor, most: int) -> list[Tensor]:
    """z_+^s / s! for s = 0, 1, ..."""
    powers, z = [(z > 0).to(z)], torch.relu(z)
    for s in range(1, most + 1):
        powers.append(powers[-1] * z / s)
    return powers


def _applied(C: list[Tensor], powers: list[Tensor], s: int, lowest: int = 0) -> Tensor:
    """The polynomial in D^-1, from a degree on, of z_+^s / s!."""
    total = torch.zeros_like(powers[s])
    for degree in range(lowest, len(C)):
        total = total + C[degree] * powers[s + degree]
    return total


def _own_nodes(z: Tensor, own: Tensor, most: int) -> list[tuple[float, float, list[Tensor]]]:
    at, weights = leggauss(OWN_NODES)
    pairs = zip(((at + 1) / 2).tolist(), (weights / 2).tolist(), strict=True)
    return [(v, w, _powers(z + own * v, most)) for v, w in pairs]


@lru_cache
def _gauss(p: float) -> tuple[float, float, float, float]:
    """Two nodes and their weights: exact to the third power of x, which is 0, or with probability p on [0, 1]."""
    moments = [1.0, p / 2, p / 3, p / 4]
    determinant = moments[0] * moments[2] - moments[1] ** 2
    c1 = (moments[1] * moments[2] - moments[0] * moments[3]) / determinant  # x^2 + c1 x + c0 is orthogonal to 1 and x
    c0 = (moments[1] * moments[3] - moments[2] ** 2) / determinant
    middle, apart = -c1 / 2, math.sqrt(c1**2 / 4 - c0)
    first, second = middle - apart, middle + apart
    weight = (moments[1] - first) / (second - first)
    return first, second, 1 - weight, weight
