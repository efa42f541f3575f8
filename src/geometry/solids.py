"""Names for what the learned columns form, in any number of hidden dimensions.

Toy models split their hidden space into orthogonal parts, and in each part columns form a regular shape: an antipodal
pair, a triangle, a tetrahedron, a square antiprism. The whole is the shapes' tegum product (Elhage et al. 2022, "Toy
Models of Superposition", "The Geometry of Superposition"), and has a name of its own where it is well known: two
digons are a square, three an octahedron, a pentagon and a digon a pentagonal bipyramid.

So the columns are split into blocks, of which any two are as good as orthogonal; each block is compared with the shapes
in `src.geometry.shapes`; and the product that is chosen is laid through the columns as a whole, its blocks exactly
orthogonal and each of a size of its own. What is left over is the residual.
"""

from collections import defaultdict
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from src.geometry.fitting import fit, place
from src.geometry.roles import joined
from src.geometry.shapes import DIGON, NAMES, SINGLE, Shape, shapes_of

# About 6 degrees or a tenth of the length, root mean square.
REGULAR_WITHIN = 0.1
NEGLIGIBLE = 0.01  # a smaller difference of residuals favours no shape
# Columns whose cosine is larger are in one block. Within a block the smallest cosine of neighbours is 1 / 3 in a
# tetrahedron, 1 / d in a simplex of d dimensions. Across blocks it is 0, but 0.3 where one of six columns holds all the
# residual that is allowed. No single limit tells the two apart, so that each split is tried that one of these gives.
BLOCK_COSINES = (0.1, 0.15, 0.2, 0.25, 0.3)
ADJECTIVES = {3: "triangular", 5: "pentagonal", 6: "hexagonal", 7: "heptagonal", 8: "octagonal"}

Block = tuple[int, ...]  # the numbers of its columns
Split = tuple[Block, ...]


class _Choice(NamedTuple):
    """A shape for a block, and which column is which corner of it."""

    shape: Shape
    residual: float
    order: Block
    coefficients: ndarray


def _rank(residual: float, n_coefficients: int) -> tuple[bool, float]:
    """What to choose a shape by: one that is near enough first; of those, a simple one unless another is much nearer.

    An octagon that is a little off is nearer still to a flat square antiprism, which has a coefficient more.
    """
    is_near = residual <= REGULAR_WITHIN
    return not is_near, (residual + NEGLIGIBLE) * n_coefficients if is_near else residual


def nearest_shapes(
    W: Float[Tensor, "instance hidden feature"], learned: Bool[Tensor, "instance feature"]
) -> tuple[list[str], Float[Tensor, " instance"]]:
    """The configuration nearest to the learned columns: its name, and the distance as a share of their Frobenius norm.

    The distance is NaN, and the name empty, where nothing is learned or a learned column is not finite.
    """
    columns = W.detach().double().cpu().masked_fill(~learned.cpu().unsqueeze(1), 0)
    columns = columns / columns.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-300)
    is_known = learned.cpu().any(dim=1) & columns.isfinite().all(dim=2).all(dim=1)
    known = is_known.nonzero().squeeze(1).tolist()
    stack = columns[is_known]
    splits = _splits(stack, learned.cpu()[is_known])
    choices = _choices(stack.numpy(), splits)
    candidates = [
        (i, product)
        for i, own in enumerate(splits)
        for split in own
        if (product := _product(i, split, choices, W.shape[1])) is not None
    ]
    residuals = _residuals(stack.numpy(), candidates)
    best: dict[int, tuple[tuple[bool, float], float, str]] = {}
    for (i, product), residual in zip(candidates, residuals, strict=True):
        rank = _rank(residual, sum(choice.shape.n_coefficients for choice in product))
        if i not in best or rank < best[i][0]:
            best[i] = rank, residual, product_name([choice.shape for choice in product], W.shape[1])
    names, distance = [""] * len(W), torch.full((len(W),), torch.nan, dtype=torch.float64)
    for i, (_, residual, name) in best.items():
        names[known[i]], distance[known[i]] = name, residual
    return names, distance


def product_name(shapes: list[Shape], n_hidden: int) -> str:
    """The name of the tegum product of shapes, larger ones first."""
    names = [shape.name for shape in shapes]
    n = len(names)
    if set(names) == {SINGLE}:
        return {1: SINGLE, 2: "orthogonal pair"}.get(n, f"{n} orthogonal")
    if set(names) == {DIGON}:
        alone = "antipodal pair" if n_hidden == 1 else DIGON
        return {1: alone, 2: NAMES[4], 3: "octahedron"}.get(n, f"{n}-cross-polytope")
    if n == 2 and names[1] == DIGON and shapes[0].dimension == 2:
        k = shapes[0].n_corners
        return f"{ADJECTIVES.get(k, f'{k}-gonal')} bipyramid"
    return " x ".join(names)


def _splits(W: Float[Tensor, "instance hidden feature"], learned: Bool[Tensor, "instance feature"]) -> list[set[Split]]:
    """The ways to split each instance's learned columns into blocks; all of them as one block is always a way."""
    own = [np.flatnonzero(row) for row in learned.numpy()]
    splits: list[set[Split]] = [{(tuple(columns.tolist()),)} for columns in own]
    for limit in BLOCK_COSINES:
        numbers = joined(W, learned, partial(_is_large, limit)).numpy()
        for i, columns in enumerate(own):
            blocks = defaultdict(list)
            for column, number in zip(columns.tolist(), numbers[i, columns].tolist(), strict=True):
                blocks[number].append(column)
            splits[i].add(tuple(map(tuple, blocks.values())))
    return splits


def _is_large(limit: float, cosine: Tensor) -> Tensor:
    return cosine.abs() > limit


def _choices(
    W: Float[ndarray, "instance hidden feature"], splits: list[set[Split]]
) -> dict[tuple[int, Block], _Choice]:
    """The best shape for each block of each instance by itself; none where no shape has room."""
    by_size = defaultdict(list)
    for i, block in dict.fromkeys((i, block) for i, own in enumerate(splits) for split in own for block in split):
        by_size[len(block)].append((i, block))
    best: dict[tuple[int, Block], tuple[tuple[bool, float], _Choice]] = {}
    for size, keys in by_size.items():
        rows, blocks = np.array([i for i, _ in keys]), np.array([block for _, block in keys])
        V = np.take_along_axis(W[rows], blocks[:, None], axis=2)
        for shape in shapes_of(size):
            if shape.dimension > W.shape[1]:
                continue
            placed = place(V, shape)
            orders = np.take_along_axis(blocks, placed.order, axis=1).tolist()
            found = zip(keys, placed.residual.tolist(), orders, placed.coefficients, strict=True)
            for key, residual, order, coefficients in found:
                choice = _Choice(shape, residual, tuple(order), coefficients)
                rank = _rank(residual, shape.n_coefficients)
                if key not in best or rank < best[key][0]:
                    best[key] = rank, choice
    return {key: choice for key, (_, choice) in best.items()}


def _product(
    instance: int, split: Split, choices: dict[tuple[int, Block], _Choice], n_hidden: int
) -> list[_Choice] | None:
    """The shapes of a split's blocks, larger ones first, or None where they do not fit into so many dimensions."""
    found = [choices[instance, block] for block in split if (instance, block) in choices]
    if len(found) < len(split) or sum(choice.shape.dimension for choice in found) > n_hidden:
        return None
    return sorted(found, key=lambda c: (-c.shape.n_corners, -c.shape.dimension, c.shape.name, c.residual))


def _residuals(
    W: Float[ndarray, "instance hidden feature"], candidates: list[tuple[int, list[_Choice]]]
) -> list[float]:
    """How far each instance's columns are from a product of mutually orthogonal shapes."""
    residuals = [product[0].residual for _, product in candidates]
    alike = defaultdict(list)
    for k, (_, product) in enumerate(candidates):
        if len(product) > 1:
            alike[tuple(choice.shape for choice in product)].append(k)
    for shapes, members in alike.items():
        rows = np.array([candidates[k][0] for k in members])
        orders = np.array([[i for choice in candidates[k][1] for i in choice.order] for k in members])
        coefficients = np.array([np.concatenate([c.coefficients for c in candidates[k][1]]) for k in members])
        V = np.take_along_axis(W[rows], orders[:, None], axis=2)
        found = fit(V, _side_by_side(shapes), coefficients).residual.tolist()
        for k, residual in zip(members, found, strict=True):
            residuals[k] = residual
    return residuals


def _side_by_side(shapes: tuple[Shape, ...]) -> Float[ndarray, "coefficient dimension corner"]:
    """The patterns of a product: each shape in dimensions of its own, with corners of its own."""
    sizes = np.array([shape.patterns.shape for shape in shapes])
    patterns = np.zeros(sizes.sum(axis=0))
    first = np.zeros(3, dtype=int)
    for shape, size in zip(shapes, sizes, strict=True):
        own = tuple(slice(start, start + length) for start, length in zip(first, size, strict=True))
        patterns[own] = shape.patterns
        first += size
    return patterns
