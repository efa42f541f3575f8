"""The loss over the whole distribution of examples, not over a sample of it.

An example has some active features, uniform and independent, and zeros elsewhere. So the population loss is a sum over
the sets of active features, each an integral over a cube. Here it is

    for any model   by quadrature: nodes x with weights, refined until two rules agree (`integrate`);
    for one whose answer is a function of z entry by entry   in closed form (`closed_form.py`), or by a quadrature that
        knows its kinks (`row_quadrature.py`), with gradient and Hessian.

Everything is float64.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from scipy.special import roots_legendre
from torch import Tensor

from src.distributions.examples import Chunk, Sample
from src.distributions.supports import MAX_FEATURES, Enumerated
from src.distributions.values import Values
from src.population.losses import QUADRATURE, PopulationLosses

TOLERANCE = 1e-6  # relative, of a population loss
SUMMARY_TOLERANCE = 3e-4
FIRST_TOLERANCE = 1e-3  # where refinement begins
REFINEMENT = 1.5  # points of a rule over those of the one before
MAX_NODES = 2**19  # of a quadrature rule for one instance, and
MAX_NODE_INSTANCES = 2**26  # for a stack, but no fewer than
MIN_NODES = 2**17
MAX_POINTS = (
    4000  # along one axis, since finding Gauss's points takes time with their square: a jump would ask for more
)
NODES_AT_ONCE = 2**16
KINK = 0.02  # error of a rule with one point, of a model's loss on the cube


def quadrature_points(distribution: Enumerated, tolerance: float) -> list[int]:
    """How many Gauss-Legendre points along each of 1, 2, ... n active features promise a relative tolerance.

    A rule that does not know where a model's kinks are errs by about N^(-(s+3)/2) in s dimensions: each of the N^(s-1)
    cells that a kink cuts by N^(-(s+1)), with signs as if by chance. (A kink across one feature alone, as in a square
    whose directions do not disturb each other, is met at the same place by every line of the grid: N^-2.)
    """
    probabilities = distribution.size_probabilities[1:]
    n_sizes = sum(probability > 0 for probability in probabilities)
    scale = tolerance * distribution.n_active / (3 * distribution.n_features)  # the loss of a model that returns 0
    least = 2 if distribution.n_features <= MAX_FEATURES else 1  # of more, 2^n nodes are too many
    return [
        max(least, math.ceil((KINK * n_sizes * probability / scale) ** (2 / (size + 3))))
        for size, probability in enumerate(probabilities, start=1)
    ]


def quadrature_nodes(distribution: Enumerated, tolerance: float) -> Chunk:
    """The distribution as one chunk of nodes and weights, at a relative tolerance of about that much."""
    points = [0, *quadrature_points(distribution, tolerance)]
    sizes = [k for k, probability in enumerate(distribution.size_probabilities) if probability > 0]
    chunks = [chunk for size in sizes for chunk in nodes_of_size(distribution, size, points[size])]
    return Chunk(torch.cat([x for x, _ in chunks]), torch.cat([weights for _, weights in chunks]))


def summary(population: Enumerated | Sample) -> Chunk:
    """A whole distribution as one chunk that is small enough to be evaluated often.

    A quadrature of moderate accuracy or, of a sample, its first chunk as if it were the whole.
    """
    if not isinstance(population, Sample):
        is_wide = population.n_features > MAX_FEATURES
        return quadrature_nodes(population, FIRST_TOLERANCE if is_wide else SUMMARY_TOLERANCE)
    x, weights = population.chunks[0]
    return Chunk(x, weights / weights.sum())


def n_quadrature_nodes(distribution: Enumerated, tolerance: float) -> int:
    """How many nodes `quadrature_nodes` has."""
    points = [1, *quadrature_points(distribution, tolerance)]
    sizes = [size for size, probability in enumerate(distribution.size_probabilities) if probability > 0]
    return sum(n_nodes_of_size(distribution, size, points[size]) for size in sizes)


def n_nodes_of_size(distribution: Enumerated, size: int, n_points: int) -> int:
    """How many nodes `nodes_of_size` has."""
    values = distribution.values
    along = 1 if values.width == 0 else 2 * n_points if values.has_both_signs else n_points
    return len(distribution.sets(size)) * along**size


def nodes_of_size(distribution: Enumerated, size: int, n_points: int) -> Iterator[Chunk]:
    """The part of the distribution with so many active features, by the product rule on each cube."""
    n, probability = distribution.n_features, distribution.size_probabilities[size]
    if size == 0:
        yield Chunk(torch.zeros(1, n, dtype=torch.float64), torch.full((1,), probability, dtype=torch.float64))
        return
    grid, weights = (
        torch.cartesian_prod(*[t] * size).reshape(-1, size) for t in _along_an_axis(n_points, distribution.values)
    )
    every, share = distribution.sets(size), distribution.share(size)
    weights, n_at_once = weights.prod(dim=1), max(1, NODES_AT_ONCE // len(grid))
    shares = (
        share if isinstance(share, Tensor) else torch.full((len(every),), probability / len(every), dtype=torch.float64)
    )
    for some, own in zip(every.split(n_at_once), shares.split(n_at_once), strict=True):  # type: ignore[no-untyped-call]
        x = grid.new_zeros(len(some), len(grid), n)
        x.scatter_(2, some.unsqueeze(1).expand(-1, len(grid), -1), grid.expand(len(some), -1, -1))
        yield Chunk(x.flatten(0, 1), (own.unsqueeze(1) * weights).flatten())


def _along_an_axis(n_points: int, values: Values) -> tuple[Tensor, Tensor]:
    """Nodes and weights of one active feature: where its values have both signs, so many on each side of 0."""
    if values.width == 0:
        return torch.tensor([values.high]).double(), torch.ones(1).double()
    node, weight = _gauss_legendre(n_points)
    if values.has_both_signs:
        nodes = torch.cat([values.low * node.flip(0), values.high * node])
        return nodes, torch.cat([-values.low * weight.flip(0), values.high * weight]) / values.width
    return values.of(node), weight


@lru_cache
@torch.inference_mode(False)
def _gauss_legendre(n_points: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1]."""
    node, weight = roots_legendre(n_points)
    return torch.from_numpy((node + 1) / 2), torch.from_numpy(weight / 2)


@torch.no_grad()
def integrate(
    weighted_losses: Callable[[Tensor, Tensor], Tensor],
    distribution: Enumerated,
    tolerance: float = TOLERANCE,
    max_nodes: int = MAX_NODES,
) -> PopulationLosses:
    """The population loss of any model by quadrature, refined until its estimated error is below the tolerance.

    The number of points is raised for each size of the set of active features on its own. The error is estimated by
    what the last refinement of each size has changed, and no less than the last estimate divided by what a refinement
    gains at the slowest, N^-2: two rules may agree by chance.

    Args:
        weighted_losses: from x [batch, feature] and weights [batch] to the losses [instance, feature] summed with them.
        tolerance: relative, of the loss of every instance. The largest rule, which takes about as long as a thousand
            steps of training, may stop at 1e-5 or worse where a model has kinks.
        max_nodes: the last rule has no more nodes than this, even if the tolerance is not met; `error` says what is.
    """

    def part(size: int) -> Tensor:
        chunks = nodes_of_size(distribution, size, points[size])
        return sum((weighted_losses(*chunk).double() for chunk in chunks), torch.zeros(()))

    def is_allowed(size: int) -> bool:
        others = sum(n_nodes_of_size(distribution, s, points[s]) for s in sizes if s != size)
        finer = math.ceil(REFINEMENT * points[size])
        return others + n_nodes_of_size(distribution, size, finer) <= max_nodes and finer <= MAX_POINTS

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
