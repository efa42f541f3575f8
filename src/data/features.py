"""What all data modules have in common: a law, and the whole of it to validate on."""

from functools import cached_property
from typing import Any

from lightning import LightningDataModule
from torch import Generator, Tensor

from src.data.sampled import sample_of
from src.data.streams import Stream, WholeDistribution
from src.distributions.distribution import Distribution
from src.distributions.examples import Sample, collapse_empty_rows
from src.distributions.per_instance import PerInstance, Population
from src.distributions.seeds import N_SEEDS, VALIDATION, generator_for
from src.distributions.supports import Enumerated
from src.errors import ConfigError, require
from src.memory import require_memory
from src.population.moments import refuse_others

N_VALIDATION_CHUNKS = 20  # independent parts of the validation sample; their spread gives its standard error
N_COMPARED = 50_000  # draws of a law that are held against its supports
ENDLESS = 2**40  # a number of blocks that no run reaches


class Features(LightningDataModule):
    """Examples of a law, and the whole of it to validate on, which is exact where the law can be enumerated.

    A data module of one's own defines `train_dataloader`: a `src.data.streams.Stream` of what steps train on, or any
    loader of batches. Its population is then a sample of that, since the law's may be another; one that defines
    `population` too is refused where what it trains on first looks different (`src.training.agreement`).

    Args:
        distribution: the law of the examples.
        batch_size: examples that an optimizer step trains on.
        block_size: optimizer steps that one Lightning batch carries.
        seed: of everything drawn here; not of the models.
        validation_size: draws in the validation sample, where there is one.

    Raises:
        ConfigError: if a size is not positive, or the seed negative.
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        defined = ("train_dataloader", "population")
        loader, population = (next(k for k, kind in enumerate(cls.__mro__) if name in vars(kind)) for name in defined)
        if loader < population:
            cls.population = Features.sampled  # type: ignore[method-assign]

    def __init__(
        self,
        distribution: Distribution,
        batch_size: int,
        block_size: int = 50,
        seed: int = 0,
        validation_size: int = 1_000_000,
    ) -> None:
        super().__init__()
        require(batch_size >= 1, "data.batch_size", batch_size, "at least 1")
        require(0 <= seed < N_SEEDS, "data.seed", seed, f"from 0 to {N_SEEDS - 1}")
        require(block_size >= 1, "data.block_size", block_size, "at least 1")
        is_whole = validation_size > 0 and validation_size % N_VALIDATION_CHUNKS == 0
        allowed = f"a positive multiple of {N_VALIDATION_CHUNKS}"
        require(is_whole, "data.validation_size", validation_size, allowed)
        self.distribution = distribution
        self.n_features = distribution.n_features
        self.batch_size = batch_size
        self.block_size = block_size
        self.seed = seed
        self.validation_size = validation_size

    @property
    def max_steps(self) -> int:
        """Where the stream ends; -1 without a trainer: never."""
        return self.trainer.max_steps if self.trainer else -1

    def setup(self, stage: str) -> None:
        # Lightning reads one block ahead of a loader without a length, and a checkpoint would hold a position not yet
        # reached; with a whole number for a limit it does not.
        if self.trainer is not None and self.trainer.limit_train_batches == 1.0:
            self.trainer.limit_train_batches = ENDLESS

    def train_dataloader(self) -> Stream:
        raise ConfigError(f"data is {type(self).__name__}; it must be a class that says what a step trains on.")

    def val_dataloader(self) -> WholeDistribution:
        return WholeDistribution(self.population)

    def test_dataloader(self) -> WholeDistribution:
        return WholeDistribution(self.population)

    @cached_property
    def population(self) -> Population:
        """The whole distribution; where it cannot be enumerated a fixed sample of `validation_size` draws."""
        return self.whole_of(self.distribution)

    @cached_property
    def sampled(self) -> Sample | PerInstance:
        """What `train_dataloader` trains on, as a sample of `validation_size` draws, of all instances together."""
        return sample_of(self.train_dataloader(), self.n_features, self.validation_size, N_VALIDATION_CHUNKS, self.seed)

    def drawn_of(self, law: Distribution, n_rows: int, generator: Generator) -> Tensor:
        """Examples of a law, as they are trained on."""
        return law.draw((n_rows,), generator)

    def whole_of(self, law: Distribution) -> Enumerated | Sample:
        """A law by its supports, or a fixed sample of it, in equal independent chunks.

        Raises:
            ConfigError: if its draws are not what its supports say.
        """
        enumerated = law.supports
        if enumerated is not None:
            drawn, name = self.drawn_of(law, N_COMPARED, generator_for(self.seed, VALIDATION)), type(law).__name__
            refuse_others([drawn], enumerated, f"what {name} draws", f"{name}.supports")
            return enumerated
        require_memory("data.validation_size", self.validation_size, 4 * self.n_features)
        generator, size = generator_for(self.seed, VALIDATION), self.validation_size // N_VALIDATION_CHUNKS
        draws = (self.drawn_of(law, size, generator) for _ in range(N_VALIDATION_CHUNKS))
        return Sample([collapse_empty_rows(x, 1 / N_VALIDATION_CHUNKS) for x in draws])
