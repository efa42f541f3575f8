"""Which geometry is best at which p: stationary points of the population loss, followed as p changes.

A branch is a stationary point of a model continued in the feature probability: each next point is
extrapolated from the last two and solved for anew. It ends where no stationary point is found near by, even in smaller
steps: where it meets another branch and both cease to be.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from src.population.derivatives import Derivatives
from src.population.surface import Points, Surface
from src.theory.candidates import candidates, describe
from src.theory.family import Family, columns_of, independent
from src.theory.regular import Sizes
from src.theory.spectra import FLAT, classify, spectra
from src.theory.stationary import search

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
        points: parameters, W row by row and then b and others, at each p of the grid.
        loss: mean over features.
        min_eigenvalue: the smallest that is not zero.
        verdicts: `minimum`, `saddle` or `degenerate`; empty where there is none.
    """

    name: str
    points: Float[Tensor, "p parameter"]
    loss: Float[Tensor, " p"]
    min_eigenvalue: Float[Tensor, " p"]
    verdicts: list[str]


def probabilities(low: float, high: float, n_points: int) -> list[float]:
    """A grid of p, evenly spaced in log p."""
    return torch.logspace(math.log10(low), math.log10(high), n_points, dtype=torch.float64).tolist()


def follow(
    family: Family,
    grid: Sequence[float],
    sizes: Sizes | None = None,
    on_progress: Callable[[int], None] = lambda n_done: None,
) -> list[Branch]:
    """All branches that the candidates lead to, over the whole grid.

    Args:
        grid: ascending probabilities.
        sizes: where norms and biases that have been solved for are kept.
        on_progress: called with the number of grid points done since it was last called, of `len(STARTS) * len(grid)`.
    """
    branches: list[Branch] = []
    sizes = Sizes(family) if sizes is None else sizes
    for share in STARTS:
        start = round(share * (len(grid) - 1))
        known = [float(branch.loss[start]) for branch in branches]
        new = stationary_points(family, grid[start], known, sizes)
        points = torch.full((len(grid), *new.shape), torch.nan, dtype=torch.float64)
        points[start] = new
        on_progress(1)
        for order in (range(start, len(grid)), range(start, -1, -1)):
            for before, at, to in zip([start, *order], order, order[1:], strict=False):
                points[to] = advance(points[at], points[before], grid[before], grid[at], grid[to], family)
                on_progress(1)
        branches += _describe(points, family, grid)
    branches.sort(key=lambda branch: float(branch.loss.nan_to_num(math.inf).amin()))
    names = [branch.name for branch in branches]
    for k, branch in enumerate(branches):
        if names.count(branch.name) > 1:
            branch.name += f" ({names[: k + 1].count(branch.name)})"
    return branches


def stationary_points(
    family: Family, feature_probability: float, known: Sequence[float] = (), sizes: Sizes | None = None
) -> Float[Tensor, "point parameter"]:
    """The stationary points that the candidates lead to by Newton's method and by descent, and those below saddles.

    Args:
        known: losses of points that are not wanted again.
        sizes: as in `follow`.
    """
    start = candidates(family, feature_probability, Sizes(family) if sizes is None else sizes)
    surface, losses = independent(family, feature_probability, start), list(known)

    def new_ones(start: Tensor, descend: bool) -> Tensor:
        end, is_stationary = search(start, surface, of_one(start), START_REACH, descend)
        end = end[is_stationary]
        rows = []
        for i, loss in enumerate(_at(surface, end).loss.tolist()):
            if not any(math.isclose(loss, other, rel_tol=SAME_LOSS) for other in losses):
                losses.append(loss)
                rows.append(i)
        return end[rows]

    found = torch.cat([new_ones(start, False), new_ones(start, True)])
    eigenvalues, directions = torch.linalg.eigh(_at(surface, found).hessian)
    is_saddle = eigenvalues[:, 0] < -FLAT * eigenvalues[:, -1]
    downhill = NUDGE * directions[is_saddle, :, 0]
    below = [new_ones(found[is_saddle] + sign * downhill, True) for sign in (1, -1)]
    return torch.cat([found, *below])


def of_one(points: Points) -> Tensor:
    """Of which instance each point is: they are all of the same model."""
    return torch.zeros(len(points), dtype=torch.int64)


def _at(surface: Surface, points: Points) -> Derivatives:
    return surface.derivatives(points, of_one(points))


def advance(
    point: Float[Tensor, "branch parameter"],
    last: Float[Tensor, "branch parameter"],
    p_last: float,
    p: float,
    p_next: float,
    family: Family,
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
    surface = independent(family, p_next, guess[rows])
    found, is_stationary = search(guess[rows], surface, of_one(guess[rows]), STEP_REACH, False, N_NEWTON)
    result[rows[is_stationary]] = found[is_stationary]
    lost = rows[~is_stationary]
    if len(lost) and n_halvings:
        middle = math.sqrt(p * p_next)
        half = advance(point[lost], last[lost], p_last, p, middle, family, n_halvings - 1)
        result[lost] = advance(half, point[lost], p, middle, p_next, family, n_halvings - 1)
    return result


def verdicts_at(surface: Surface, points: Points) -> tuple[Derivatives, Tensor, list[str]]:
    """Derivatives at stationary points, the smallest eigenvalue that is not zero, and the verdict."""
    at = _at(surface, points)
    spectrum = spectra(at.hessian, surface.symmetries(points), surface.errors(points, of_one(points)).hessian)
    return at, spectrum.min_eigenvalue, classify(spectrum)


def _describe(points: Float[Tensor, "p branch parameter"], family: Family, grid: Sequence[float]) -> list[Branch]:
    n_points = points.shape[1]
    loss, min_eigenvalue = (torch.full((len(grid), n_points), torch.nan, dtype=torch.float64) for _ in range(2))
    verdicts = [[""] * len(grid) for _ in range(n_points)]
    for k, p in enumerate(grid):
        rows = (~points[k].isnan().any(dim=1)).nonzero().flatten()
        if len(rows):
            at, smallest, own = verdicts_at(independent(family, p, points[k, rows]), points[k, rows])
            loss[k, rows], min_eigenvalue[k, rows] = at.loss, smallest
            for row, verdict in zip(rows.tolist(), own, strict=True):
                verdicts[row][k] = verdict
    branches = []
    for j, own in enumerate(verdicts):
        there = [k for k, verdict in enumerate(own) if verdict]
        middle = there[len(there) // 2]
        W = columns_of(points[middle, [j]], family.n_hidden, family.n_features)
        branches.append(Branch(describe(W), points[:, j], loss[:, j], min_eigenvalue[:, j], own))
    return branches
