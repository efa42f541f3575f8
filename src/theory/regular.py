"""Regular polygons, solids and their products as critical points of any pointwise model, with best norms and biases.

What leaves a configuration as it is, rotations that permute its columns, leaves the loss as it is. So where the loss is
stationary among the configurations of the same symmetry, it is stationary at all (Palais 1979, "The principle of
symmetric criticality"). Those are few numbers: the coefficients of a shape (`src.geometry.shapes`), one where only its
size is free, and a bias for each kind of corner. Blocks of a product are orthogonal and do not disturb each other, so
that the least loss of each is found by itself. All other features are dead.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.distributions.supports import SupportSizes
from src.geometry.shapes import Shape, shapes_of
from src.population.derivatives import Derivatives
from src.population.surface import Points, Surface
from src.theory.family import Family, as_points, columns_of
from src.theory.stationary import search

NORMS = (0.7, 0.9, 1.1, 1.3, 1.5, 1.8, 2.2)  # from which the least loss is looked for, with each of
BIASES = (-3.0, -2.0, -1.2, -0.6, -0.3, -0.1, 0.05, 0.3)
DEAD_BIASES = (-6.0, -5.0, -4.0, *BIASES, 0.001, 0.01)
ACTIVE_AT_ONCE = 2  # at most, where it is looked for
N_BEST = 3  # of those that the loss is descended from
SHORTEST = 0.3  # columns below it are not those of the shape any more
FAR, LONG = 10.0, 200  # reach and steps of the descent


@dataclass(frozen=True)
class Sized:
    """A shape with its best norms and biases at one p.

    Attributes:
        columns: its corners' columns of W.
        biases: of its corners.
    """

    shape: Shape
    columns: Float[Tensor, "dimension corner"]
    biases: Float[Tensor, " corner"]


class Restricted(Surface):
    """A population loss on a linear subspace of the parameters, of which a point has the coefficients."""

    def __init__(self, whole: Surface, basis: Float[Tensor, "coefficient parameter"]) -> None:
        super().__init__({})
        self.whole, self.basis = whole, basis
        self.gradient_norm = whole.gradient_norm

    def derivatives(self, points: Points, instances: Int[Tensor, " instance"]) -> Derivatives:
        at = self.whole.derivatives(points @ self.basis, instances)
        return Derivatives(at.loss, at.gradient @ self.basis.mT, self.basis @ at.hessian @ self.basis.mT)


def products(n_hidden: int, n_corners: int) -> Iterator[tuple[Shape, ...]]:
    """All products of shapes with so many corners that fit into the hidden space, larger shapes first."""
    own = [shape for k in range(1, n_corners + 1) for shape in shapes_of(k) if shape.dimension <= n_hidden]
    for n_shapes in range(1, n_hidden + 1):
        for chosen in itertools.combinations_with_replacement(own, n_shapes):
            fits = sum(shape.dimension for shape in chosen) <= n_hidden
            if fits and sum(shape.n_corners for shape in chosen) == n_corners:
                yield tuple(sorted(chosen, key=lambda shape: (-shape.n_corners, -shape.dimension, shape.name)))


def best_dead_bias(family: Family, p: float) -> float:
    """The bias of least loss of a feature whose column is 0; 0 where biases are no parameters."""
    shapes = family.shapes(1, 1)
    if "b" not in shapes:
        return 0.0
    basis = as_points(shapes, torch.zeros(1, 1, 1).double(), torch.ones(1, 1).double())
    found = _least(family, p, basis, torch.tensor(DEAD_BIASES).double().unsqueeze(1), (1, 1), 0.0, len(DEAD_BIASES))
    return 0.0 if found is None else float(found[0])


def best_size(family: Family, shape: Shape, p: float) -> Sized | None:
    """The norms and biases of least loss at probability p; None where the least is that of shorter columns."""
    k, m = shape.n_corners, shape.dimension
    shapes, patterns = family.shapes(k, m), torch.from_numpy(shape.patterns).double()
    n, kinds = len(patterns), _kinds(patterns)
    basis = as_points(shapes, patterns, torch.zeros(n, k).double())
    members = torch.from_numpy(shape.members).double() if len(shape.members) else torch.ones(1, 1).double()
    members = members / torch.einsum("xc,cdk->xdk", members, patterns)[:, :, 0].norm(dim=1, keepdim=True)
    starts = torch.cat([norm * members for norm in NORMS])
    if "b" in shapes:
        basis = torch.cat([basis, as_points(shapes, torch.zeros(len(kinds), m, k).double(), kinds)])
        biases = torch.tensor(BIASES).double().repeat_interleave(len(starts)).unsqueeze(1)
        starts = torch.cat([starts.repeat(len(BIASES), 1), biases.expand(-1, len(kinds))], dim=1)
    found = _least(family, p, basis, starts, (m, k), SHORTEST, N_BEST)
    if found is None:
        return None
    biases = found[n:] @ kinds if "b" in shapes else torch.zeros(k).double()
    return Sized(shape, torch.einsum("c,cdk->dk", found[:n], patterns), biases)


@dataclass
class Sizes:
    """The best norms and biases of a model's shapes, each solved for once at each p."""

    family: Family

    def __post_init__(self) -> None:
        self._dead: dict[float, float] = {}
        self._sized: dict[tuple[Shape, float], Sized | None] = {}

    def dead_bias(self, p: float) -> float:
        if p not in self._dead:
            self._dead[p] = best_dead_bias(self.family, p)
        return self._dead[p]

    def of(self, shapes: Sequence[Shape], p: float) -> list[Sized] | None:
        """Of a product's shapes; None where one of them has none."""
        for shape in set(shapes):
            if (shape, p) not in self._sized:
                self._sized[shape, p] = best_size(self.family, shape, p)
        found = [own for shape in shapes if (own := self._sized[shape, p]) is not None]
        return found if len(found) == len(shapes) else None


def assembled(
    sized: Sequence[Sized], n_hidden: int, n_features: int, dead_bias: float
) -> tuple[Float[Tensor, "hidden feature"], Float[Tensor, " feature"]]:
    """W and b of a product: each shape in dimensions of its own, and all other features dead."""
    blocks = torch.block_diag(*(own.columns for own in sized))  # type: ignore[no-untyped-call]
    W = torch.zeros(n_hidden, n_features, dtype=torch.float64)
    W[: blocks.shape[0], : blocks.shape[1]] = blocks
    b = torch.full((n_features,), dead_bias, dtype=torch.float64)
    b[: blocks.shape[1]] = torch.cat([own.biases for own in sized])
    return W, b


def _kinds(patterns: Float[Tensor, "coefficient dimension corner"]) -> Float[Tensor, "kind corner"]:
    """Which corners are alike: those whose parts, one of each coefficient, have the same lengths and angles."""
    inner = torch.einsum("cdk,edk->kce", patterns, patterns).flatten(1)
    _, kind = torch.unique((inner * 1e6).round(), dim=0, return_inverse=True)
    return torch.nn.functional.one_hot(kind).mT.double()


def _least(
    family: Family, p: float, basis: Tensor, starts: Tensor, size: tuple[int, int], shortest: float, n_best: int
) -> Float[Tensor, " coefficient"] | None:
    """The coefficients of least loss, from the best starts of those given; None if a column is too short there."""
    n_hidden, n_features = size
    distribution = SupportSizes.independent(n_features, p)
    probabilities = enumerate(distribution.size_probabilities)
    few = SupportSizes(tuple(own if n <= ACTIVE_AT_ONCE else 0.0 for n, own in probabilities))
    rough = family.surface(few, starts @ basis, n_hidden)
    losses = rough.derivatives(starts @ basis, torch.zeros(len(starts)).long()).loss
    chosen = starts[losses.argsort()[:n_best]]
    surface, nobody = family.surface(distribution, chosen @ basis, n_hidden), torch.zeros(len(chosen)).long()
    found, is_stationary = search(chosen, Restricted(surface, basis), nobody, FAR, True, LONG)
    is_kept = is_stationary & (columns_of(found @ basis, *size).norm(dim=1).amin(dim=1) >= shortest)
    if not is_kept.any():
        return None
    return found[surface.derivatives(found @ basis, nobody).loss.masked_fill(~is_kept, torch.inf).argmin()]
