"""Where examples come from: the sparse feature distribution as an endless stream, as a whole, or as a finite sample."""

from functools import cached_property
from typing import Literal

import torch
from lightning import LightningDataModule
from torch import Tensor

from src.draws import (
    EXAMPLES,
    INSTANCE,
    N_SEEDS,
    TRAINING,
    VALIDATION,
    collapse_empty_rows,
    draw_sparse,
    draw_sparse_rows,
    generator_for,
    scaled_to_unit_length,
)
from src.errors import ConfigError, require
from src.memory import require_memory
from src.population import MAX_FEATURES, Chunk, Sample, SparseDistribution, n_quadrature_nodes, quadrature_nodes
from src.streams import PopulationStream, RowStream, SparseStream, WholeDistribution

N_VALIDATION_CHUNKS = 20  # independent parts of the validation sample; their spread gives its standard error
DRAW_COPIES = 2  # of a block while it is drawn: its instances one by one, and their stack
MAX_TRAINING_NODES = 2**20
# Of sparse examples, measured, with a margin: as coordinates, as the fused objective's lists, and its sums of tiles.
BYTES_OF_AN_EXAMPLE, BYTES_OF_AN_ENTRY, BYTES_OF_TILES = 60, 80, 0.03
ENDLESS = 2**40  # a number of blocks that no run reaches


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
            require_memory("data.block_size", self.block_size, 4 * self.batch_size * self.n_features)
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
                require_memory("data.validation_size", self.validation_size, 4 * self.n_features)
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


class FiniteFeatures(SparseFeatures):
    """A finite training set: so many examples drawn once, all of them at every step; held-out loss on fresh ones.

    The setting of Henighan et al. 2023, "Superposition, Memorization, and Double Descent". Examples are sparse tensors
    throughout. Every instance has the same ones; those of a smaller set are the first of a larger one's. The held-out
    loss is a fixed sample's (exact up to 10 features where examples keep their length).

    Args:
        n_features: entries of an example.
        feature_probability: p, the probability that a feature is active, in (0, 1].
        n_examples: T; null for no end of them, `batch_size` fresh ones at every step.
        unit_length: scale each example to a Euclidean norm of 1, training and held out; an empty one stays empty.
        batch_size: examples per optimizer step where there is no end of them.
        seed: of the examples and of the held-out sample; not of the models.
        block_size: optimizer steps that one Lightning batch carries.
        validation_size: examples in the held-out sample.
    """

    def __init__(
        self,
        n_features: int = 6,
        feature_probability: float = 0.057,
        n_examples: int | None = 1000,
        unit_length: bool = True,
        batch_size: int = 1024,
        seed: int = 0,
        block_size: int = 50,
        validation_size: int = 100_000,
    ) -> None:
        super().__init__(
            n_features, feature_probability, batch_size, seed, block_size=block_size, validation_size=validation_size
        )
        require(n_examples is None or n_examples >= 1, "data.n_examples", n_examples, "at least 1, or null for no end")
        bytes_of_feature = feature_probability * BYTES_OF_AN_ENTRY + BYTES_OF_TILES
        bytes_each = round(BYTES_OF_AN_EXAMPLE + n_features * bytes_of_feature)
        require_memory("data.validation_size", validation_size, bytes_each)
        held_out = validation_size * bytes_each
        if n_examples is not None:
            require_memory("data.n_examples", n_examples, bytes_each, held_out)
        else:
            require_memory("data.block_size", block_size, batch_size * bytes_each, held_out)
        self.n_examples = n_examples
        self.unit_length = unit_length

    def _rows(self, n_rows: int, generator: torch.Generator) -> Tensor:
        x = draw_sparse_rows(n_rows, self.n_features, self.feature_probability, generator)
        return scaled_to_unit_length(x) if self.unit_length else x

    @cached_property
    def examples(self) -> Tensor:
        """The training set, sparse COO [example, feature]; where it has no end, a part of the held-out sample."""
        if self.n_examples is not None:
            return self._rows(self.n_examples, generator_for(self.seed, EXAMPLES))
        return self._held_out.chunks[0].x

    def train_dataloader(self) -> RowStream:
        max_steps = self.trainer.max_steps if self.trainer else -1
        of_p = f"n_features {self.n_features}, feature_probability {self.feature_probability}"
        of_length = f"unit_length {self.unit_length}"
        if self.n_examples is None:
            generator = generator_for(self.seed, TRAINING)
            which = f"{of_p}, batch_size {self.batch_size}, {of_length}"
            return RowStream(
                lambda: self._rows(self.batch_size, generator), generator, which, self.block_size, max_steps
            )
        which = f"{of_p}, n_examples {self.n_examples}, seed {self.seed}, {of_length}"
        return RowStream(lambda: self.examples, None, which, self.block_size, max_steps)

    @property
    def population(self) -> SparseDistribution | Sample:
        """Fresh examples that no step trains on."""
        is_exact = self.n_features <= MAX_FEATURES and not self.unit_length
        return super().population if is_exact else self._held_out

    @cached_property
    def _held_out(self) -> Sample:
        generator, size = generator_for(self.seed, VALIDATION), self.validation_size // N_VALIDATION_CHUNKS
        weights = torch.full((size,), 1 / self.validation_size)
        return Sample([Chunk(self._rows(size, generator), weights) for _ in range(N_VALIDATION_CHUNKS)])
