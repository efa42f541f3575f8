"""Which regular polygon or solid of a model is best at which p, all else dead, and whether it is a minimum."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from src.geometry.polygons import find_polygons
from src.geometry.shapes import Shape
from src.geometry.solids import product_name
from src.theory.branches import of_one, verdicts_at
from src.theory.family import Family, as_points, columns_of, independent
from src.theory.regular import Sized, Sizes, assembled, products
from src.theory.spectra import NOT_STATIONARY
from src.theory.stationary import nearest_stationary

REACH = 0.25  # how far from the regular configuration its stationary point may lie, where they are not the same
NO_GRADIENT = 1e-8


@dataclass(frozen=True)
class RegularPoint:
    """A product of shapes with its best norms and biases, at one p.

    Attributes:
        n_corners: how many features it takes; the others are dead, with the best bias.
        norm, bias: mean over its corners.
        loss: mean over features.
        min_eigenvalue: the smallest that is not zero.
        verdict: `minimum`, `saddle`, `degenerate`, `undecided` or `not stationary`.
        distance: from the regular configuration to the stationary point that loss, eigenvalue and verdict are of, in
            the space of parameters; 0 where symmetry makes the former stationary.
    """

    p: float
    name: str
    n_corners: int
    norm: float
    bias: float
    dead_bias: float
    loss: float
    min_eigenvalue: float
    verdict: str
    distance: float


def regular_points(
    family: Family, grid: Sequence[float], sizes: Sizes, on_progress: Callable[[int], None] = lambda n_done: None
) -> Iterator[RegularPoint]:
    """Every product of shapes at each p of the grid, of which one has such norms and biases."""
    n, m = family.n_features, family.n_hidden
    every = [shapes for k in range(1, n + 1) for shapes in products(m, k)]
    for p in grid:
        sized = [(shapes, own) for shapes in every if (own := sizes.of(shapes, p)) is not None]
        yield from _at(family, p, sized, sizes.dead_bias(p))
        on_progress(1)


def _at(
    family: Family, p: float, found: Sequence[tuple[Sequence[Shape], list[Sized]]], dead_bias: float
) -> Iterator[RegularPoint]:
    n, m = family.n_features, family.n_hidden
    if not found:
        return
    stacks = zip(*(assembled(own, m, n, dead_bias) for _, own in found), strict=True)
    W, b = (torch.stack(stack) for stack in stacks)
    start = as_points(family.shapes(n, m), W, b)
    surface = independent(family, p, start)
    is_flat = surface.derivatives(start, of_one(start)).gradient.norm(dim=1) <= NO_GRADIENT
    point, is_stationary, rows = start.clone(), is_flat.clone(), (~is_flat).nonzero().flatten()
    if len(rows):
        near = nearest_stationary(start[rows], surface, of_one(start[rows]), REACH)
        point[rows], is_stationary[rows] = near.points, near.is_stationary
    at, smallest, verdicts = verdicts_at(surface, point)
    distance = (point - start).norm(dim=1)
    is_same = _are_same(columns_of(point, m, n), W)
    for i, (shapes, own) in enumerate(found):
        k = sum(shape.n_corners for shape in shapes)
        norms = torch.cat([each.columns.norm(dim=0) for each in own])
        yield RegularPoint(
            p,
            product_name(list(shapes), m),
            k,
            float(norms.mean()),
            float(b[i, :k].mean()),
            dead_bias,
            float(at.loss[i]),
            float(smallest[i]),
            verdicts[i] if is_stationary[i] and is_same[i] else NOT_STATIONARY,
            float(distance[i]),
        )


def _are_same(one: Float[Tensor, "point hidden feature"], other: Float[Tensor, "point hidden feature"]) -> list[bool]:
    """Whether both form the same shape."""
    names, others = find_polygons(one).names, find_polygons(other).names
    return [a == b for a, b in zip(names, others, strict=True)]
