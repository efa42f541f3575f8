"""Loaders of training batches in blocks of optimizer steps, which resume to the bit, and of what is validated on."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from src.draws import draw_sparse
from src.errors import require
from src.population import Chunk, Sample, SparseDistribution

STREAM = "a stream of dense examples"


class Repeated(NamedTuple):
    """The same batch at each of so many steps."""

    x: Tensor
    n_steps: int


class WholeDistribution:
    """A loader whose one batch is the distribution itself: validation needs no other."""

    def __init__(self, population: SparseDistribution | Sample) -> None:
        self.population = population

    def __iter__(self) -> Iterator[SparseDistribution | Sample]:
        yield self.population

    def __len__(self) -> int:
        return 1


class SparseStream:
    """Endless fresh batches in blocks of optimizer steps, [step, batch, feature] or [step, instance, batch, feature].

    A block ends where the step count is a multiple of `block_size`, and at `max_steps` (-1: never). The data of step t
    depend on the seed and on t alone, not on the block size. `state_dict` holds the position after the last block
    handed out; Lightning saves it in every checkpoint.

    The generators live on the CPU, so that every device sees the same examples.

    Attributes:
        fingerprint: of what the data are made from, as far as a run that is resumed must have it too.
    """

    fingerprint = STREAM

    def __init__(
        self,
        generators: list[torch.Generator],
        batch_shape: tuple[int, int],
        feature_probability: float,
        block_size: int,
        max_steps: int = -1,
        shared: bool = True,
    ) -> None:
        self.generators = generators
        self.batch_shape = batch_shape
        self.feature_probability = feature_probability
        self.block_size = block_size
        self.max_steps = max_steps
        self.shared = shared
        self.step = 0

    def __iter__(self) -> Iterator[Tensor | Chunk | list[Tensor] | Repeated]:
        while self.max_steps == -1 or self.step < self.max_steps:
            n_steps = self.block_size - self.step % self.block_size
            if self.max_steps != -1:
                n_steps = min(n_steps, self.max_steps - self.step)
            self.step += n_steps
            yield self._draw(n_steps)

    def _draw(self, n_steps: int) -> Tensor | Chunk | list[Tensor] | Repeated:
        shape = (n_steps, *self.batch_shape)
        blocks = [draw_sparse(shape, self.feature_probability, generator) for generator in self.generators]
        return blocks[0] if self.shared else torch.stack(blocks, dim=1)

    def state_dict(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "step": self.step,
            "shared": self.shared,
            "generators": [generator.get_state() for generator in self.generators],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        saved = state.get("fingerprint", STREAM)
        require(saved == self.fingerprint, "the training data", self.fingerprint, f"{saved}, as in the checkpoint")
        require(
            len(state["generators"]) == len(self.generators),
            "the number of data streams in the checkpoint",
            len(state["generators"]),
            f"{len(self.generators)}, as configured",
        )
        kinds = {True: "shared", False: "independent"}
        require(
            state["shared"] == self.shared,
            "data.stream",
            kinds[self.shared],
            f"{kinds[state['shared']]}, as in the checkpoint",
        )
        self.step = state["step"]
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)


class PopulationStream(SparseStream):
    """The whole distribution at every step, as nodes [step, batch, feature] with weights [batch]."""

    def __init__(self, nodes: Chunk, block_size: int, max_steps: int = -1) -> None:
        super().__init__([], (len(nodes.x), nodes.x.shape[1]), 1.0, block_size, max_steps)
        self.nodes = nodes

    def _draw(self, n_steps: int) -> Chunk:
        return Chunk(self.nodes.x.expand(n_steps, -1, -1), self.nodes.weights)


class RowStream(SparseStream):
    """The same for many features of which few are active: sparse COO [batch, feature], a list of them or `Repeated`.

    Args:
        draw: the next step's batch, from the generator.
        generator: None if every step has the same batch.
        fingerprint: see `SparseStream`.
    """

    def __init__(
        self,
        draw: Callable[[], Tensor],
        generator: torch.Generator | None,
        fingerprint: str,
        block_size: int,
        max_steps: int = -1,
    ) -> None:
        super().__init__([generator] if generator is not None else [], (0, 0), 1.0, block_size, max_steps)
        self.draw = draw
        self.fingerprint = fingerprint

    def _draw(self, n_steps: int) -> list[Tensor] | Repeated:
        return [self.draw() for _ in range(n_steps)] if self.generators else Repeated(self.draw(), n_steps)
