"""Which geometry is best at which p: stationary points of the population loss, followed as p changes.

A branch is a stationary point of the ReLU output model continued in the feature probability: each next point is
extrapolated from the last two and solved for anew. It ends where no stationary point is found near by, even in smaller
steps: where it meets another branch and both cease to be.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from src.closed_form import relu_derivatives
from src.geometry import IRREGULAR, NAMES, find_polygons
from src.population import SparseDistribution
from src.stationary import FLAT, classify, flatten, search, spectra, unflatten
from src.theory import MAX_VERTICES, best_norm_and_bias

STUB, OVERLAP = 0.33, 0.8  # norms of columns that are not learned, or share a direction, to start from
DEAD = 1e-4  # a column shorter than this is dead, not a stub
STARTS = (0.0, 0.5, 1.0)  # where between the lowest and the highest p branches are looked for, in log p
START_REACH = 1.0  # how far from a constructed configuration its stationary point may lie
STEP_REACH = 0.1  # how far from an extrapolated one
N_NEWTON = 12  # steps from an extrapolated point
NUDGE = 0.03  # how far downhill from a saddle a descent begins
N_HALVINGS = 4  # of a step in p that fails
SAME_LOSS = 1e-9  # relative: two stationary points at one p that differ by less are the same up to symmetry


@dataclass
class Branch:
    """One stationary point over the grid of p, NaN where it does not exist.

    Attributes:
        name: its geometry, and what the columns that are not learned are.
        points: W row by row and then b, at each p of the grid.
        loss: mean over features.
        min_eigenvalue: the smallest that is not zero.
        verdicts: `minimum`, `saddle` or `degenerate`; empty where there is none.
    """

    name: str
    points: Float[Tensor, "p parameter"]
    loss: Float[Tensor, " p"]
    min_eigenvalue: Float[Tensor, " p"]
    verdicts: list[str]


@dataclass(frozen=True)
class Crossing:
    """Where the best geometry changes.

    Attributes:
        p: where the two have the same loss; NaN if one of them ends before.
        below, above: the branch that is best for smaller, and for larger p.
    """

    p: float
    below: str
    above: str


def probabilities(low: float, high: float, n_points: int) -> list[float]:
    """A grid of p, evenly spaced in log p."""
    return torch.logspace(math.log10(low), math.log10(high), n_points, dtype=torch.float64).tolist()


def candidates(n_features: int) -> Float[Tensor, "candidate parameter"]:
    """Configurations near which stationary points are looked for: polygons, and in different ways what is left over.

    The n - k features that are no vertex of a k-gon are dead; or stubs, all on one direction or one on each; or the
    first of them shares a direction evenly.
    """
    found = []
    for k in range(2, min(n_features, MAX_VERTICES) + 1):
        norm, bias = best_norm_and_bias(k)
        angle = torch.arange(k, dtype=torch.float64) * (2 * math.pi / k)
        directions = torch.stack([angle.cos(), angle.sin()])
        n_left = n_features - k
        ways: list[tuple[list[int], float]] = [([0] * n_left, 0.0)]
        if n_left:
            ways += [([0] * n_left, STUB), ([0] * n_left, OVERLAP)]
        if n_left > 1:
            ways += [([j % k for j in range(n_left)], STUB), ([2 * j % k for j in range(n_left)], STUB)]
            ways += [([j % k for j in range(n_left)], OVERLAP)]
        for places, length in ways:
            W = torch.cat([norm * directions, length * directions[:, places]], dim=1)
            b = torch.tensor([bias] * k + [0.01] * n_left, dtype=torch.float64)
            if length == OVERLAP:
                W[:, places] = OVERLAP * directions[:, places]
                b[k:] = bias / 2
            found.append(flatten(W.unsqueeze(0), b.unsqueeze(0)))
    return torch.cat(found)


def follow(
    n_features: int,
    grid: Sequence[float],
    on_progress: Callable[[int], None] = lambda n_done: None,
) -> list[Branch]:
    """All branches that the candidates lead to, over the whole grid.

    Args:
        grid: ascending probabilities.
        on_progress: called with the number of grid points done since it was last called, of `len(STARTS) * len(grid)`.
    """
    branches: list[Branch] = []
    for share in STARTS:
        start = round(share * (len(grid) - 1))
        known = [float(branch.loss[start]) for branch in branches]
        new = stationary_points(n_features, grid[start], known)
        points = torch.full((len(grid), *new.shape), torch.nan, dtype=torch.float64)
        points[start] = new
        on_progress(1)
        for order in (range(start, len(grid)), range(start, -1, -1)):
            for before, at, to in zip([start, *order], order, order[1:], strict=False):
                points[to] = _advance(points[at], points[before], grid[before], grid[at], grid[to], n_features)
                on_progress(1)
        branches += [_describe(points[:, j], n_features, grid) for j in range(len(new))]
    branches.sort(key=lambda branch: float(branch.loss.nan_to_num(math.inf).amin()))
    names = [branch.name for branch in branches]
    for k, branch in enumerate(branches):
        if names.count(branch.name) > 1:
            branch.name += f" ({names[: k + 1].count(branch.name)})"
    return branches


def stationary_points(
    n_features: int, feature_probability: float, known: Sequence[float] = ()
) -> Float[Tensor, "point parameter"]:
    """The stationary points that the candidates lead to by Newton's method and by descent, and those below saddles.

    Args:
        known: losses of points that are not wanted again.
    """
    distribution = SparseDistribution.independent(n_features, feature_probability)
    losses = list(known)

    def new_ones(start: Tensor, descend: bool) -> Tensor:
        end, is_stationary = search(start, n_features, distribution, START_REACH, descend)
        end = end[is_stationary]
        rows = []
        for i, loss in enumerate(relu_derivatives(*unflatten(end, n_features), distribution).loss.tolist()):
            if not any(math.isclose(loss, other, rel_tol=SAME_LOSS) for other in losses):
                losses.append(loss)
                rows.append(i)
        return end[rows]

    start = candidates(n_features)
    found = torch.cat([new_ones(start, False), new_ones(start, True)])
    eigenvalues, directions = torch.linalg.eigh(relu_derivatives(*unflatten(found, n_features), distribution).hessian)
    is_saddle = eigenvalues[:, 0] < -FLAT * eigenvalues[:, -1]
    downhill = NUDGE * directions[is_saddle, :, 0]
    below = [new_ones(found[is_saddle] + sign * downhill, True) for sign in (1, -1)]
    return torch.cat([found, *below])


def _advance(
    point: Float[Tensor, "branch parameter"],
    last: Float[Tensor, "branch parameter"],
    p_last: float,
    p: float,
    p_next: float,
    n_features: int,
    n_halvings: int = N_HALVINGS,
) -> Float[Tensor, "branch parameter"]:
    """The branches' points at `p_next`, from those at p and the ones before; NaN where a branch has ended."""
    ahead = math.log(p_next / p) / math.log(p / p_last) if p != p_last else 0.0
    guess = torch.where(last.isnan(), point, point + ahead * (point - last))
    alive = ~point.isnan().any(dim=1)
    result = torch.full_like(point, torch.nan)
    rows = alive.nonzero().flatten()
    if not len(rows):
        return result
    distribution = SparseDistribution.independent(n_features, p_next)
    found, is_stationary = search(guess[rows], n_features, distribution, STEP_REACH, False, N_NEWTON)
    result[rows[is_stationary]] = found[is_stationary]
    lost = rows[~is_stationary]
    if len(lost) and n_halvings:
        middle = math.sqrt(p * p_next)
        half = _advance(point[lost], last[lost], p_last, p, middle, n_features, n_halvings - 1)
        result[lost] = _advance(half, point[lost], p, middle, p_next, n_features, n_halvings - 1)
    return result


def _describe(points: Float[Tensor, "p parameter"], n_features: int, grid: Sequence[float]) -> Branch:
    loss, min_eigenvalue = (torch.full((len(grid),), torch.nan, dtype=torch.float64) for _ in range(2))
    verdicts = [""] * len(grid)
    for k, p in enumerate(grid):
        if not points[k].isnan().any():
            W, b = unflatten(points[k : k + 1], n_features)
            at = relu_derivatives(W, b, SparseDistribution.independent(n_features, p))
            spectrum = spectra(W, at.hessian)
            loss[k], min_eigenvalue[k] = at.loss[0], spectrum.min_eigenvalue[0]
            verdicts[k] = classify(spectrum)[0]
    there = [k for k, verdict in enumerate(verdicts) if verdict]
    middle = there[len(there) // 2]
    return Branch(
        describe(unflatten(points[middle : middle + 1], n_features)[0]), points, loss, min_eigenvalue, verdicts
    )


def describe(W: Float[Tensor, "1 2 feature"]) -> str:
    """The geometry in words: `pentagon + stub`, `square + 2 stubs on one direction`."""
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


def crossings(branches: Sequence[Branch], n_features: int, grid: Sequence[float]) -> Iterator[Crossing]:
    """Where the branch of least loss changes, solved for between the points of the grid."""
    losses = torch.stack([branch.loss for branch in branches]).nan_to_num(math.inf)
    best = losses.argmin(dim=0).tolist()
    for k, (below, above) in enumerate(itertools.pairwise(best)):
        if below == above:
            continue
        pair = branches[below], branches[above]

        def difference(log_p: float, pair: tuple[Branch, Branch] = pair, k: int = k) -> float:
            first, second = (_loss_between(branch, k, grid, math.exp(log_p), n_features) for branch in pair)
            if math.isnan(first - second):
                raise _NoSuchPointError
            return first - second

        try:
            p = math.exp(brentq(difference, math.log(grid[k]), math.log(grid[k + 1]), xtol=1e-9))
        except (_NoSuchPointError, ValueError):  # ValueError: the same one has less loss at both ends
            p = math.nan
        yield Crossing(p, pair[0].name, pair[1].name)


class _NoSuchPointError(Exception):
    """A branch has ended."""


def _loss_between(branch: Branch, k: int, grid: Sequence[float], p: float, n_features: int) -> float:
    """A branch's loss at p, between grid[k] and grid[k + 1], continued from an end where it exists; NaN if it ends."""
    at, before = (k, max(k - 1, 0)) if branch.verdicts[k] else (k + 1, min(k + 2, len(grid) - 1))
    point = _advance(branch.points[[at]], branch.points[[before]], grid[before], grid[at], p, n_features)
    if point.isnan().any():
        return math.nan
    distribution = SparseDistribution.independent(n_features, p)
    return float(relu_derivatives(*unflatten(point, n_features), distribution).loss)
