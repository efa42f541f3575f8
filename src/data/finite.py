"""A finite training set: the same examples at every step."""

from functools import cached_property

import torch
from torch import Tensor

from src.data.features import N_VALIDATION_CHUNKS, Features
from src.data.streams import SparseExamples
from src.distributions.distribution import Distribution
from src.distributions.examples import Chunk, Sample, scaled_to_unit_length
from src.distributions.seeds import EXAMPLES, TRAINING, VALIDATION, generator_for
from src.distributions.sparse import Sparse
from src.distributions.supports import Enumerated
from src.errors import require
from src.memory import require_memory

# Of sparse examples, measured, with a margin: as coordinates, as the kernel's lists, and its sums of tiles.
BYTES_OF_AN_EXAMPLE, BYTES_OF_AN_ENTRY, BYTES_OF_TILES = 60, 80, 0.03


class FiniteFeatures(Features):
    """A finite training set: so many examples drawn once, all of them at every step; held-out loss on fresh ones.

    The setting of Henighan et al. 2023, "Superposition, Memorization, and Double Descent". Examples are sparse tensors
    throughout. Every instance has the same ones; those of a smaller set are the first of a larger one's. The held-out
    loss is a fixed sample's (exact where the law can be enumerated and examples keep their length).

    Args:
        n_features: entries of an example, and
        feature_probability: p, the probability that a feature is active, in (0, 1]: the sparse law, in short.
        n_examples: T; null for no end of them.
        unit_length: scale each example to a Euclidean norm of 1, training and held out; an empty one stays empty.
        batch_size: fresh examples per optimizer step where there is no end of them; of T examples a step has all.
        seed: of the examples and of the held-out sample; not of the models.
        block_size: optimizer steps that one Lightning batch carries.
        validation_size: examples in the held-out sample.
        distribution: another law, which is not made from `n_features` and `feature_probability`.
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
        distribution: Distribution | None = None,
    ) -> None:
        law = Sparse(n_features, feature_probability) if distribution is None else distribution
        require(n_examples is None or n_examples >= 1, "data.n_examples", n_examples, "at least 1, or null for no end")
        require(batch_size >= 1, "data.batch_size", batch_size, "at least 1")
        batch_size = batch_size if n_examples is None else n_examples
        super().__init__(law, batch_size, block_size, seed, validation_size)
        bytes_each = round(BYTES_OF_AN_EXAMPLE + law.n_active * BYTES_OF_AN_ENTRY + law.n_features * BYTES_OF_TILES)
        require_memory("data.validation_size", validation_size, bytes_each)
        held_out = validation_size * bytes_each
        if n_examples is not None:
            require_memory("data.n_examples", n_examples, bytes_each, held_out)
        else:
            require_memory("data.block_size", block_size, batch_size * bytes_each, held_out)
        self.n_examples = n_examples
        self.unit_length = unit_length

    def drawn_of(self, law: Distribution, n_rows: int, generator: torch.Generator) -> Tensor:
        x = law.draw_sparse(n_rows, generator)
        return scaled_to_unit_length(x) if self.unit_length else x

    @cached_property
    def examples(self) -> Tensor:
        """The training set, sparse COO [example, feature]; where it has no end, a part of the held-out sample."""
        if self.n_examples is not None:
            return self.drawn_of(self.distribution, self.n_examples, generator_for(self.seed, EXAMPLES))
        return self._held_out.chunks[0].x

    def train_dataloader(self) -> SparseExamples:
        of_law, of_length = str(self.distribution), f"unit_length {self.unit_length}"
        if self.n_examples is None:
            generator = generator_for(self.seed, TRAINING)
            which = f"{of_law}, batch_size {self.batch_size}, {of_length}"
            fresh = lambda: self.drawn_of(self.distribution, self.batch_size, generator)  # noqa: E731
            return SparseExamples(fresh, generator, which, self.block_size, self.max_steps)
        which = f"{of_law}, n_examples {self.n_examples}, seed {self.seed}, {of_length}"
        return SparseExamples(lambda: self.examples, None, which, self.block_size, self.max_steps)

    @cached_property
    def population(self) -> Enumerated | Sample:
        """Fresh examples that no step trains on."""
        can_be_enumerated = self.distribution.supports is not None
        return self.whole_of(self.distribution) if can_be_enumerated and not self.unit_length else self._held_out

    @cached_property
    def _held_out(self) -> Sample:
        generator, size = generator_for(self.seed, VALIDATION), self.validation_size // N_VALIDATION_CHUNKS
        weights = torch.full((size,), 1 / self.validation_size)
        return Sample(
            [Chunk(self.drawn_of(self.distribution, size, generator), weights) for _ in range(N_VALIDATION_CHUNKS)]
        )
