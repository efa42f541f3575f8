"""Fresh examples at every step."""

from functools import cached_property
from typing import Any, Literal

from src.data.features import Features
from src.data.probabilities import probabilities_of
from src.data.streams import FreshExamples, FreshForEach, Stream
from src.distributions.distribution import Distribution
from src.distributions.per_instance import PerInstance, Population
from src.distributions.seeds import INSTANCE, TRAINING, generator_for
from src.distributions.sparse import Sparse
from src.errors import ConfigError, require
from src.memory import BYTES, require_memory

DRAW_COPIES = 2  # of a block while it is drawn: its instances one by one, and their stack


class SparseFeatures(Features):
    """Endless data: fresh batches every step, and the whole distribution to validate on.

    Where the law can be enumerated (the sparse one up to 10 features, or 12 where p is at most 0.1) the whole is exact.
    Otherwise it is a fixed sample, whose losses have a standard error.

    Args:
        n_features: entries of an example, and
        feature_probability: p, the probability that a feature is active, in (0, 1]: the sparse law, in short. Of a
            list, or `linspace(1, 0.1, 10)` or `logspace(1, 0.05, 10)`, each instance has one, the first the first, and
            so on from the start again. All are drawn from the same random numbers.
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
        feature_probability: float | list[float] | str = 0.057,
        batch_size: int = 1024,
        seed: int = 0,
        stream: Literal["shared", "independent"] = "shared",
        block_size: int = 50,
        validation_size: int = 1_000_000,
        distribution: Distribution | None = None,
    ) -> None:
        self.probabilities = probabilities_of(feature_probability)
        if distribution is None:
            self.laws: list[Distribution] = [Sparse(n_features, p) for p in self.probabilities]
        else:
            self.laws = [distribution]
        law = self.laws[0]
        super().__init__(law, batch_size, block_size, seed, validation_size)
        require(stream in ("shared", "independent"), "data.stream", stream, "shared or independent")
        is_one = len(self.laws) == 1
        allowed = "shared, since data.feature_probability is a list, whose streams have common random numbers"
        require(is_one or stream == "shared", "data.stream", stream, allowed)
        self.stream = stream
        bytes_of_a_batch = BYTES * batch_size * law.n_features
        require_memory("data.batch_size", batch_size, BYTES * law.n_features)
        require_memory("data.block_size", block_size, bytes_of_a_batch)

    def refuse_stack(self, n_instances: int) -> None:
        """Raise a `ConfigError` if the examples of so many instances do not fit into memory."""
        k = len(self.laws)
        allowed = f"a multiple of {k}, the probabilities in data.feature_probability"
        require(n_instances % k == 0, "model.n_instances", n_instances, allowed)
        if self.stream == "independent" or k > 1:
            bytes_of_a_block = BYTES * self.block_size * self.batch_size * self.n_features
            require_memory("model.n_instances", n_instances, DRAW_COPIES * bytes_of_a_block)

    @property
    def which(self) -> list[int]:
        """Of the probabilities, each instance's."""
        n_instances = len(self.laws) if self.trainer is None else self.trainer.lightning_module.n_instances
        return [i % len(self.laws) for i in range(n_instances)]  # type: ignore[arg-type]

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if len(self.laws) > 1 and self.trainer is not None:
            model: Any = self.trainer.lightning_module
            self.refuse_stack(model.n_instances)
            own = [self.probabilities[k] for k in self.which]
            if model.instance_columns.get("feature_probability") != own:
                model.instance_columns = {**model.instance_columns, "feature_probability": own}
                names = zip(model.instance_names, own, strict=True)
                model.instance_names = [f"{name}, p = {p:.3g}" for name, p in names]

    @cached_property
    def population(self) -> Population:
        """The whole distribution, or each instance's, exact where it can be enumerated."""
        if len(self.laws) == 1:
            return self.whole_of(self.distribution)
        return PerInstance([self.whole_of(law) for law in self.laws], self.which)

    def train_dataloader(self) -> Stream:
        if len(self.laws) > 1:
            generator = generator_for(self.seed, TRAINING)
            return FreshForEach(self.laws, self.which, self.batch_size, generator, self.block_size, self.max_steps)
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
