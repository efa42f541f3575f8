"""Which geometry seeds end in, foretold from their initial W; how good that is; and how the predictors were fitted."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from src.distributions.seeds import N_SEEDS
from src.errors import Arguments, require
from src.figures.elements import write_figure
from src.figures.outcome import calibration_figure
from src.model import ReLUOutputModel
from src.outcome.fitting import HEXAGON, fit_network, fit_readable
from src.outcome.invariants import DIPOLE, N_FEATURES, NAMES, invariants
from src.outcome.predictors import GEOMETRIES, INIT_STD, OWN, Predictors, load
from src.outcome.scores import area_under_curve, calibration
from src.predictions.formulas import plain_table
from src.results.outcomes import SeedOutcomes, read_seed_outcomes
from src.runs.folder import CALIBRATION, CALIBRATION_PICTURE, PREDICTORS
from src.runs.tables import write_rows

AT_ONCE = 16_384  # instances
MOST = 10_000_000  # seeds in one table
LEAST = 1_000  # seeds to fit to
KINDS = "readable", "best"
SHARES = 0.8, 0.1  # of a census that are fitted to, and by which the epoch is chosen; the others are held out


def add_to(commands: "argparse._SubParsersAction[Arguments]") -> None:
    """The arguments of both commands."""
    foretell = commands.add_parser("outcome", help="each geometry's probability, from the initial W alone")
    foretell.add_argument("--first_seed", type=int, default=0)
    foretell.add_argument("--n_instances", type=int, default=4096)
    foretell.add_argument("--out", type=Path, help="a CSV of seed, pentagon, hexagon, square, irregular")
    foretell.add_argument("--readable", action="store_true", help="by the readable predictor, not by the best one")
    foretell.add_argument("--predictors", type=Path, default=OWN, help="a file of outcome_fit; our own by default")
    of_census = "seeds whose outcome is known: how good are the predictors? A run folder or a sweep's cell"
    foretell.add_argument("--census", type=Path, help=of_census)
    foretell.add_argument("--ceiling", type=Path, help="the same seeds on another stream, as a predictor")
    foretell.add_argument("--folder", type=Path, default=Path("lightning_logs/outcome"), help="of calibration.csv")
    fit = commands.add_parser("outcome_fit", help="fit both predictors to a census, and hold a tenth of it out")
    fit.add_argument("--census", type=Path, required=True, help="of a million seeds: see docs/machines.md")
    fit.add_argument("--out", type=Path, default=Path("lightning_logs/outcome_fit"), help="folder")
    fit.add_argument("--epochs", type=int, default=40)


def check(options: argparse.Namespace) -> None:
    """Refuse what cannot be done.

    Raises:
        ConfigError: if a number is out of range, or two options contradict each other.
    """
    if options.command == "outcome_fit":
        require(options.epochs >= 1, "--epochs", options.epochs, "at least 1")
        return
    first, n = options.first_seed, options.n_instances
    require(1 <= n <= MOST, "--n_instances", n, f"from 1 to {MOST:,}")
    require(0 <= first <= N_SEEDS - n, "--first_seed", first, f"from 0 to {N_SEEDS - n}")
    require(options.ceiling is None or options.census is not None, "--census", None, "given, where --ceiling is")
    given = options.out is not None or options.census is not None
    require(given, "--out", options.out, "a CSV file, unless there is a --census")


def folder_of(options: argparse.Namespace) -> Path:
    """Where `outcome` writes: scores of a census to a folder of their own, else a table alone."""
    folder: Path = options.out.parent if options.census is None else options.folder
    return folder


def foretell(options: argparse.Namespace, console: Console) -> None:
    """Write the probabilities of a range of seeds; score them on a census."""
    predictors = load(options.predictors)
    if options.out is not None:
        seeds = np.arange(options.first_seed, options.first_seed + options.n_instances)
        own = _by(predictors, options.readable)
        found = torch.cat([own(W) for W in _initial(seeds)])
        rows = zip(seeds.tolist(), found.tolist(), strict=True)
        write_rows(options.out, [{"seed": seed, **dict(zip(GEOMETRIES, row, strict=True))} for seed, row in rows])
        means = ", ".join(f"{name} {share:.1%}" for name, share in zip(GEOMETRIES, found.mean(dim=0), strict=True))
        console.print(f"on average of {len(seeds):,} seeds: {means}")
        console.print(f"table: {options.out}", soft_wrap=True)
    if options.census is not None:
        known = read_seed_outcomes(options.census, "--census")
        other = read_seed_outcomes(options.ceiling, "--ceiling") if options.ceiling else None
        score(predictors, known, other, options.folder, console)


def fit(options: argparse.Namespace, console: Console) -> None:
    """Fit both predictors to the first eight tenths of a census, choose by the next one, score on the last."""
    known = read_seed_outcomes(options.census, "--census")
    n = len(known.seeds)
    require(n >= LEAST, "--census", options.census, f"of at least {LEAST:,} seeds")
    W, outcomes = torch.cat([*_initial(known.seeds)]), torch.from_numpy(places(known))
    fitted, chosen = (int(n * share) for share in (SHARES[0], sum(SHARES)))
    console.print(f"fitted to {fitted:,} seeds, chosen by {chosen - fitted:,}, held out {n - chosen:,}")
    readable = fit_readable(W[:fitted], outcomes[:fitted])
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with bar:
        task = bar.add_task("fitting the network", total=options.epochs)

        def on_epoch(epoch: int, area: float) -> None:
            bar.update(task, advance=1, description=f"epoch {epoch + 1}: area {area:.4f}")

        others = W[fitted:chosen], outcomes[fitted:chosen]
        network = fit_network(W[:fitted], outcomes[:fitted], others, options.epochs, on_epoch)
    predictors = Predictors(readable, network, (int(known.seeds[0]), int(known.seeds[chosen - 1])))
    predictors.save(options.out / PREDICTORS)
    console.print(f"predictors: {options.out / PREDICTORS}", soft_wrap=True)
    score(load(options.out / PREDICTORS), known, None, options.out, console)


def score(
    predictors: Predictors, known: SeedOutcomes, other: SeedOutcomes | None, folder: Path, console: Console
) -> None:
    """The areas under the curves of hexagons, and how well probabilities agree with what came true.

    Seeds that the predictors have been fitted to are left out.

    Raises:
        ConfigError: if none are left, or the other census lacks some of them.
    """
    first, last = predictors.fitted
    new = (known.seeds < first) | (known.seeds > last)
    require(bool(new.any()), "--census", f"of seeds from {first} to {last}", "of others, which were not fitted to")
    seeds, is_hexagon = known.seeds[new], torch.from_numpy(known.geometries[new] == GEOMETRIES[HEXAGON])
    table = plain_table(f"Is it a hexagon? {len(seeds):,} seeds that were not fitted to", "foretold by", "area, 95 %")
    scores = _scores(predictors, seeds)
    if other is not None:
        places_there = np.searchsorted(other.seeds, seeds).clip(max=len(other.seeds) - 1)
        require(bool((other.seeds[places_there] == seeds).all()), "--ceiling", "without some seeds", "of the same ones")
        scores["the same W on another stream"] = torch.from_numpy(
            (other.geometries[places_there] == GEOMETRIES[HEXAGON]).astype(np.float64)
        )
    for name, own in scores.items():
        table.add_row(name, str(area_under_curve(own, is_hexagon)))
    console.print(table)
    bins = {name: calibration(scores[name], is_hexagon) for name in KINDS}
    write_rows(folder / CALIBRATION, [{"predictor": name, **own._asdict()} for name in bins for own in bins[name]])
    write_figure(folder / CALIBRATION_PICTURE, calibration_figure(bins))
    console.print(f"calibration: {folder / CALIBRATION}", soft_wrap=True)


def _scores(predictors: Predictors, seeds: NDArray[np.int64]) -> dict[str, Float[Tensor, " instance"]]:
    """How much speaks for a hexagon, by the one number and by both predictors."""
    parts = []
    for W in _initial(seeds):
        both = predictors.readable.probabilities(W), predictors.network.probabilities(W)
        parts.append(torch.stack([-invariants(W)[:, DIPOLE].float(), *(own[:, HEXAGON] for own in both)]))
    return dict(zip((NAMES[DIPOLE], *KINDS), torch.cat(parts, dim=1), strict=True))


def places(known: SeedOutcomes) -> NDArray[np.int64]:
    """Of each outcome its place among the geometries; whatever else there is counts as irregular."""
    found = np.full(len(known.seeds), GEOMETRIES.index("irregular"))
    for place, name in enumerate(GEOMETRIES):
        found[known.geometries == name] = place
    return found


def _initial(seeds: NDArray[np.int64]) -> Iterator[Float[Tensor, "instance 2 feature"]]:
    """The initial W of each seed, some at a time."""
    for start in range(0, len(seeds), AT_ONCE):
        own = seeds[start : start + AT_ONCE].tolist()
        yield ReLUOutputModel(N_FEATURES, seeds=own, init_std=INIT_STD).W.detach()


def _by(predictors: Predictors, is_readable: bool) -> Callable[[Tensor], Tensor]:
    return predictors.readable.probabilities if is_readable else predictors.network.probabilities
