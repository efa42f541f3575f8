"""Every pentagon of a census with one column of its initial W changed, in several ways: the arms of an experiment."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.seeds import COLUMNS, DONORS, N_SEEDS, generator_for
from src.errors import ConfigError, require
from src.runs.folder import CENSUS
from src.runs.tables import read_rows
from src.starts.start import Model, Start

ARMS = ("identity", "hexagon", "random", "fresh", "direction", "norm")
FROM_HEXAGONS = ("hexagon", "direction", "norm")
CONTROLS = ("random", "fresh")  # arms whose donor is not chosen for its outcome
NEEDED = "one with at least one hexagon, and one pentagon that leaves out one feature"


class Patch(NamedTuple):
    """What one instance starts from: `seed`, its `column` changed as `arm` says.

    `donor` is the seed that the column comes from; None where there is none.
    """

    arm: str
    seed: int
    column: int
    donor: int | None


class PatchingArms(Start):
    """Every pentagon of a census that leaves out one feature, that feature's initial column changed: the arms.

        identity    left as it is
        hexagon     the same column of a hexagon seed
        random      the same column of a seed drawn at random from the census
        fresh       drawn anew
        direction   the hexagon seed's direction with the old norm
        norm        the hexagon seed's norm with the old direction

    A recipient has one hexagon donor in all arms. The stack holds one arm after the other, each with all recipients in
    the order of the census. Its own census has `arm`, `column` and `donor` of each instance.

    Args:
        census: the run folder of the census, or its `census.csv`; its seeds must have trained with the same settings,
            which the identity arm checks.
        arms: which arms.
        draw_seed: of the donors and fresh columns.
        max_recipients: at most so many pentagon seeds, the first of the census; null is all.

    Raises:
        ConfigError: if there is no census, or it has no pentagon with one unlearned feature, or no hexagon.
    """

    chooses_seeds: ClassVar[bool] = True

    def __init__(
        self, census: str, arms: list[str] | None = None, draw_seed: int = 0, max_recipients: int | None = None
    ) -> None:
        chosen = list(ARMS) if arms is None else arms
        known = len(chosen) > 0 and len(set(chosen)) == len(chosen) and set(chosen) <= set(ARMS)
        require(known, "model.start.arms", chosen, f"some of {', '.join(ARMS)}, each once")
        require(0 <= draw_seed < N_SEEDS, "model.start.draw_seed", draw_seed, f"from 0 to {N_SEEDS - 1}")
        limited = max_recipients is None or max_recipients >= 1
        require(limited, "model.start.max_recipients", max_recipients, "at least 1, or null for all")
        self.patches = plan_patches(read_outcomes(census), chosen, max_recipients, draw_seed)
        require(len(self.patches) > 0, "model.start.census", census, NEEDED)
        self.census = census
        self.draw_seed = draw_seed
        self.seeds = [patch.seed for patch in self.patches]

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        beyond = [patch.column for patch in self.patches if not 0 <= patch.column < model.n_features]
        require(
            not beyond, "model.start.census", self.census, f"of models with {model.n_features} features, as configured"
        )
        generator = generator_for(self.draw_seed, COLUMNS)
        W = super().initial_W(model)
        for own, patch in zip(W, self.patches, strict=True):
            own[:, patch.column] = _changed(own[:, patch.column], patch, model, generator)
        return W

    def names(self, seeds: Sequence[int]) -> list[str]:
        return [
            f"seed {patch.seed}, column {patch.column} {patch.arm}"
            + (f" {patch.donor}" if patch.donor is not None else "")
            for patch in self.patches
        ]

    def census_columns(self) -> dict[str, list[Any]]:
        return {name: [getattr(patch, name) for patch in self.patches] for name in ("arm", "column", "donor")}


def _changed(own: Tensor, patch: Patch, model: Model, generator: torch.Generator) -> Tensor:
    """The column that an arm puts in place of the recipient's own."""
    if patch.arm == "identity":
        return own
    if patch.arm == "fresh":
        return torch.randn(model.n_hidden, generator=generator) * model.init_std
    assert patch.donor is not None
    donor = model.initial_weights(patch.donor)[:, patch.column]
    if patch.arm == "direction":
        return donor * (own.norm() / donor.norm())
    if patch.arm == "norm":
        return own * (donor.norm() / own.norm())
    return donor


class Outcome(NamedTuple):
    """A seed of a census: what it ended in, and the features that it left out."""

    seed: int
    geometry: str
    unlearned: list[int]


def read_outcomes(census: str) -> list[Outcome]:
    """The seeds of a census, from a run folder or a `census.csv`."""
    path = Path(census) / CENSUS if Path(census).is_dir() else Path(census)
    require(
        path.is_file(),
        "model.start.census",
        census,
        "the run folder of a finished census, such as configs/seeds.yaml makes",
    )
    try:
        outcomes = [
            Outcome(int(row["seed"]), row["geometry"], [int(feature) for feature in row["unlearned"].split()])
            for row in read_rows(path)
        ]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error):
        raise ConfigError(
            f"model.start.census is {census}; it must be a census.csv as callbacks.census writes it."
        ) from None
    seeds = {outcome.seed for outcome in outcomes}
    proper = len(seeds) == len(outcomes) and all(0 <= seed < N_SEEDS for seed in seeds)
    require(proper, "model.start.census", census, f"of seeds from 0 to {N_SEEDS - 1}, each once")
    return outcomes


def recipients_of(outcomes: list[Outcome], most: int | None) -> list[Outcome]:
    """The pentagons that leave out one feature; at most so many, the first."""
    return [o for o in outcomes if o.geometry == "pentagon" and len(o.unlearned) == 1][:most]


def plan_patches(outcomes: list[Outcome], arms: list[str], max_recipients: int | None, draw_seed: int) -> list[Patch]:
    """One patch for each arm and recipient; none if there is no recipient, or no hexagon where one is needed.

    A recipient's donors depend on the census and on `draw_seed` alone, whichever arms there are and however many
    recipients come after it.
    """
    recipients = recipients_of(outcomes, max_recipients)
    hexagons = [o.seed for o in outcomes if o.geometry == "hexagon"]
    if not hexagons and not set(arms).isdisjoint(FROM_HEXAGONS):
        return []
    generator = generator_for(draw_seed, DONORS)
    patches: dict[str, list[Patch]] = {arm: [] for arm in ARMS}
    for seed, _, (column,) in recipients:
        others = [outcome.seed for outcome in outcomes if outcome.seed != seed]
        hexagon, other = (
            seeds[int(torch.randint(len(seeds), (), generator=generator))] if seeds else None
            for seeds in (hexagons, others)
        )
        donors = {"random": other, **dict.fromkeys(FROM_HEXAGONS, hexagon)}
        for arm in ARMS:
            patches[arm].append(Patch(arm, seed, column, donors.get(arm)))
    return [patch for arm in arms for patch in patches[arm]]
