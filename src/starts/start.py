"""What an instance starts from: its seed, and what is done to the W that the seed gives."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.seeds import N_SEEDS
from src.errors import require
from src.memory import BYTES_OF_A_ROW, STATE_COPIES, require_memory


@runtime_checkable
class Model(Protocol):
    """What a start asks of a model."""

    n_features: int
    n_hidden: int
    init_std: float
    seeds: list[int]

    def initial_weights(self, seed: int) -> Float[Tensor, "hidden feature"]:
        """The W that a seed gives."""


class Start:
    """Every instance starts from the W that its seed gives.

    A start of one's own changes what differs: `initial_W`, and where it says itself which seeds there are (a grid, a
    list from a file) it sets `chooses_seeds` and `seeds`.

    Attributes:
        chooses_seeds: whether the instances are this start's; otherwise they are those of `model.n_instances`,
            `model.first_seed` and `model.seeds`.
        seeds: of the instances, where the start chooses them.
    """

    chooses_seeds: ClassVar[bool] = False
    seeds: Sequence[int] = ()

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        """Where all instances start."""
        return torch.stack([model.initial_weights(seed) for seed in model.seeds])

    def names(self, seeds: Sequence[int]) -> list[str]:
        """What each instance is called."""
        return [f"seed {seed}" for seed in seeds]

    def census_columns(self) -> dict[str, list[Any]]:
        """What else the census should say of each instance, by the name of its column."""
        return {}


def drawn_after(seeds: Sequence[int], first: tuple[int, ...], shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """What each seed's generator draws once it has drawn normal numbers in the shape `first`: [instance, *shape]."""
    drawn: list[list[Tensor]] = [[] for _ in shapes]
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        torch.randn(first, generator=generator)
        for shape, own in zip(shapes, drawn, strict=True):
            own.append(torch.randn(shape, generator=generator))
    return [torch.stack(own) for own in drawn]


def seeds_of(
    start: Start, n_instances: int, first_seed: int, seeds: list[int] | None, bytes_of_parameters: int
) -> list[int]:
    """The seed of each instance.

    Raises:
        ConfigError: if a number is out of range, two settings contradict each other, or a stack does not fit into
            memory.
    """
    require(n_instances >= 1, "model.n_instances", n_instances, "at least 1")
    bytes_each = STATE_COPIES * bytes_of_parameters + BYTES_OF_A_ROW
    if start.chooses_seeds:
        given = (("n_instances", n_instances, 1), ("first_seed", first_seed, 0), ("seeds", seeds, None))
        for field, value, default in given:
            why = f"the instances are those of model.start, {type(start).__name__}"
            require(value == default, f"model.{field}", value, f"left at {default}, since {why}")
        require_memory("the number of instances of model.start", len(start.seeds), bytes_each)
        return list(start.seeds)
    field, count = ("model.n_instances", n_instances) if seeds is None else ("the length of model.seeds", len(seeds))
    require_memory(field, count, bytes_each)
    last = N_SEEDS - n_instances
    require(0 <= first_seed <= last, "model.first_seed", first_seed, f"from 0 to {last}")
    if seeds is None:
        return list(range(first_seed, first_seed + n_instances))
    exist = all(0 <= seed < N_SEEDS for seed in seeds)
    require(len(seeds) > 0 and exist, "model.seeds", seeds, f"a list of numbers from 0 to {N_SEEDS - 1}")
    require(n_instances in (1, len(seeds)), "model.n_instances", n_instances, f"{len(seeds)}, as model.seeds")
    return list(seeds)
