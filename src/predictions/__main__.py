"""What theory predicts, as tables and figures; nothing is trained.

python -m src.predictions theory          the post's formulas, and polygons whose norm and bias are solved for
python -m src.predictions phases          which geometry has the least population loss at which p
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from src import waiting

if __name__ == "__main__":
    waiting.begin("loading torch")

from rich.console import Console

from src.commands import ENDINGS, exit_with, quiet, status_after
from src.distributions.supports import MAX_FEATURES
from src.errors import Arguments, require
from src.predictions.formulas import theory
from src.predictions.phases import phases
from src.runs.folder import new_folder

waiting.end()
LOWEST = 1e-6  # p below which losses, which are proportional to it, say nothing new
MOST_POINTS = 10_000


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
        require(LOWEST <= low < 1, "--low", low, f"from {LOWEST} to below 1")
        require(low < high <= 1, "--high", high, f"more than --low, {low}, and at most 1")
        require(2 <= options.points <= MOST_POINTS, "--points", options.points, f"from 2 to {MOST_POINTS:,}")
        options.out = options.out or Path(f"lightning_logs/phases_{n}")
    return options


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: see `src.commands.status_after`."""
    quiet()
    console = Console()
    try:
        options = _parse(args)
        with new_folder(options.out):
            if options.command == "theory":
                theory(options.out, console)
            else:
                phases(options.out, console, options.n_features, options.low, options.high, options.points)
    except ENDINGS as error:
        return status_after(error)
    return 0


if __name__ == "__main__":
    exit_with(main())
