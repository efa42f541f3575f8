"""Where the best geometry changes: the p at which two branches have the same loss."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import brentq

from src.distributions.supports import SupportSizes
from src.population.closed_form import relu_derivatives
from src.theory.branches import Branch, advance
from src.theory.stationary import unflatten


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
    point = advance(branch.points[[at]], branch.points[[before]], grid[before], grid[at], p, n_features)
    if point.isnan().any():
        return math.nan
    distribution = SupportSizes.independent(n_features, p)
    return float(relu_derivatives(*unflatten(point, n_features), distribution).loss)
