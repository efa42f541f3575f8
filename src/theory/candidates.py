"""Configurations near which stationary points are looked for, and what a configuration is called."""

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.geometry.polygons import IRREGULAR, NAMES, find_polygons
from src.population.surface import Points
from src.theory.critical_points import MAX_VERTICES, best_norm_and_bias
from src.theory.family import Family, as_points, independent
from src.theory.regular import Sizes, assembled, products

STUB, OVERLAP = 0.33, 0.8  # norms of columns that are not learned, or share a direction, to start from
DEAD = 1e-4  # a column shorter than this is dead, not a stub
DEAD_BIAS = 0.01  # to start from
ROUNDED = 9  # decimals
MOST = 48  # starts, but for the post's model in the plane: those of least loss

Columns = Float[Tensor, "hidden feature"]
Biases = Float[Tensor, " feature"]


def candidates(family: Family, p: float, sizes: Sizes) -> Points:
    """Configurations near which stationary points are looked for: shapes, and in different ways what is left over.

    Of the post's model in the plane they are regular polygons as they are best one feature at a time; otherwise all
    products of shapes that fit, as they are best at this p.
    """
    n, m = family.n_features, family.n_hidden
    if family.is_posts and m == 2:
        found = [way for k in range(2, min(n, MAX_VERTICES) + 1) for way in with_left_over(*_polygon(k, n), k, [0])]
    else:
        found = _of_products(family, p, sizes)
    W, b = (torch.stack(own) for own in zip(*found, strict=True))
    points = as_points(family.shapes(n, m), W, b)
    if len(points) > MOST and not (family.is_posts and m == 2):
        losses = independent(family, p, points).derivatives(points, torch.zeros(len(points)).long()).loss
        points = points[losses.argsort()[:MOST].sort().values]
    return points


def with_left_over(W: Columns, b: Biases, n_corners: int, first: Sequence[int]) -> list[tuple[Columns, Biases]]:
    """Ways to go on from corners and dead features behind them.

    The features that are no corner are dead; or stubs, all on one direction or one on each; or the first of them shares
    a direction evenly.

    Args:
        first: corners of which one direction may be that on which all are.
    """
    k, n_left = n_corners, W.shape[1] - n_corners
    corners = W[:, :k] / W[:, :k].norm(dim=0)
    ways: list[tuple[list[int], float]] = []
    for corner in first:
        ways += [([corner] * n_left, STUB), ([corner] * n_left, OVERLAP)] if n_left else []
    if n_left > 1:
        ways += [([j % k for j in range(n_left)], STUB), ([2 * j % k for j in range(n_left)], STUB)]
        ways += [([j % k for j in range(n_left)], OVERLAP)]
    found = [(W, b)]
    for places, length in ways:
        own, bias = W.clone(), b.clone()
        own[:, k:] = length * corners[:, places]
        if length == OVERLAP:
            own[:, places] = OVERLAP * corners[:, places]
            bias[k:] = b[places] / 2
        found.append((own, bias))
    return found


def _polygon(k: int, n_features: int) -> tuple[Columns, Biases]:
    norm, bias = best_norm_and_bias(k)
    angle = torch.arange(k, dtype=torch.float64) * (2 * math.pi / k)
    W = torch.cat([norm * torch.stack([angle.cos(), angle.sin()]), torch.zeros(2, n_features - k).double()], dim=1)
    return W, torch.tensor([bias] * k + [DEAD_BIAS] * (n_features - k), dtype=torch.float64)


def _of_products(family: Family, p: float, sizes: Sizes) -> list[tuple[Columns, Biases]]:
    """What spans the hidden space in all ways; what does not, with dead features only."""
    n, m = family.n_features, family.n_hidden
    found = []
    for k in range(1, n + 1):
        for shapes in products(m, k):
            sized = sizes.of(shapes, p)
            if sized is None:
                continue
            W, b = assembled(sized, m, n, sizes.dead_bias(p))
            if sum(shape.dimension for shape in shapes) < m:
                found.append((W, b))
                continue
            ends = itertools.accumulate((shape.n_corners for shape in shapes), initial=0)
            first = dict(zip(reversed(shapes), reversed([*ends][:-1]), strict=True))  # corner of each different shape
            found += with_left_over(W, b, k, sorted(first.values()))
    return found


def describe(W: Float[Tensor, "1 hidden feature"]) -> str:
    """The geometry in words: `pentagon + stub`, `square + 2 stubs on one direction`."""
    W = W.round(decimals=ROUNDED)  # or a rounding would decide whether a column of norm 1/2 is a stub
    polygons, norm = find_polygons(W), W[0].norm(dim=0)
    name = polygons.names[0]
    if name == IRREGULAR:
        n_directions = int(polygons.n_directions)
        name = f"{IRREGULAR} {NAMES.get(n_directions, f'{n_directions}-gon')}"
    parts = [name]
    is_stub = polygons.stub[0] & (norm > DEAD)
    n_stubs, n_dead, n_shared = int(is_stub.sum()), int((norm <= DEAD).sum()), int(polygons.overlap.sum())
    if n_shared:
        parts.append("overlap" if n_shared == 1 else f"{n_shared} overlaps")
    if n_stubs:
        unit = W[0][:, is_stub] / norm[is_stub]
        together = n_stubs > 1 and bool((unit.T @ unit > 0.99).all())
        parts.append("stub" if n_stubs == 1 else f"{n_stubs} stubs{' on one direction' if together else ''}")
    if n_dead:
        parts.append("dead" if n_dead == 1 else f"{n_dead} dead")
    return " + ".join(parts)
