"""What theory predicts, as tables and figures; nothing is trained.

python -m src.predictions theory          the post's formulas, and polygons whose norm and bias are solved for
python -m src.predictions phases          which geometry has the least population loss at which p, of any model whose
                                          answers are functions of W^T W x + b, entry by entry:
    phases --model Leaky --model.slope 0.1 --n_features 6 --n_hidden 3
python -m src.predictions growth          how a small star of columns grows, and which of its waves grow with it
python -m src.predictions outcome         which geometry seeds end in, foretold from their initial W
python -m src.predictions outcome_fit     how: fits that anew to the census of a million seeds
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from src import waiting

if __name__ == "__main__":
    waiting.begin("loading torch")

import torch
from rich.console import Console

from src.commands import ENDINGS, exit_with, quiet, status_after
from src.distributions.supports import MAX_FEATURES
from src.errors import Arguments, require
from src.predictions import growth, outcome
from src.predictions.formulas import theory
from src.predictions.models import family
from src.predictions.phases import phases
from src.runs.folder import new_folder
from src.theory.family import Family

waiting.end()
LOWEST = 1e-6  # p below which losses, which are proportional to it, say nothing new
MOST_POINTS = 10_000
MOST_HIDDEN = 5
OTHERS = {"growth": growth.growth, "outcome": outcome.foretell, "outcome_fit": outcome.fit}


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = Arguments("python -m src.predictions", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Arguments)
    of_theory = commands.add_parser("theory", help="the post's formulas and polygons in closed form")
    of_theory.add_argument("--out", type=Path, default=Path("lightning_logs/theory"), help="folder")
    of_phases = commands.add_parser("phases", help="the best geometry against p")
    of_phases.add_argument("--n_features", type=int, default=6)
    of_phases.add_argument("--n_hidden", type=int, default=2, help="m, dimensions of the hidden space")
    model_help = "a class by its import path or bare name, or a file such as configs/models/leaky.yaml"
    of_phases.add_argument("--model", help=f"{model_help}; its arguments as --model.slope 0.1; the post's by default")
    of_phases.add_argument("--low", type=float, default=0.005, help="smallest p")
    of_phases.add_argument("--high", type=float, default=0.3, help="largest p")
    of_phases.add_argument("--points", type=int, default=41, help="of the grid, evenly spaced in log p")
    out_help = "folder; by default one in lightning_logs that is named after the model and its size"
    of_phases.add_argument("--out", type=Path, help=out_help)
    growth.add_to(commands)
    outcome.add_to(commands)
    own, settings = _split(sys.argv[1:] if args is None else args)
    options = parser.parse_args(own)
    if options.command == "phases":
        n, m, low, high = options.n_features, options.n_hidden, options.low, options.high
        require(2 <= n <= MAX_FEATURES, "--n_features", n, f"from 2 to {MAX_FEATURES}")
        require(1 <= m <= MOST_HIDDEN, "--n_hidden", m, f"from 1 to {MOST_HIDDEN}")
        require(LOWEST <= low < 1, "--low", low, f"from {LOWEST} to below 1")
        require(low < high <= 1, "--high", high, f"more than --low, {low}, and at most 1")
        require(2 <= options.points <= MOST_POINTS, "--points", options.points, f"from 2 to {MOST_POINTS:,}")
        options.family = family(options.model, settings, n, m)
        options.out = options.out or Path(f"lightning_logs/{_folder_name(options.family)}")
    elif options.command == "growth":
        growth.check(options, settings)
    elif settings:
        parser.error(f"unrecognized arguments: {' '.join(settings)}")
    if options.command in ("outcome", "outcome_fit"):
        outcome.check(options)
    return options


def _split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own arguments, and those of a model, `--model.slope 0.1`, each with its value as one word."""
    own, settings, words = [], [], iter(args)
    for word in words:
        if not word.startswith("--model."):
            own.append(word)
        elif "=" in word:
            settings.append(word)
        else:
            value = next(words, None)
            settings.append(word if value is None else f"{word}={value}")
    return own, settings


def _folder_name(family: Family) -> str:
    """`phases_6` of the post's model in the plane, else `phases_6_m3_leaky_slope_0.1`."""
    words = ["phases", str(family.n_features)]
    if family.n_hidden != 2:
        words.append(f"m{family.n_hidden}")
    if not family.is_posts:
        words.append(re.sub(r"[^a-z0-9.-]+", "_", family.name.lower()))
    return "_".join(words)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: see `src.commands.status_after`."""
    quiet()
    console = Console()
    try:
        options = _parse(args)
        with new_folder(outcome.folder_of(options) if options.command == "outcome" else options.out):
            if options.command == "theory":
                theory(options.out, console)
            elif options.command in OTHERS:
                OTHERS[options.command](options, console)
            else:
                phases(options.out, console, options.family, options.low, options.high, options.points)
    except ENDINGS as error:
        return status_after(error)
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)  # more gain nothing on small tensors, and lose where another process holds a core
    exit_with(main())
