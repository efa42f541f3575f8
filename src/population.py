"""The loss over the whole distribution of examples, not over a sample of it.

An example has some active features, uniform on [0, 1] and independent, and zeros elsewhere. So the population loss is a
sum over the sets of active features, each an integral over a cube. Here it is

    for any model   by quadrature: nodes x with weights, refined until two rules agree (`integrate`);
    for the ReLU output model   in closed form (`relu_losses`), with gradient and Hessian (`relu_derivatives`).

The closed form. With G = W^T W feature i is reconstructed as ReLU(z), z = G_i . x + b_i, so its loss is

    E[(x_i - z_+)^2] = E[x_i^2] - 2 E[x_i z_+] + E[z_+^2],

a function of row i of G and b_i alone. Integrating a power of z_+ along one x_j,

    int_0^1 (c + a t)_+^r / r! dt = ((c + a)_+^(r+1) - c_+^(r+1)) / ((r+1)! a),

leaves a sum over the corners of the cube, and the kink of the ReLU is met exactly. (These are the box splines of
de Boor, Hoellig and Riemenschneider 1993, "Box Splines".) Where a_j is too small to divide by, z hardly
varies along x_j, and two Gauss nodes take the place of the two corners. For b_i > 0 the corners are those of -z, since
z_+ = z + (-z)_+: then what is summed is no larger than the distance past the kink.

Everything is float64. Averaging the Hessian of single examples would be wrong: a kink that moves over an active x_i
has curvature too, which no example shows.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.special import roots_legendre
from torch import Tensor

MAX_FEATURES = 10  # of a distribution whose sets of active features are enumerated: 3^n corners for each feature
SMALL = 0.003  # of the largest entry of G_i on the support: below it an entry is not divided by
OTHER_SMALL = 0.001  # the same for the second evaluation, which the first one's error is estimated by
GAUSS = ((1 - 3**-0.5) / 2, (1 + 3**-0.5) / 2)
ENTRIES_AT_ONCE = 2**18  # of the largest array, so that temporaries stay in cache
UNSEEN = 1e-11  # of the loss of a model that returns 0: what both evaluations of the closed form may miss alike
TOLERANCE = 1e-6  # relative, of a population loss
SUMMARY_TOLERANCE = 3e-4
FIRST_TOLERANCE = 1e-3  # where refinement begins
REFINEMENT = 1.5  # points of a rule over those of the one before
MAX_NODES = 2**24  # of a quadrature rule for one instance, and
MAX_NODE_INSTANCES = 2**28  # for a stack, but no fewer than
MIN_NODES = 2**17
NODES_AT_ONCE = 2**16
KINK = 0.02  # error of a rule with one point, of a model's loss on the cube

CLOSED_FORM, QUADRATURE, SAMPLE = "closed form", "quadrature", "sample"


class Chunk(NamedTuple):
    """Examples and their weights, which sum to 1 over all chunks of a distribution."""

    x: Float[Tensor, "batch feature"]
    weights: Float[Tensor, " batch"]

    def dense_parts(self, size: int) -> Iterator["Chunk"]:
        """So many examples at a time, dense also where x is sparse."""
        if not self.x.is_sparse:
            yield from map(Chunk, self.x.split(size), self.weights.split(size))  # type: ignore[no-untyped-call]
            return
        for rows in torch.arange(len(self.weights), device=self.x.device).split(size):  # type: ignore[no-untyped-call]
            yield Chunk(self.x.index_select(0, rows).to_dense(), self.weights[rows])


class PopulationLosses(NamedTuple):
    """The loss over a distribution.

    Attributes:
        feature_losses: of each feature.
        loss: their mean.
        error: of the loss: an estimate of the deterministic error, or for a sample the standard error.
        method: `closed form`, `quadrature` or `sample`.
    """

    feature_losses: Float[Tensor, "instance feature"]
    loss: Float[Tensor, " instance"]
    error: Float[Tensor, " instance"]
    method: str


class SparseDistribution(NamedTuple):
    """How many features are active at once; all sets of that size are equally likely.

    Args:
        size_probabilities: of 0, 1, ... n active features.
    """

    size_probabilities: tuple[float, ...]

    @classmethod
    def independent(cls, n_features: int, feature_probability: float) -> "SparseDistribution":
        """Each feature is active with probability p on its own, as in "Toy Models of Superposition"."""
        n, p = n_features, feature_probability
        return cls(tuple(math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(n + 1)))

    @classmethod
    def one_at_a_time(cls, n_features: int) -> "SparseDistribution":
        """Exactly one feature is active, as in Chen et al. 2023, arXiv 2310.06301; the limit of p -> 0."""
        return cls((0.0, 1.0) + (0.0,) * (n_features - 1))

    @property
    def n_features(self) -> int:
        return len(self.size_probabilities) - 1

    @property
    def n_active(self) -> float:
        """How many features are active on average."""
        return sum(s * probability for s, probability in enumerate(self.size_probabilities))

    @property
    def n_active_pairs(self) -> float:
        """How many ordered pairs of features are active together on average."""
        return sum(s * (s - 1) * probability for s, probability in enumerate(self.size_probabilities))

    def summary(self) -> Chunk:
        """The whole as one chunk that is small enough to be evaluated often: a quadrature of moderate accuracy."""
        return quadrature_nodes(self, SUMMARY_TOLERANCE)


class Sample:
    """A distribution by a fixed sample, in equal independent chunks: for what cannot be enumerated."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self.chunks = chunks

    def summary(self) -> Chunk:
        """The first chunk, as if it were the whole."""
        x, weights = self.chunks[0]
        return Chunk(x, weights / weights.sum())


@lru_cache
@torch.inference_mode(False)  # what is kept may be needed where gradients are
def supports(n_features: int, size: int) -> Int[Tensor, "support active"]:
    """All sets of so many features."""
    return torch.tensor(list(itertools.combinations(range(n_features), size)))


# Any model.


def quadrature_points(distribution: SparseDistribution, tolerance: float) -> list[int]:
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


def quadrature_nodes(distribution: SparseDistribution, tolerance: float) -> Chunk:
    """The distribution as one chunk of nodes and weights, at a relative tolerance of about that much."""
    points = [0, *quadrature_points(distribution, tolerance)]
    sizes = [k for k, probability in enumerate(distribution.size_probabilities) if probability > 0]
    chunks = [chunk for size in sizes for chunk in _nodes(distribution, size, points[size])]
    return Chunk(torch.cat([x for x, _ in chunks]), torch.cat([weights for _, weights in chunks]))


def n_quadrature_nodes(distribution: SparseDistribution, tolerance: float) -> int:
    """How many nodes `quadrature_nodes` has."""
    n, points = distribution.n_features, [1, *quadrature_points(distribution, tolerance)]
    sizes = enumerate(distribution.size_probabilities)
    return sum(math.comb(n, size) * points[size] ** size for size, probability in sizes if probability > 0)


def _nodes(distribution: SparseDistribution, size: int, n_points: int) -> Iterator[Chunk]:
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
    distribution: SparseDistribution,
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
        others = sum(n_nodes(s, points[s]) for s in sizes if s != size)
        return others + n_nodes(size, math.ceil(REFINEMENT * points[size])) <= max_nodes

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


# The ReLU output model.


class Derivatives(NamedTuple):
    """The population loss of the ReLU output model, mean over features, and its derivatives.

    Parameters are W, row by row, and then b: `parameter` is hidden * feature + feature.
    """

    loss: Float[Tensor, " instance"]
    gradient: Float[Tensor, "instance parameter"]
    hessian: Float[Tensor, "instance parameter parameter"]


@torch.no_grad()
def relu_losses(
    W: Float[Tensor, "instance hidden feature"], b: Float[Tensor, "instance feature"], distribution: SparseDistribution
) -> PopulationLosses:
    """The population loss of x' = ReLU(W^T W x + b) in closed form.

    The error is estimated by a second evaluation that takes fewer entries of W^T W for small. It is no less than 1e-11
    of the loss of a model that returns 0: of a nearly perfect model, whose loss is far below that, it is a large share.
    """
    losses, others = [], []
    for rows in _rows(W, b).split(_at_once(distribution)):  # type: ignore[no-untyped-call]
        losses.append(_row_losses(rows, distribution, SMALL))
        others.append(_row_losses(rows, distribution, OTHER_SMALL))
    feature_losses = torch.cat(losses)
    loss = feature_losses.mean(dim=1)
    error = (torch.cat(others).mean(dim=1) - loss).abs() + UNSEEN * distribution.n_active / (
        3 * distribution.n_features
    )
    return PopulationLosses(feature_losses, loss, error, CLOSED_FORM)


def relu_derivatives(
    W: Float[Tensor, "instance hidden feature"], b: Float[Tensor, "instance feature"], distribution: SparseDistribution
) -> Derivatives:
    """The population loss of x' = ReLU(W^T W x + b) with its gradient and Hessian.

    Where the loss is not twice differentiable (b_i = 0, or b_i + G_ij = 0), the Hessian is that of one side.
    """
    size = _at_once(distribution)
    parts = [_derivatives(*part, distribution) for part in zip(W.split(size), b.split(size), strict=True)]  # type: ignore[no-untyped-call]
    return Derivatives(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _at_once(distribution: SparseDistribution) -> int:
    """Instances whose largest array, the corners of one size of support for every feature, stays in cache."""
    n = distribution.n_features
    largest = max(
        math.comb(n, s) * 2**s for s, probability in enumerate(distribution.size_probabilities) if probability
    )
    return max(1, ENTRIES_AT_ONCE // (n * largest))


def _rows(W: Tensor, b: Tensor) -> Float[Tensor, "instance feature column"]:
    """What each feature's loss depends on: its row of W^T W, and its bias behind it."""
    W, b = W.detach().double(), b.detach().double()
    return torch.cat([W.mT @ W, b.unsqueeze(-1)], dim=-1)


def _derivatives(W: Tensor, b: Tensor, distribution: SparseDistribution) -> Derivatives:
    """By the chain rule from the rows (G_i, b_i): each feature's loss depends on its own row alone."""
    W = W.detach().double()
    n_instances, m, n = W.shape
    with torch.inference_mode(False), torch.enable_grad():  # Lightning evaluates in inference mode
        rows = _rows(W, b).requires_grad_()
        losses = _row_losses(rows, distribution, SMALL) / n
        (row_gradient,) = torch.autograd.grad(losses.sum(), rows, create_graph=True)
        columns = [torch.autograd.grad(row_gradient[..., j].sum(), rows, retain_graph=True)[0] for j in range(n + 1)]
    row_gradient, row_hessian = row_gradient.detach(), torch.stack(columns, dim=-1)
    by_G = row_gradient[..., :n]
    both = by_G + by_G.mT  # G_ij = sum_k W_ki W_kj, so dL/dW = W (g + g^T)
    gradient = torch.cat([(W @ both).flatten(1), row_gradient[..., n]], dim=1)

    # d G_ij / d W_kc = [i = c] W_kj + [j = c] W_ki, and b_i is a parameter itself.
    identity = torch.eye(n, dtype=W.dtype, device=W.device)
    jacobian = W.new_zeros(n_instances, n, n + 1, m * n + n)
    of_G = torch.einsum("ic,xkj->xijkc", identity, W) + torch.einsum("jc,xki->xijkc", identity, W)
    jacobian[:, :, :n, : m * n] = of_G.flatten(3)
    jacobian[:, :, n, m * n :] = identity
    hessian = (jacobian.mT @ (row_hessian @ jacobian)).sum(dim=1)
    second = torch.einsum("kl,xcd->xkcld", torch.eye(m, dtype=W.dtype, device=W.device), both)
    hessian[:, : m * n, : m * n] += second.reshape(n_instances, m * n, m * n)
    return Derivatives(losses.detach().sum(dim=1), gradient, (hessian + hessian.mT) / 2)


def _row_losses(
    rows: Float[Tensor, "instance feature column"], distribution: SparseDistribution, small: float
) -> Float[Tensor, "instance feature"]:
    """Each feature's loss, from its row of G and its bias."""
    a, b = rows[..., :-1], rows[..., -1]
    n, probabilities = distribution.n_features, distribution.size_probabilities
    own, summed, squared = a.diagonal(dim1=-2, dim2=-1), a.sum(dim=-1), a.square().sum(dim=-1)
    one, two = distribution.n_active / n, distribution.n_active_pairs / (n * max(n - 1, 1))
    # For b > 0: z_+ = z + (-z)_+, whose first part has moments without a kink.
    is_positive = b.detach() > 0
    z_squared = b.square() + one * (b * summed + squared / 3) + two / 4 * (summed.square() - squared)
    x_z = one * (b / 2 + own / 3) + two / 4 * (summed - own)
    losses = one / 3 + torch.where(is_positive, z_squared - 2 * x_z, 0)
    sign = torch.where(is_positive, -1.0, 1.0).to(rows)
    a, b = sign.unsqueeze(-1) * a, sign * b
    for size in range(1, n + 1):  # without active features z_+ is now 0
        if probabilities[size] > 0:
            mean_square, mean_product = _moments(a, b, size, small)
            share = probabilities[size] / math.comb(n, size)
            losses = losses + share * (sign * mean_square - 2 * mean_product)
    return losses


def _moments(
    a: Float[Tensor, "instance feature feature"], b: Float[Tensor, "instance feature"], size: int, small: float
) -> tuple[Float[Tensor, "instance feature"], Float[Tensor, "instance feature"]]:
    """E[z_+^2] and E[x_i z_+], z = a_i . x + b_i, summed over the supports of a size.

    Along each active feature two corners: 0 and 1, with coefficients -1/a_j and 1/a_j and one more integration of the
    power, or Gauss's two nodes with weights 1/2 where a_j is small. With e integrations the power is z_+^r / r!,

        E[z_+^2] = 2 sum c P_(2+e),   E[x_i z_+] = sum c (v_i P_(1+e) - P_(2+e) / a_i),   P_r = z_+^r / r!,

    over corners v with coefficients c; the last term is absent where a_i is small.
    """
    n = a.shape[-1]
    support = supports(n, size).to(a.device)
    A = a[..., support]  # [instance, feature, support, active]
    magnitude = A.detach().abs()
    is_large = magnitude > small * magnitude.amax(dim=-1, keepdim=True)
    inverse = torch.where(is_large, 1 / torch.where(is_large, A, 1), 0)
    ends = [torch.where(is_large, end, node).to(A) for end, node in zip((0.0, 1.0), GAUSS, strict=True)]
    coefficients = [torch.where(is_large, inverse * end, 0.5) for end in (-1, 1)]
    z, c = b[..., None, None].expand(*A.shape[:-1], 1), A.new_ones(())
    for j in range(size):
        z = torch.cat([z + (A * end)[..., j : j + 1] for end in ends], dim=-1)
        c = torch.cat([c * coefficient[..., j : j + 1] for coefficient in coefficients], dim=-1)
    z = torch.relu(z)
    power = 1.0 + is_large.sum(dim=-1, keepdim=True).to(A)
    P = z.pow(power) * torch.exp(-torch.lgamma(power + 1))
    next_P = P * z / (power + 1)

    features = torch.arange(n, device=a.device).view(n, 1, 1)
    is_own = support == features  # [feature, support, active]
    place = is_own.long().argmax(dim=-1)
    corner = torch.arange(2**size, device=a.device)
    is_end = (corner >> place.unsqueeze(-1) & 1).to(A)  # at which corners x_i is at its second node

    def of_own(t: Tensor) -> Tensor:
        return t.gather(-1, place.unsqueeze(-1).expand(*t.shape[:-1], 1))

    v = of_own(ends[0]) + is_end * of_own(ends[1] - ends[0])
    product = (c * (v * P - of_own(inverse) * next_P)).sum(dim=-1) * is_own.any(dim=-1)
    return 2 * (c * next_P).sum(dim=(-2, -1)), product.sum(dim=-1)
