"""Fresh examples at every step."""

from typing import Literal

from src.data.features import Features
from src.data.streams import FreshExamples
from src.distributions.distribution import Distribution
from src.distributions.seeds import INSTANCE, TRAINING, generator_for
from src.distributions.sparse import Sparse
from src.errors import ConfigError, require
from src.memory import require_memory

BYTES = 4  # of a number
DRAW_COPIES = 2  # of a block while it is drawn: its instances one by one, and their stack


class SparseFeatures(Features):
    """Endless data: fresh batches every step, and the whole distribution to validate on.

    Where the law can be enumerated (the sparse one up to 10 features) the whole is exact. Otherwise it is a fixed
    sample, whose losses have a standard error.

    Args:
        n_features: entries of an example, and
        feature_probability: p, the probability that a feature is active, in (0, 1]: the sparse law, in short.
        batch_size: examples per optimizer step.
        seed: of the stream and of the validation sample; not of the models.
        stream: `shared` shows all instances the same batches, so that they differ by their initialisation alone;
            `independent` gives each its own, which depends on `seed` and on the instance's seed.
        block_size: optimizer steps that one Lightning batch carries.
        validation_size: draws in the validation sample, where there is one.
        distribution: another law, which is not made from `n_features` and `feature_probability`.
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
        distribution: Distribution | None = None,
    ) -> None:
        law = Sparse(n_features, feature_probability) if distribution is None else distribution
        super().__init__(law, batch_size, block_size, seed, validation_size)
        require(stream in ("shared", "independent"), "data.stream", stream, "shared or independent")
        self.stream = stream
        bytes_of_a_batch = BYTES * batch_size * law.n_features
        require_memory("data.batch_size", batch_size, BYTES * law.n_features)
        require_memory("data.block_size", block_size, bytes_of_a_batch)

    def refuse_stack(self, n_instances: int) -> None:
        """Raise a `ConfigError` if the examples of so many instances do not fit into memory."""
        if self.stream == "independent":
            bytes_of_a_block = BYTES * self.block_size * self.batch_size * self.n_features
            require_memory("model.n_instances", n_instances, DRAW_COPIES * bytes_of_a_block)

    def train_dataloader(self) -> FreshExamples:
        shared = self.stream == "shared"
        if shared:
            generators = [generator_for(self.seed, TRAINING)]
        else:
            if self.trainer is None:
                raise ConfigError("data.stream is independent; it must be shared where no model gives its seeds.")
            seeds: list[int] = self.trainer.lightning_module.seeds  # type: ignore[assignment]
            self.refuse_stack(len(seeds))
            generators = [generator_for(self.seed, INSTANCE, seed) for seed in seeds]
        return FreshExamples(self.distribution, self.batch_size, generators, self.block_size, self.max_steps, shared)
