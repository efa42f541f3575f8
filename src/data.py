"""Where examples come from: the sparse feature distribution, as an endless stream and as a whole.

An example x has independent entries. Each is 0 with probability 1 - p and uniform on [0, 1] otherwise
(Elhage et al. 2022, "Toy Models of Superposition", section "Experiment setup"; p = `feature_probability`).
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning import LightningDataModule
from torch import Tensor

from src.errors import ConfigError, require
from src.memory import require_memory
from src.population import MAX_FEATURES, Chunk, Sample, SparseDistribution, n_quadrature_nodes, quadrature_nodes

# What a random stream is for, which keeps the streams of one seed apart.
TRAINING, VALIDATION, INSTANCE, DONORS, COLUMNS = range(5)
N_VALIDATION_CHUNKS = 20  # independent parts of the validation sample; their spread gives its standard error
N_SEEDS = 2**32  # what torch's CPU generator tells apart
DRAW_COPIES = 2  # of a block while it is drawn: its instances one by one, and their stack
MAX_TRAINING_NODES = 2**20
ENDLESS = 2**40  # a number of blocks that no run reaches


class WholeDistribution:
    """A loader whose one batch is the distribution itself: validation needs no other."""

    def __init__(self, population: SparseDistribution | Sample) -> None:
        self.population = population

    def __iter__(self) -> Iterator[SparseDistribution | Sample]:
        yield self.population

    def __len__(self) -> int:
        return 1


def generator_for(seed: int, purpose: int, instance_seed: int = 0) -> torch.Generator:
    """A CPU generator for one purpose, unrelated to that of another seed or purpose.

    torch's generator tells 2^32 seeds apart, so those of a run's instances are numbered from a hashed start: they never
    coincide.
    """
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return torch.Generator().manual_seed((int.from_bytes(digest[:4], "little") + instance_seed) % N_SEEDS)


def draw_sparse(shape: tuple[int, ...], feature_probability: float, generator: torch.Generator) -> Tensor:
    """Draw examples of the sparse feature distribution, one per row of the last axis.

    One uniform number u decides both things: given u < p, which has probability p, u / p is uniform on [0, 1).

    Returns: float32 [*shape].
    """
    x = torch.rand(shape, generator=generator, dtype=torch.float32).div_(-feature_probability)
    return torch.threshold_(x, -1, 0).abs_()  # in a fifth of the time of a comparison and a masked fill


def collapse_empty_rows(x: Float[Tensor, "batch feature"], weight: float) -> Chunk:
    """A sample of total weight `weight` with its all-zero rows merged into one that carries theirs.

    At p = 0.057 and n = 6 seven rows in ten are empty, and a model answers all of them alike.
    """
    active = x[(x != 0).any(dim=-1)]
    weights = torch.full((len(active) + 1,), weight / len(x), dtype=x.dtype)
    weights[-1] = weight * (len(x) - len(active)) / len(x)
    return Chunk(torch.cat([active, x.new_zeros(1, x.shape[-1])]), weights)


class SparseStream:
    """Endless fresh batches in blocks of optimizer steps, [step, batch, feature] or [step, instance, batch, feature].

    A block ends where the step count is a multiple of `block_size`, and at `max_steps` (-1: never). The data of step t
    depend on the seed and on t alone, not on the block size. `state_dict` holds the position after the last block
    handed out; Lightning saves it in every checkpoint.

    The generators live on the CPU, so that every device sees the same examples.
    """

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

    def __iter__(self) -> Iterator[Tensor | Chunk]:
        while self.max_steps == -1 or self.step < self.max_steps:
            n_steps = self.block_size - self.step % self.block_size
            if self.max_steps != -1:
                n_steps = min(n_steps, self.max_steps - self.step)
            self.step += n_steps
            yield self._draw(n_steps)

    def _draw(self, n_steps: int) -> Tensor | Chunk:
        shape = (n_steps, *self.batch_shape)
        blocks = [draw_sparse(shape, self.feature_probability, generator) for generator in self.generators]
        return blocks[0] if self.shared else torch.stack(blocks, dim=1)

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "shared": self.shared,
            "generators": [generator.get_state() for generator in self.generators],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
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


class SparseFeatures(LightningDataModule):
    """The sparse feature distribution: fresh batches every step, and the whole of it to validate on.

    Up to 10 features the whole is exact. With more it is a fixed sample, whose losses have a standard error.

    Args:
        n_features: entries of an example.
        feature_probability: p, the probability that a feature is active, in (0, 1].
        batch_size: examples per optimizer step.
        seed: of the stream and of the validation sample; not of the models.
        stream: `shared` shows all instances the same batches, so that they differ by their initialisation alone;
            `independent` gives each its own, which depends on `seed` and on the instance's seed.
        block_size: optimizer steps that one Lightning batch carries.
        validation_size: draws in the validation sample, where there is one.
    """

    def __init__(
        self,
        n_features: int = 6,
        feature_probability: float = 0.057,
        batch_size: int = 1024,
        seed: int = 0,
        stream: Literal["shared", "independent"] = "shared",
        block_size: int = 50,
        validation_size: int = 1_000_000,
    ) -> None:
        super().__init__()
        require(n_features >= 1, "data.n_features", n_features, "at least 1")
        require(0 < feature_probability <= 1, "data.feature_probability", feature_probability, "in (0, 1]")
        require(batch_size >= 1, "data.batch_size", batch_size, "at least 1")
        require(0 <= seed < N_SEEDS, "data.seed", seed, f"from 0 to {N_SEEDS - 1}")
        require(stream in ("shared", "independent"), "data.stream", stream, "shared or independent")
        require(block_size >= 1, "data.block_size", block_size, "at least 1")
        require(
            validation_size > 0 and validation_size % N_VALIDATION_CHUNKS == 0,
            "data.validation_size",
            validation_size,
            f"a positive multiple of {N_VALIDATION_CHUNKS}",
        )
        self.n_features = n_features
        self.feature_probability = feature_probability
        self.batch_size = batch_size
        self.seed = seed
        self.stream = stream
        self.block_size = block_size
        self.validation_size = validation_size
        self._population: SparseDistribution | Sample | None = None

    def setup(self, stage: str) -> None:
        # Lightning reads one block ahead of a loader without a length, and a checkpoint would hold a position not yet
        # reached; with a whole number for a limit it does not.
        if self.trainer is not None and self.trainer.limit_train_batches == 1.0:
            self.trainer.limit_train_batches = ENDLESS

    def train_dataloader(self) -> SparseStream:
        shared = self.stream == "shared"
        if shared:
            generators = [generator_for(self.seed, TRAINING)]
        else:
            if self.trainer is None:
                raise ConfigError("data.stream is independent; it must be shared where no model gives its seeds.")
            seeds: list[int] = self.trainer.lightning_module.seeds  # type: ignore[assignment]
            block = 4 * self.block_size * self.batch_size * self.n_features
            require_memory("model.n_instances", len(seeds), DRAW_COPIES * block)
            generators = [generator_for(self.seed, INSTANCE, seed) for seed in seeds]
        return SparseStream(
            generators,
            (self.batch_size, self.n_features),
            self.feature_probability,
            self.block_size,
            self.trainer.max_steps if self.trainer else -1,
            shared,
        )

    def val_dataloader(self) -> WholeDistribution:
        return WholeDistribution(self.population)

    def test_dataloader(self) -> WholeDistribution:
        return WholeDistribution(self.population)

    @property
    def population(self) -> SparseDistribution | Sample:
        """The whole distribution; with many features a fixed sample of `validation_size` draws."""
        if self._population is None:
            if self.n_features <= MAX_FEATURES:
                self._population = SparseDistribution.independent(self.n_features, self.feature_probability)
            else:
                generator = generator_for(self.seed, VALIDATION)
                shape = (self.validation_size // N_VALIDATION_CHUNKS, self.n_features)
                draws = (draw_sparse(shape, self.feature_probability, generator) for _ in range(N_VALIDATION_CHUNKS))
                self._population = Sample([collapse_empty_rows(x, 1 / N_VALIDATION_CHUNKS) for x in draws])
        return self._population


class SparsePopulation(SparseFeatures):
    """The same distribution without sampling noise: every step trains on all of it, as quadrature nodes with weights.

    Args:
        n_features: entries of an example, up to 10.
        feature_probability: p, the probability that a feature is active, in (0, 1].
        tolerance: relative accuracy of the loss, about; the smaller, the more nodes.
        block_size: optimizer steps that one Lightning batch carries.
    """

    def __init__(
        self,
        n_features: int = 6,
        feature_probability: float = 0.057,
        tolerance: float = 3e-4,
        block_size: int = 50,
    ) -> None:
        super().__init__(n_features, feature_probability, block_size=block_size)
        require(n_features <= MAX_FEATURES, "data.n_features", n_features, f"at most {MAX_FEATURES}, to be enumerated")
        require(0 < tolerance < 1, "data.tolerance", tolerance, "between 0 and 1")
        self.distribution = SparseDistribution.independent(n_features, feature_probability)
        n_nodes = n_quadrature_nodes(self.distribution, tolerance)
        allowed = f"larger: it asks for {n_nodes:,} nodes a step, and at most {MAX_TRAINING_NODES:,} are reasonable"
        require(n_nodes <= MAX_TRAINING_NODES, "data.tolerance", tolerance, allowed)
        self.tolerance = tolerance

    def train_dataloader(self) -> PopulationStream:
        x, weights = quadrature_nodes(self.distribution, self.tolerance)
        max_steps = self.trainer.max_steps if self.trainer else -1
        return PopulationStream(Chunk(x.float(), weights.float()), self.block_size, max_steps)
