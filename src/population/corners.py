"""Means of powers of z beyond a kink, over a cube of active features: sums over its corners.

Integrating a power of z_+ along one x_j,

    int_0^1 (c + a t)_+^r / r! dt = ((c + a)_+^(r+1) - c_+^(r+1)) / ((r+1)! a),

leaves a sum over the corners of the cube, and the kink is met exactly. (These are the box splines of de Boor, Hoellig
and Riemenschneider 1993, "Box Splines".) Where a_j is too small to divide by, z hardly varies along x_j, and two Gauss
nodes take the place of the two corners.
"""

import math
from collections.abc import Collection

import torch
from jaxtyping import Float, Int
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from src.distributions.values import Values
from src.population.pieces import Term

Nodes = tuple[list[Tensor], list[Tensor]]  # the values of one active feature that are looked at, and their coefficients
GAUSS = ((1 - 3**-0.5) / 2, (1 + 3**-0.5) / 2), (0.5, 0.5)  # nodes and weights on [0, 1]
FINER_GAUSS = tuple(((leggauss(4)[0] + 1) / 2).tolist()), tuple((leggauss(4)[1] / 2).tolist())


def corner_means(
    a: Float[Tensor, "instance feature feature"],
    b: Float[Tensor, "instance feature"],
    support: Int[Tensor, "support active"],
    values: Values,
    small: float,
    terms: Collection[Term],
    probabilities: Float[Tensor, " support"] | None = None,
) -> dict[Term, Float[Tensor, "instance feature"]]:
    """E[z_+^r x_i^q], z = a_i . x + b_i, for each term (r, q), summed over supports of a size.

    With their probabilities if given. With e integrations P_(r+e) is z_+^(r+e) / (r+e)!, and

        E[z_+^r] = r! sum c P_(r+e),   E[x_i^q z_+^r] = r! sum c sum_k (-1)^k q!/(q-k)! v_i^(q-k) a_i^-k P_(r+e+k),

    over corners v with coefficients c, by parts along x_i; k is 0 alone where a_i is small.

    Args:
        small: of the largest entry of a_i on the support: below it an entry is not divided by.
    """
    n, size = a.shape[-1], support.shape[1]
    is_high = max(q for _, q in terms) > 1  # in x_i: then two nodes along it are too few, and it stands first
    is_own = support == torch.arange(n, device=a.device).view(n, 1, 1)  # [feature, support, active]
    place = is_own.long().argmax(dim=-1)
    if is_high:
        support = support.expand_as(is_own).gather(-1, is_own.long().argsort(dim=-1, descending=True, stable=True))
        A = a[:, torch.arange(n, device=a.device).view(n, 1, 1), support]
        place = torch.zeros_like(place)
    else:
        A = a[..., support]  # [instance, feature, support, active]
    magnitude = A.detach().abs()
    is_large = (magnitude > small * magnitude.amax(dim=-1, keepdim=True)) & (values.width > 0)
    inverse = torch.where(is_large, 1 / torch.where(is_large, values.width * A, 1), 0)
    nodes = [
        _nodes(A[..., j], is_large[..., j], inverse[..., j], values, FINER_GAUSS if is_high and j == 0 else GAUSS)
        for j in range(size)
    ]
    z, c = b[..., None, None].expand(*A.shape[:-1], 1), A.new_ones(())
    for j, (ends, coefficients) in enumerate(nodes):
        z = torch.cat([z + (A[..., j] * end).unsqueeze(-1) for end in ends], dim=-1)
        c = torch.cat([c * coefficient.unsqueeze(-1) for coefficient in coefficients], dim=-1)
    is_past, z = z > 0, torch.relu(z)
    lowest, highest = min(r for r, _ in terms), max(r + q for r, q in terms)
    power = lowest + is_large.sum(dim=-1, keepdim=True).to(A)
    P = {lowest: z.pow(power) * torch.exp(-torch.lgamma(power + 1))}
    if lowest == 0:
        P[0] = P[0] * is_past  # where nothing has been integrated, 0^0 is 1
    for r in range(lowest, highest):
        P[r + 1] = P[r] * z / (power + (r + 1 - lowest))

    v = _own_value(nodes, place) if any(q for _, q in terms) else None
    own_inverse = inverse.gather(-1, place.unsqueeze(-1).expand(*inverse.shape[:-1], 1))
    own_inverse = own_inverse * values.width  # d/dx of a power of z brings a_i, not the width
    means = {}
    for r, q in terms:
        if q == 0:
            total = math.factorial(r) * (c * P[r]).sum(dim=(-2, -1) if probabilities is None else -1)
        else:
            assert v is not None
            parts = _power(v, q) * P[r]
            for k in range(1, q + 1):
                part = _power(v, q - k) * _power(own_inverse, k) * P[r + k] * math.perm(q, k)
                parts = parts - part if k % 2 else parts + part
            total = math.factorial(r) * ((c * parts).sum(dim=-1) * is_own.any(dim=-1))
            total = total.sum(dim=-1) if probabilities is None else total
        means[r, q] = total if probabilities is None else total @ probabilities
    return means


def _power(t: Tensor, k: int) -> Tensor | float:
    return 1.0 if k == 0 else t if k == 1 else t**k


def _nodes(
    A: Tensor, is_large: Tensor, inverse: Tensor, values: Values, gauss: tuple[tuple[float, ...], tuple[float, ...]]
) -> Nodes:
    """Along one active feature the two ends of its values, or Gauss's nodes where its entry is small."""
    if values.width == 0:
        return [torch.full_like(A, values.high)], [torch.ones_like(A)]
    at, weights = gauss
    ends = [values.low, *[values.high] * (len(at) - 1)]
    signs, pairs = [-1, 1, *[0] * (len(at) - 2)], zip(ends, at, strict=True)
    return (
        [torch.where(is_large, A.new_tensor(e), A.new_tensor(values.low + values.width * t)) for e, t in pairs],
        [torch.where(is_large, inverse * s, w) for s, w in zip(signs, weights, strict=True)],
    )


def _own_value(
    nodes: list[Nodes], place: Int[Tensor, "feature support"]
) -> Float[Tensor, "instance feature support corner"]:
    """What x_i is at each corner, where it stands at this place among the active features."""
    counts = [len(ends) for ends, _ in nodes]
    corner = torch.arange(math.prod(counts), device=place.device)
    if counts[0] != 2:  # where it stands first
        return torch.stack(nodes[0][0], dim=-1)[..., corner % counts[0]]
    is_second = (corner >> place.unsqueeze(-1) & 1).to(nodes[0][0][0])
    index = place.unsqueeze(-1).expand(*nodes[0][0][0].shape, 1)
    first, second = (torch.stack([ends[k] for ends, _ in nodes], dim=-1).gather(-1, index) for k in (0, 1))
    return first + is_second * (second - first)
