"""Where the best geometry changes: the p at which two branches have the same loss."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import brentq

from src.theory.branches import Branch, advance, of_one
from src.theory.family import Family, independent

SAME_LOSS = 1e-9  # relative: losses nearer than this are those of the same point


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


def crossings(branches: Sequence[Branch], family: Family, grid: Sequence[float]) -> Iterator[Crossing]:
    """Where the branch of least loss changes, solved for between the points of the grid.

    A branch that is best between two points of the grid, and at neither of them, is found too, if it is best where the
    branches that are best at the two have the same loss.
    """
    losses = torch.stack([branch.loss for branch in branches]).nan_to_num(math.inf)
    best = losses.argmin(dim=0).tolist()
    for k, (below, above) in enumerate(itertools.pairwise(best)):
        if below != above:
            yield from _changes(branches, family, grid, k, (below, above), (grid[k], grid[k + 1]))


def _changes(
    branches: Sequence[Branch],
    family: Family,
    grid: Sequence[float],
    k: int,
    pair: tuple[int, int],
    within: tuple[float, float],
) -> Iterator[Crossing]:
    """The changes of the best branch from the first of the pair to the second, within a part of the grid's interval."""

    def loss(i: int, p: float) -> float:
        return _loss_between(branches[i], k, grid, p, family)

    def difference(log_p: float) -> float:
        first, second = (loss(i, math.exp(log_p)) for i in pair)
        if math.isnan(first - second):
            raise _NoSuchPointError
        return first - second

    try:
        p = math.exp(brentq(difference, *map(math.log, within), xtol=1e-9))
    except (_NoSuchPointError, ValueError):  # ValueError: the same one has less loss at both ends
        yield Crossing(math.nan, *(branches[i].name for i in pair))
        return
    here = {i: loss(i, p) for i, branch in enumerate(branches) if branch.verdicts[k] or branch.verdicts[k + 1]}
    better = min((i for i in here if not math.isnan(here[i])), key=here.__getitem__)
    if better not in pair and here[better] < here[pair[0]] * (1 - SAME_LOSS):
        yield from _changes(branches, family, grid, k, (pair[0], better), (within[0], p))
        yield from _changes(branches, family, grid, k, (better, pair[1]), (p, within[1]))
    else:
        yield Crossing(p, *(branches[i].name for i in pair))


class _NoSuchPointError(Exception):
    """A branch has ended."""


def _loss_between(branch: Branch, k: int, grid: Sequence[float], p: float, family: Family) -> float:
    """A branch's loss at p, between grid[k] and grid[k + 1], continued from an end where it exists; NaN if it ends."""
    at, before = (k, max(k - 1, 0)) if branch.verdicts[k] else (k + 1, min(k + 2, len(grid) - 1))
    point = advance(branch.points[[at]], branch.points[[before]], grid[before], grid[at], p, family)
    if point.isnan().any():
        return math.nan
    return float(independent(family, p, point).derivatives(point, of_one(point)).loss)
