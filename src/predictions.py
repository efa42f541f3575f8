"""What theory predicts, as tables and figures; nothing is trained.

python -m src.predictions theory          the post's formulas, and polygons whose norm and bias are solved for
python -m src.predictions phases          which geometry has the least population loss at which p
"""

import argparse
import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from src.errors import Arguments, ConfigError, require
from src.figures import png
from src.phases import STARTS, Branch, Crossing, crossings, follow, probabilities
from src.population import MAX_FEATURES
from src.runs import (
    CRITICAL_POINTS,
    CROSSINGS,
    LOSS_CHANGE,
    LOSS_CHANGE_PICTURE,
    PHASES,
    PHASES_PICTURE,
    make_folder,
    write_rows,
    write_whole,
)
from src.stationary import MINIMUM
from src.theory import (
    MAX_VERTICES,
    CriticalPoint,
    best_continuous_number,
    best_critical_point,
    best_norm_and_bias,
    loss_change,
    polygon_cost,
    represented_loss,
)
from src.theory_figures import loss_change_figure, phase_figure

POST_NUMBERS = range(2, 9)  # F in the post's table
FEATURE_NUMBERS = range(4, 11)  # n for which polygons are compared
INTERRUPTED = 130


def theory(out: Path, console: Console) -> None:
    """Equations 1 to 4 for whole F, and the critical points of the loss with one active feature at a time."""
    rows = [
        {
            "F": F,
            "represented_loss": represented_loss(F, 1.0),
            "loss_change": loss_change(F),
            "loss_change_as_printed": loss_change(F, as_printed=True),
        }
        for F in POST_NUMBERS
    ]
    table = _table("Unit norm, no bias: the post's equations 3 and 4, over p", "F", "L_F", "ΔL", "ΔL as printed")
    least = min(POST_NUMBERS, key=loss_change)
    for row in rows:
        values = (f"{row[name]:.4f}" for name in ("represented_loss", "loss_change", "loss_change_as_printed"))
        table.add_row(str(row["F"]), *values, style="bold green" if row["F"] == least else "")
    console.print(table)
    continuous = best_continuous_number()
    console.print(
        f"least at F = {least}; of all real F at {continuous:.4f}, where ΔL = {loss_change(continuous):.4f}\n"
    )
    write_rows(out / LOSS_CHANGE, rows)

    polygons = _table(
        "Norm and bias solved for, one feature at a time; costs and savings over p / 3",
        "k",
        "norm",
        "bias",
        "h_k",
        "saved per vertex",
        "saved",
    )
    for k in range(2, MAX_VERTICES + 1):
        (norm, bias), cost = best_norm_and_bias(k), polygon_cost(k)
        saved = f"{1 - cost / k:.1%}", f"{k - cost:.4f}"
        polygons.add_row(str(k), f"{norm:.5f}", f"{bias:.5f}", f"{cost:.5f}", *saved)
    console.print(polygons)

    names = [f"k = {k}" for k in range(4, MAX_VERTICES + 1)]
    losses = _table("Loss of the k-gon, all others dead with the better bias, summed over features", "n", *names)
    points = []
    for n in FEATURE_NUMBERS:
        own = [CriticalPoint(k, n, n - k) for k in range(4, min(n, MAX_VERTICES) + 1)]
        best = best_critical_point(n)
        cells = [f"[bold green]{p.loss:.5f}[/]" if p == best else f"{p.loss:.5f}" for p in own]
        losses.add_row(str(n), *cells)
        points += [
            {"n_features": n, "point": p.name, "loss": p.loss, "stability": p.stability, "is_best": p == best}
            for p in own
        ]
    console.print(losses)
    write_rows(out / CRITICAL_POINTS, points)
    write_whole(out / LOSS_CHANGE_PICTURE, png(loss_change_figure()))
    console.print(f"tables and picture: {out}", soft_wrap=True)


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
    write_whole(out / PHASES_PICTURE, png(phase_figure(branches, changes, grid, n_features)))
    console.print(phase_table(branches, changes, grid, n_features))
    for change in changes:
        where = "between two points of the grid" if math.isnan(change.p) else f"p = {change.p:.4g}"
        console.print(f"{where}: below it the best is [bold]{change.below}[/], above it [bold]{change.above}[/]")
    console.print(f"tables and picture: {out}", soft_wrap=True)


def phase_table(
    branches: Sequence[Branch], changes: Sequence[Crossing], grid: Sequence[float], n_features: int
) -> Table:
    """Where each branch that is a minimum somewhere exists, is a minimum, and is the best."""
    table = _table(
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


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k == 0 else "right")
    return table


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = Arguments("python -m src.predictions", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Arguments)
    of_theory = commands.add_parser("theory", help="the post's formulas and polygons in closed form")
    of_theory.add_argument("--out", type=Path, default=Path("lightning_logs/theory"), help="folder")
    of_phases = commands.add_parser("phases", help="the best geometry against p")
    of_phases.add_argument("--n_features", type=int, default=6)
    of_phases.add_argument("--low", type=float, default=0.005, help="smallest p")
    of_phases.add_argument("--high", type=float, default=0.3, help="largest p")
    of_phases.add_argument("--points", type=int, default=41, help="of the grid, evenly spaced in log p")
    of_phases.add_argument("--out", type=Path, help="folder; by default lightning_logs/phases_<n_features>")
    options = parser.parse_args(args)
    if options.command == "phases":
        n, low, high = options.n_features, options.low, options.high
        require(2 <= n <= MAX_FEATURES, "--n_features", n, f"from 2 to {MAX_FEATURES}")
        require(0 < low < 1, "--low", low, "between 0 and 1")
        require(low < high <= 1, "--high", high, f"more than --low, {low}, and at most 1")
        require(options.points >= 2, "--points", options.points, "at least 2")
        options.out = options.out or Path(f"lightning_logs/phases_{n}")
    return options


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 2 for a bad setting, 130 after Ctrl-C."""
    console = Console()
    try:
        options = _parse(args)
        make_folder(options.out)
        if options.command == "theory":
            theory(options.out, console)
        else:
            phases(options.out, console, options.n_features, options.low, options.high, options.points)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
