"""The loss over the whole distribution of examples, not over a sample of it.

An example has some active features, uniform on [0, 1] and independent, and zeros elsewhere. So the population loss is a
sum over the sets of active features, each an integral over a cube. Here it is

    for any model   by quadrature: nodes x with weights, refined until two rules agree (`integrate`);
    for the ReLU output model   in closed form, with gradient and Hessian (`closed_form.py`).

Everything is float64.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from scipy.special import roots_legendre
from torch import Tensor

from src.distributions.examples import Chunk, Sample
from src.distributions.supports import SupportSizes, supports
from src.population.losses import QUADRATURE, PopulationLosses

TOLERANCE = 1e-6  # relative, of a population loss
SUMMARY_TOLERANCE = 3e-4
FIRST_TOLERANCE = 1e-3  # where refinement begins
REFINEMENT = 1.5  # points of a rule over those of the one before
MAX_NODES = 2**24  # of a quadrature rule for one instance, and
MAX_NODE_INSTANCES = 2**28  # for a stack, but no fewer than
MIN_NODES = 2**17
MAX_POINTS = (
    4000  # along one axis, since finding Gauss's points takes time with their square: a jump would ask for more
)
NODES_AT_ONCE = 2**16
KINK = 0.02  # error of a rule with one point, of a model's loss on the cube


def quadrature_points(distribution: SupportSizes, tolerance: float) -> list[int]:
    """How many Gauss-Legendre points along each of 1, 2, ... n active features promise a relative tolerance.

    A rule that does not know where a model's kinks are errs by about N^(-(s+3)/2) in s dimensions: each of the N^(s-1)
    cells that a kink cuts by N^(-(s+1)), with signs as if by chance. (A kink across one feature alone, as in a square
    whose directions do not disturb each other, is met at the same place by every line of the grid: N^-2.)
    """
    probabilities = distribution.size_probabilities[1:]
    n_sizes = sum(probability > 0 for probability in probabilities)
    scale = tolerance * distribution.n_active / (3 * distribution.n_features)  # the loss of a model that returns 0
    return [
        max(2, math.ceil((KINK * n_sizes * probability / scale) ** (2 / (size + 3))))
        for size, probability in enumerate(probabilities, start=1)
    ]


def quadrature_nodes(distribution: SupportSizes, tolerance: float) -> Chunk:
    """The distribution as one chunk of nodes and weights, at a relative tolerance of about that much."""
    points = [0, *quadrature_points(distribution, tolerance)]
    sizes = [k for k, probability in enumerate(distribution.size_probabilities) if probability > 0]
    chunks = [chunk for size in sizes for chunk in _nodes(distribution, size, points[size])]
    return Chunk(torch.cat([x for x, _ in chunks]), torch.cat([weights for _, weights in chunks]))


def summary(population: SupportSizes | Sample) -> Chunk:
    """A whole distribution as one chunk that is small enough to be evaluated often.

    A quadrature of moderate accuracy or, of a sample, its first chunk as if it were the whole.
    """
    if not isinstance(population, Sample):
        return quadrature_nodes(population, SUMMARY_TOLERANCE)
    x, weights = population.chunks[0]
    return Chunk(x, weights / weights.sum())


def n_quadrature_nodes(distribution: SupportSizes, tolerance: float) -> int:
    """How many nodes `quadrature_nodes` has."""
    n, points = distribution.n_features, [1, *quadrature_points(distribution, tolerance)]
    sizes = enumerate(distribution.size_probabilities)
    return sum(math.comb(n, size) * points[size] ** size for size, probability in sizes if probability > 0)


def _nodes(distribution: SupportSizes, size: int, n_points: int) -> Iterator[Chunk]:
    """The part of the distribution with so many active features, by the product rule on each cube."""
    n, probability = distribution.n_features, distribution.size_probabilities[size]
    if size == 0:
        yield Chunk(torch.zeros(1, n, dtype=torch.float64), torch.full((1,), probability, dtype=torch.float64))
        return
    node, weight = _gauss_legendre(n_points)
    grid, weights = (torch.cartesian_prod(*[t] * size).reshape(-1, size) for t in (node, weight))
    every = supports(n, size)
    weights = weights.prod(dim=1) * (probability / len(every))
    for some in every.split(max(1, NODES_AT_ONCE // len(grid))):  # type: ignore[no-untyped-call]
        x = grid.new_zeros(len(some), len(grid), n)
        x.scatter_(2, some.unsqueeze(1).expand(-1, len(grid), -1), grid.expand(len(some), -1, -1))
        yield Chunk(x.flatten(0, 1), weights.repeat(len(some)))


@lru_cache
@torch.inference_mode(False)
def _gauss_legendre(n_points: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1]."""
    node, weight = roots_legendre(n_points)
    return torch.from_numpy((node + 1) / 2), torch.from_numpy(weight / 2)


@torch.no_grad()
def integrate(
    weighted_losses: Callable[[Tensor, Tensor], Tensor],
    distribution: SupportSizes,
    tolerance: float = TOLERANCE,
    max_nodes: int = MAX_NODES,
) -> PopulationLosses:
    """The population loss of any model by quadrature, refined until its estimated error is below the tolerance.

    The number of points is raised for each size of the set of active features on its own. The error is estimated by
    what the last refinement of each size has changed, and no less than the last estimate divided by what a refinement
    gains at the slowest, N^-2: two rules may agree by chance.

    Args:
        weighted_losses: from x [batch, feature] and weights [batch] to the losses [instance, feature] summed with them.
        tolerance: relative, of the loss of every instance. Up to p = 0.1 it is usually met; with many features active
            at once, or kinks along the axes, the largest rule may stop at 1e-5 or worse.
        max_nodes: the last rule has no more nodes than this, even if the tolerance is not met; `error` says what is.
    """

    def part(size: int) -> Tensor:
        chunks = _nodes(distribution, size, points[size])
        return sum((weighted_losses(*chunk).double() for chunk in chunks), torch.zeros(()))

    def n_nodes(size: int, n_points: int) -> int:
        return math.comb(n, size) * n_points**size

    def is_allowed(size: int) -> bool:
        others, finer = sum(n_nodes(s, points[s]) for s in sizes if s != size), math.ceil(REFINEMENT * points[size])
        return others + n_nodes(size, finer) <= max_nodes and finer <= MAX_POINTS

    n, probabilities = distribution.n_features, distribution.size_probabilities
    sizes = [size for size in range(1, n + 1) if probabilities[size] > 0]
    points = [0, *quadrature_points(distribution, FIRST_TOLERANCE)]
    parts = {size: part(size) for size in range(n + 1) if probabilities[size] > 0}
    unknown = set(sizes)
    changes = {size: torch.zeros_like(parts[size][:, 0]) for size in sizes}
    max_nodes = min(max_nodes, max(MIN_NODES, MAX_NODE_INSTANCES // len(parts[sizes[0]])))
    while True:
        losses = sum(parts.values(), torch.zeros(()))
        loss, error = losses.mean(dim=1), sum(changes.values(), torch.zeros(()))
        known = loss.isfinite()  # more nodes tell nothing of the others
        relative = {size: torch.where(known, changes[size] / loss, 0) for size in sizes if is_allowed(size)}
        shares = {size: float(own.max()) for size, own in relative.items()}
        is_met = (~known | (error <= tolerance * loss)).all()
        if unknown:
            size = unknown.pop()
        elif is_met or max(shares.values(), default=0.0) * len(sizes) <= tolerance:
            return PopulationLosses(losses, loss, error, QUADRATURE)
        else:
            size = max(shares, key=shares.__getitem__)
        points[size], coarse = math.ceil(REFINEMENT * points[size]), parts[size]
        parts[size] = part(size)
        changes[size] = torch.maximum((parts[size] - coarse).mean(dim=1).abs(), changes[size] / REFINEMENT**2)
