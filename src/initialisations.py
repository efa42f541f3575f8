"""Stacks whose instances differ by what they start from: an experiment on the initialisation is a model like any other.

`Basin` and `PatchingArms` only choose seeds and change columns of the initial W, so they combine with any toy model:

    class LeakyBasin(Basin, LeakyModel): ...
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch

from src.draws import COLUMNS, DONORS, N_SEEDS, generator_for
from src.errors import ConfigError, require
from src.memory import require_memory
from src.model import BYTES_OF_A_ROW, ReLUOutputModel, ToyModel
from src.runs import CENSUS, read_rows

ARMS = ("identity", "hexagon", "random", "fresh", "direction", "norm")
NEEDED = "one with at least one hexagon, and one pentagon that leaves out one feature"
FROM_HEXAGONS = ("hexagon", "direction", "norm")
CONTROLS = ("random", "fresh")  # arms whose donor is not chosen for its outcome


class Basin(ToyModel):
    """One seed many times over, one column of W starting at each point of a square grid of the plane.

    Instance r * `size` + c starts with its column at the centre of cell (r, c) of the square from -`reach` to `reach`,
    rows counted from the bottom. The census has the point as `x` and `y`.

    Args:
        seed: of the initialisation, the other columns included.
        column: which column of W runs over the plane.
        size: points along each side.
        reach: half the side of the square.

    Raises:
        ConfigError: if the column does not exist, the hidden space is no plane, or a number is not positive.
    """

    def __init__(self, seed: int = 0, column: int = 0, size: int = 64, reach: float = 1.0, **arguments: Any) -> None:
        require(size >= 1, "model.size", size, "at least 1")
        require(0 < reach < math.inf, "model.reach", reach, "positive and finite")
        require(0 <= seed < N_SEEDS, "model.seed", seed, f"from 0 to {N_SEEDS - 1}")
        require_memory("the number of points, model.size squared,", size**2, BYTES_OF_A_ROW)
        super().__init__(seeds=[seed] * size**2, n_instances=1, first_seed=0, **arguments)
        require(self.n_hidden == 2, "model.n_hidden", self.n_hidden, "2, a plane, for a basin map")
        require(0 <= column < self.n_features, "model.column", column, f"from 0 to {self.n_features - 1}, the features")
        self.column = column
        self.size = size
        self.reach = reach
        self.initial_W = self.initial_weights(seed)  # of every instance, but for the column
        along = ((torch.arange(size) + 0.5) * (2 / size) - 1) * reach
        y, x = (axis.flatten() for axis in torch.meshgrid(along, along, indexing="ij"))
        with torch.no_grad():
            self.W[:, :, column] = torch.stack([x, y], dim=1)
        self.instance_columns = {"x": x.tolist(), "y": y.tolist()}
        points = zip(x.tolist(), y.tolist(), strict=True)
        self.instance_names = [f"seed {seed}, column {column} at ({px:.2f}, {py:.2f})" for px, py in points]


class ReLUOutputBasin(Basin, ReLUOutputModel):
    """The post's model over a grid of initial values of one column."""


class Patch(NamedTuple):
    """What one instance of `PatchingArms` starts from: `seed`, its `column` changed as `arm` says.

    `donor` is the seed that the column comes from; None where there is none.
    """

    arm: str
    seed: int
    column: int
    donor: int | None


class PatchingArms(ToyModel):
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

    def __init__(
        self,
        census: str,
        arms: list[str] | None = None,
        draw_seed: int = 0,
        max_recipients: int | None = None,
        **arguments: Any,
    ) -> None:
        chosen = list(ARMS) if arms is None else arms
        known = len(chosen) > 0 and len(set(chosen)) == len(chosen) and set(chosen) <= set(ARMS)
        require(known, "model.arms", chosen, f"some of {', '.join(ARMS)}, each once")
        require(0 <= draw_seed < N_SEEDS, "model.draw_seed", draw_seed, f"from 0 to {N_SEEDS - 1}")
        limited = max_recipients is None or max_recipients >= 1
        require(limited, "model.max_recipients", max_recipients, "at least 1, or null for all")
        patches = plan_patches(read_outcomes(census), chosen, max_recipients, draw_seed)
        require(len(patches) > 0, "model.census", census, NEEDED)
        super().__init__(seeds=[patch.seed for patch in patches], n_instances=1, first_seed=0, **arguments)
        beyond = [patch.column for patch in patches if not 0 <= patch.column < self.n_features]
        require(not beyond, "model.census", census, f"of models with {self.n_features} features, as configured")
        generator = generator_for(draw_seed, COLUMNS)
        with torch.no_grad():
            for W, patch in zip(self.W, patches, strict=True):
                W[:, patch.column] = self._changed(W[:, patch.column], patch, generator)
        self.patches = patches
        self.instance_columns = {
            name: [getattr(patch, name) for patch in patches] for name in ("arm", "column", "donor")
        }
        self.instance_names = [
            f"seed {patch.seed}, column {patch.column} {patch.arm}"
            + (f" {patch.donor}" if patch.donor is not None else "")
            for patch in patches
        ]

    def _changed(self, own: torch.Tensor, patch: Patch, generator: torch.Generator) -> torch.Tensor:
        if patch.arm == "identity":
            return own
        if patch.arm == "fresh":
            return torch.randn(self.n_hidden, generator=generator) * self.init_std
        assert patch.donor is not None
        donor = self.initial_weights(patch.donor)[:, patch.column]
        if patch.arm == "direction":
            return donor * (own.norm() / donor.norm())
        if patch.arm == "norm":
            return own * (donor.norm() / own.norm())
        return donor


class ReLUOutputPatchingArms(PatchingArms, ReLUOutputModel):
    """The post's model with the columns of its pentagon seeds patched."""


class Outcome(NamedTuple):
    """A seed of a census: what it ended in, and the features that it left out."""

    seed: int
    geometry: str
    unlearned: list[int]


def read_outcomes(census: str) -> list[Outcome]:
    """The seeds of a census, from a run folder or a `census.csv`."""
    path = Path(census) / CENSUS if Path(census).is_dir() else Path(census)
    require(
        path.is_file(), "model.census", census, "the run folder of a finished census, such as configs/seeds.yaml makes"
    )
    try:
        outcomes = [
            Outcome(int(row["seed"]), row["geometry"], [int(feature) for feature in row["unlearned"].split()])
            for row in read_rows(path)
        ]
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ConfigError(f"model.census is {census}; it must be a census.csv as callbacks.census writes it.") from None
    seeds = {outcome.seed for outcome in outcomes}
    proper = len(seeds) == len(outcomes) and all(0 <= seed < N_SEEDS for seed in seeds)
    require(proper, "model.census", census, f"of seeds from 0 to {N_SEEDS - 1}, each once")
    return outcomes


def plan_patches(outcomes: list[Outcome], arms: list[str], max_recipients: int | None, draw_seed: int) -> list[Patch]:
    """One patch for each arm and recipient; none if there is no recipient, or no hexagon where one is needed.

    A recipient's donors depend on the census and on `draw_seed` alone, whichever arms there are and however many
    recipients come after it.
    """
    recipients = [o for o in outcomes if o.geometry == "pentagon" and len(o.unlearned) == 1][:max_recipients]
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
