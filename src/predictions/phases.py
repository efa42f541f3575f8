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
from src.runs.folder import CROSSINGS, PHASES, PHASES_PICTURE
from src.runs.tables import write_rows
from src.theory.branches import STARTS, Branch, follow, probabilities
from src.theory.crossings import Crossing, crossings
from src.theory.spectra import MINIMUM


def phases(out: Path, console: Console, n_features: int, low: float, high: float, n_points: int) -> None:
    """The stationary points for n features over p, and where the best of them changes."""
    grid = probabilities(low, high, n_points)
    bar = Progress(
        TextColumn("following stationary points"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task("", total=len(STARTS) * len(grid))
        branches = follow(n_features, grid, lambda n_done: bar.advance(task, n_done))
    allowed = f"another: from it to --high, {high}, no stationary point was found"
    require(bool(branches), "--low", low, allowed)
    changes = list(crossings(branches, n_features, grid))
    rows = [
        {
            "n_features": n_features,
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
    if changes:
        write_rows(out / CROSSINGS, [vars(change) for change in changes])
    else:
        (out / CROSSINGS).unlink(missing_ok=True)  # of an earlier grid
    write_figure(out / PHASES_PICTURE, phase_figure(branches, changes, grid, n_features))
    console.print(phase_table(branches, changes, grid, n_features))
    for change in changes:
        where = "between two points of the grid" if math.isnan(change.p) else f"p = {change.p:.4g}"
        console.print(f"{where}: below it the best is [bold]{change.below}[/], above it [bold]{change.above}[/]")
    console.print(f"tables and picture: {out}", soft_wrap=True)


def phase_table(
    branches: Sequence[Branch], changes: Sequence[Crossing], grid: Sequence[float], n_features: int
) -> Table:
    """Where each branch that is a minimum somewhere exists, is a minimum, and is the best."""
    table = plain_table(
        f"n = {n_features}; ranges of p are those of the grid", "stationary point", "exists", "minimum", "best"
    )
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
