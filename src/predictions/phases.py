"""The best geometry against p, as tables and figures."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from src.errors import require
from src.figures.elements import write_figure
from src.figures.theory import phase_figure
from src.predictions.formulas import plain_table
from src.predictions.regular import regular_table
from src.runs.folder import BEST_REGULAR, CROSSINGS, PHASES, PHASES_PICTURE
from src.runs.tables import write_rows
from src.theory.best_regular import regular_points
from src.theory.branches import STARTS, Branch, follow, probabilities
from src.theory.crossings import Crossing, crossings
from src.theory.family import Family
from src.theory.regular import Sizes
from src.theory.spectra import MINIMUM

N_REGULAR = 5  # p at which regular polygons and solids are solved for, and the post's
POST_PROBABILITY = 0.057


def phases(out: Path, console: Console, family: Family, low: float, high: float, n_points: int) -> None:
    """The stationary points over p, where the best of them changes, and regular configurations at a few p."""
    grid, sizes = probabilities(low, high, n_points), Sizes(family)
    few = sorted({*probabilities(low, high, N_REGULAR), *([POST_PROBABILITY] if low < POST_PROBABILITY < high else [])})
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console)
    with bar:
        regular = bar.add_task("solving for regular configurations", total=len(few))
        task = bar.add_task("following stationary points", total=len(STARTS) * len(grid))
        points = list(regular_points(family, few, sizes, lambda n_done: bar.advance(regular, n_done)))
        branches = follow(family, grid, sizes, lambda n_done: bar.advance(task, n_done))
    allowed = f"another: from it to --high, {high}, no stationary point was found"
    require(bool(branches), "--low", low, allowed)
    changes = list(crossings(branches, family, grid))
    size = {"n_features": family.n_features, "n_hidden": family.n_hidden}
    rows = [
        {
            **size,
            "branch": k,
            "name": branch.name,
            "p": p,
            "loss": float(branch.loss[i]),
            "min_eigenvalue": float(branch.min_eigenvalue[i]),
            "verdict": branch.verdicts[i],
        }
        for k, branch in enumerate(branches)
        for i, p in enumerate(grid)
        if branch.verdicts[i]
    ]
    write_rows(out / PHASES, rows)
    write_rows(out / BEST_REGULAR, [size | vars(point) for point in points])
    if changes:
        write_rows(out / CROSSINGS, [vars(change) for change in changes])
    else:
        (out / CROSSINGS).unlink(missing_ok=True)  # of an earlier grid
    title = f"{family.name}, n = {family.n_features}, m = {family.n_hidden}"
    write_figure(out / PHASES_PICTURE, phase_figure(branches, changes, grid, title))
    console.print(regular_table(points, title))
    console.print(phase_table(branches, changes, grid, title))
    for change in changes:
        where = "between two points of the grid" if math.isnan(change.p) else f"p = {change.p:.4g}"
        console.print(f"{where}: below it the best is [bold]{change.below}[/], above it [bold]{change.above}[/]")
    console.print(f"tables and picture: {out}", soft_wrap=True)


def phase_table(branches: Sequence[Branch], changes: Sequence[Crossing], grid: Sequence[float], title: str) -> Table:
    """Where each branch that is a minimum somewhere exists, is a minimum, and is the best."""
    table = plain_table(f"{title}; ranges of p are those of the grid", "stationary point", "exists", "minimum", "best")
    bounds = [grid[0], *(change.p for change in changes), grid[-1]]
    names = [changes[0].below, *(change.above for change in changes)] if changes else [best_name(branches)]
    best: dict[str, list[str]] = {}
    for name, (a, z) in zip(names, itertools.pairwise(bounds), strict=True):
        best.setdefault(name, []).append(f"{a:.4g} to {z:.4g}")
    stable = [branch for branch in branches if MINIMUM in branch.verdicts]
    for branch in stable:
        exists = p_ranges(branch.verdicts, grid)
        minimum = p_ranges([verdict if verdict == MINIMUM else "" for verdict in branch.verdicts], grid)
        table.add_row(branch.name, exists, minimum, ", ".join(best.get(branch.name, [])))
    table.caption = f"{len(branches) - len(stable)} more are nowhere a minimum."
    return table


def best_name(branches: Sequence[Branch]) -> str:
    return min(branches, key=lambda branch: float(branch.loss.nan_to_num(math.inf).sum())).name


def p_ranges(verdicts: Sequence[str], grid: Sequence[float]) -> str:
    """Where there is a verdict, as far as the grid tells: `0.005 to 0.1321`."""
    first = [k for k, own in enumerate(verdicts) if own and (k == 0 or not verdicts[k - 1])]
    last = [k for k, own in enumerate(verdicts) if own and (k + 1 == len(verdicts) or not verdicts[k + 1])]
    return ", ".join(f"{grid[a]:.4g} to {grid[z]:.4g}" for a, z in zip(first, last, strict=True))
