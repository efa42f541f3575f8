"""One seed many times over, one column of its W starting at each point of a grid of the plane."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.seeds import N_SEEDS
from src.errors import require
from src.memory import BYTES_OF_A_ROW, require_memory
from src.starts.start import Model, Start


class Basin(Start):
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

    chooses_seeds: ClassVar[bool] = True

    def __init__(self, seed: int = 0, column: int = 0, size: int = 64, reach: float = 1.0) -> None:
        require(size >= 1, "model.start.size", size, "at least 1")
        require(0 < reach < math.inf, "model.start.reach", reach, "positive and finite")
        require(0 <= seed < N_SEEDS, "model.start.seed", seed, f"from 0 to {N_SEEDS - 1}")
        require_memory("the number of points, model.start.size squared,", size**2, BYTES_OF_A_ROW)
        self.seeds = [seed] * size**2
        self.column = column
        self.size = size
        self.reach = reach
        along = ((torch.arange(size) + 0.5) * (2 / size) - 1) * reach
        self.y, self.x = (axis.flatten() for axis in torch.meshgrid(along, along, indexing="ij"))

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        require(model.n_hidden == 2, "model.n_hidden", model.n_hidden, "2, a plane, for a basin map")
        allowed = f"from 0 to {model.n_features - 1}, the features"
        require(0 <= self.column < model.n_features, "model.start.column", self.column, allowed)
        W = super().initial_W(model)
        W[:, :, self.column] = torch.stack([self.x, self.y], dim=1)
        return W

    def names(self, seeds: Sequence[int]) -> list[str]:
        points = zip(seeds, self.x.tolist(), self.y.tolist(), strict=True)
        return [f"seed {seed}, column {self.column} at ({x:.2f}, {y:.2f})" for seed, x, y in points]

    def census_columns(self) -> dict[str, list[Any]]:
        return {"x": self.x.tolist(), "y": self.y.tolist()}
