"""Loaders of training batches in blocks of optimizer steps, which resume to the bit, and of what is validated on."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from src.distributions.distribution import Distribution
from src.distributions.examples import Chunk
from src.distributions.per_instance import Population
from src.distributions.sparse import Sparse
from src.errors import require
from src.training.block import Block, Repeated

STREAM = "a stream of dense examples"


class WholeDistribution:
    """A loader whose one batch is the distribution itself: validation needs no other."""

    def __init__(self, population: Population) -> None:
        self.population = population

    def __iter__(self) -> Iterator[Population]:
        yield self.population

    def __len__(self) -> int:
        return 1


class Stream:
    """Batches in blocks of optimizer steps; a subclass says what a block holds.

    A block ends where the step count is a multiple of `block_size`, and at `max_steps` (-1: never). The data of step t
    depend on the seed and on t alone, not on the block size. `state_dict` holds the position after the last block
    handed out; Lightning saves it in every checkpoint.

    Args:
        block_size: optimizer steps in a block.
        max_steps: of the whole run.
        generators: what fresh batches are drawn from, on the CPU, so that every device sees the same examples.
        fingerprint: of what the data are made from, as far as a run that is resumed must have it too.
    """

    shared = True  # whether all instances see the same batches

    def __init__(
        self,
        block_size: int,
        max_steps: int = -1,
        generators: Sequence[torch.Generator] = (),
        fingerprint: str = STREAM,
    ) -> None:
        self.block_size = block_size
        self.max_steps = max_steps
        self.generators = generators
        self.fingerprint = fingerprint
        self.step = 0

    def draw(self, n_steps: int) -> Block:
        """The batches of the next steps."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Block]:
        while self.max_steps == -1 or self.step < self.max_steps:
            n_steps = self.block_size - self.step % self.block_size
            if self.max_steps != -1:
                n_steps = min(n_steps, self.max_steps - self.step)
            self.step += n_steps
            yield self.draw(n_steps)

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
        count, own = len(state["generators"]), len(self.generators)
        require(count == own, "the number of data streams in the checkpoint", count, f"{own}, as configured")
        kinds = {True: "shared", False: "independent"}
        wanted = f"{kinds.get(state['shared'])}, as in the checkpoint"
        require(state["shared"] == self.shared, "data.stream", kinds[self.shared], wanted)
        self.step = state["step"]
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)


def steps_of(law: Distribution, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """The batches of some steps, [step, batch, feature], which are the same however steps are put into blocks."""
    if type(law) is Sparse:  # which draws one number after another, so that a whole block is no other
        return law.draw((n_steps, batch_size), generator)
    return torch.stack([law.draw((batch_size,), generator) for _ in range(n_steps)])


class FreshExamples(Stream):
    """Endless dense batches, [step, batch, feature], or [step, instance, batch, feature] of as many generators.

    Args:
        distribution: the law of the examples.
        batch_size: examples per optimizer step.
        generators: one for all instances if `shared`, else one for each.
    """

    def __init__(
        self,
        distribution: Distribution,
        batch_size: int,
        generators: Sequence[torch.Generator],
        block_size: int,
        max_steps: int = -1,
        shared: bool = True,
    ) -> None:
        own_law = STREAM if type(distribution) is Sparse else f"{STREAM}, {distribution}"
        super().__init__(block_size, max_steps, generators, own_law)
        self.distribution = distribution
        self.batch_size = batch_size
        self.shared = shared

    def draw(self, n_steps: int) -> Tensor:
        blocks = [steps_of(self.distribution, n_steps, self.batch_size, generator) for generator in self.generators]
        return blocks[0] if self.shared else torch.stack(blocks, dim=1)


class FreshForEach(Stream):
    """Endless dense batches of as many laws, [step, instance, batch, feature], from common random numbers.

    Args:
        distributions: laws, drawn from the same state of the generator each, so that laws of a kind differ as little as
            they can.
        which: of them is each instance's.
    """

    shared = False

    def __init__(
        self,
        distributions: Sequence[Distribution],
        which: Sequence[int],
        batch_size: int,
        generator: torch.Generator,
        block_size: int,
        max_steps: int = -1,
    ) -> None:
        fingerprint = f"{STREAM} of {'; '.join(map(str, distributions))}"
        super().__init__(block_size, max_steps, (generator,), fingerprint)
        self.distributions, self.which, self.batch_size = distributions, list(which), batch_size

    def draw(self, n_steps: int) -> Tensor:
        (generator,) = self.generators
        before, blocks = generator.get_state(), []
        for law in self.distributions:
            generator.set_state(before)
            blocks.append(steps_of(law, n_steps, self.batch_size, generator))
        return torch.stack([blocks[k] for k in self.which], dim=1)


class WholeAtEveryStep(Stream):
    """The whole distribution at every step, as nodes [step, batch, feature] with weights [batch]."""

    def __init__(self, nodes: Chunk, block_size: int, max_steps: int = -1) -> None:
        super().__init__(block_size, max_steps)
        self.nodes = nodes

    def draw(self, n_steps: int) -> Chunk:
        return Chunk(self.nodes.x.expand(n_steps, -1, -1), self.nodes.weights)


class SparseExamples(Stream):
    """Batches of many features of which few are active: sparse COO [batch, feature], a list of them or `Repeated`.

    Args:
        batch: the next step's.
        generator: what it is drawn from; None if every step has the same batch.
    """

    def __init__(
        self,
        batch: Callable[[], Tensor],
        generator: torch.Generator | None,
        fingerprint: str,
        block_size: int,
        max_steps: int = -1,
    ) -> None:
        super().__init__(block_size, max_steps, () if generator is None else (generator,), fingerprint)
        self.batch = batch

    def draw(self, n_steps: int) -> list[Tensor] | Repeated:
        return [self.batch() for _ in range(n_steps)] if self.generators else Repeated(self.batch(), n_steps)
