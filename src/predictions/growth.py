"""How a small star of columns grows, which of its waves grow with it, and what share of drawn W makes a polygon."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from rich.console import Console

from src.errors import Arguments, ConfigError, require
from src.figures.elements import write_figure
from src.figures.growth import growth_figure
from src.geometry.ring import dipole, ring_of
from src.geometry.shapes import NAMES
from src.predictions.formulas import plain_table
from src.predictions.models import family
from src.results.thresholds import thresholds
from src.runs.folder import CENSUS, CONFIG, GROWTH, GROWTH_PICTURE
from src.runs.tables import rows_of, write_rows
from src.theory.growth import Growth, grow

MOST_FEATURES, SHORTEST = 9, 0.01
N_DRAWN = 100_000  # W of which a share is taken


def add_to(commands: "argparse._SubParsersAction[Arguments]") -> None:
    """The arguments of the command."""
    own = commands.add_parser("growth", help="which waves of a growing star grow with it")
    own.add_argument("--n_features", type=int, default=6)
    own.add_argument("--p", type=float, nargs="+", default=[0.057], help="one probability or several")
    own.add_argument("--radius", type=float, default=0.4, help="of the star at first")
    own.add_argument("--model", help="as in phases; its columns must be in the plane")
    of_runs = "run folders of configs/why/threshold.yaml: what share of drawn W has a dipole below the threshold?"
    own.add_argument("--thresholds", type=Path, nargs="+", default=[], help=of_runs)
    own.add_argument("--out", type=Path, default=Path("lightning_logs/growth"), help="folder")


def check(options: argparse.Namespace, settings: Sequence[str]) -> None:
    """Refuse what cannot be done, and make the model.

    Raises:
        ConfigError: if a number is out of range.
    """
    require(3 <= options.n_features <= MOST_FEATURES, "--n_features", options.n_features, f"from 3 to {MOST_FEATURES}")
    require(all(0 < p < 1 for p in options.p), "--p", options.p, "between 0 and 1, each")
    require(SHORTEST <= options.radius < 1, "--radius", options.radius, f"from {SHORTEST} to below 1")
    options.family = family(options.model, settings, options.n_features, 2)
    tied = set(options.family.shapes(options.n_features, 2)) <= {"W", "b"}
    require(tied, "--model", options.family.name, "a model whose parameters are W and b alone")


def growth(options: argparse.Namespace, console: Console) -> None:
    """Table and picture of the gains of each wave; and the shares that thresholds make, if there are any."""
    courses: dict[float, Growth] = {}
    with console.status("letting a star grow"):
        for p in sorted(options.p):
            courses[p] = grow(options.family, p, options.radius)
    n = options.n_features
    headings = "p", *(f"wave {q}" for q in range(1, n // 2 + 1)), "mixing of the dipole", "radius at last"
    title = (
        f"{options.family.name}, n = {n}: the largest gain of each wave of a star that grows from {options.radius:g}"
    )
    table = plain_table(title, *headings)
    for p, own in courses.items():
        table.add_row(f"{p:g}", *(f"{gain:.3f}" for gain in own.largest), _mixing(own), f"{own.radii[-1]:.4f}")
    console.print(table)
    rows = [
        {"p": p, "time": time, "radius": radius, "bias": bias, **{f"gain_{q}": gain for q, gain in enumerate(gains, 1)}}
        for p, own in courses.items()
        for time, radius, bias, gains in zip(own.times, own.radii, own.biases, own.gains, strict=True)
    ]
    write_rows(options.out / GROWTH, rows)
    write_figure(options.out / GROWTH_PICTURE, growth_figure(courses, f"{options.family.name}, n = {n}"))
    if options.thresholds:
        _shares(options.thresholds, console)
    console.print(f"table and picture: {options.out}", soft_wrap=True)


def _mixing(own: Growth) -> str:
    return "none" if math.isnan(own.mixing) else f"{own.mixing:.3f}"


def _shares(runs: Sequence[Path], console: Console) -> None:
    """How many drawn W have a dipole, such as a run's own, below its threshold: what is foretold of its setting."""
    table = plain_table("Thresholds, and what they foretell", "run", "n", "threshold: median, range", "below it")
    table.caption = f"of {N_DRAWN:,} W drawn at random: their dipole does not depend on init_std"
    for run in runs:
        try:
            settings = yaml.safe_load((run / CONFIG).read_text())
            n = int(settings["data"]["init_args"]["n_features"])
            mixing = float(settings["model"]["init_args"]["start"]["init_args"]["mixing"])
            found, name = thresholds(rows_of(run / CENSUS), n), NAMES[n]
        except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
            raise ConfigError(f"--thresholds is {run}; it must be run folders of configs/why/threshold.yaml.") from None
        W = torch.randn(N_DRAWN, 2, n, generator=torch.Generator().manual_seed(0))
        drawn = np.sort(dipole(ring_of(W), mixing).abs().numpy())
        below = float(np.searchsorted(drawn, found).mean()) / N_DRAWN
        words = f"{np.median(found):.3f}, {found.min():.3f} to {found.max():.3f}"
        table.add_row("/".join(run.parts[-2:]), str(n), words, f"{below:.1%} {name}s")
    console.print(table)
