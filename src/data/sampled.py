"""The distribution of a training stream of one's own, by a sample of it."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from src.data.streams import Stream
from src.distributions.examples import Chunk, Sample, collapse_empty_rows
from src.distributions.per_instance import PerInstance
from src.distributions.seeds import VALIDATION, generator_for
from src.errors import ConfigError
from src.training.block import Block, Repeated, batches_of


def sample_of(loader: Iterable[Block], n_features: int, n_draws: int, n_chunks: int, seed: int) -> Sample | PerInstance:
    """What a loader trains on, by its first batches, or as a whole where that is what each of its steps has.

    A `Stream` is drawn from other random numbers than a run trains on, and is left as it was.

    Args:
        loader: of training batches, one for all instances, or one for each.
        n_draws: examples in the sample, of all instances together.
        n_chunks: independent parts, whose spread gives the standard error; fewer if there are fewer batches.
        seed: of the data.

    Raises:
        ConfigError: if the loader gives no batch, or something else than examples.
    """
    generators: Any = getattr(loader, "generators", ())
    before = [generator.get_state() for generator in generators]
    if isinstance(loader, Stream):
        stream = copy.copy(loader)
        stream.step, stream.max_steps = 0, -1
        loader = stream
    try:
        for k, generator in enumerate(generators):
            generator.set_state(generator_for(seed, VALIDATION, k).get_state())
        with torch.random.fork_rng(devices=[]):
            return _sample(loader, n_features, n_draws, n_chunks)
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


def _sample(loader: Iterable[Block], n_features: int, n_draws: int, n_chunks: int) -> Sample | PerInstance:
    batches: list[Tensor] = []
    n_drawn = 0
    for block in loader:
        some, weights = batches_of(block, n_features, torch.float32)
        if isinstance(block, Repeated) or weights is not None:  # of the same at every step the mean has no error
            x = some[0]
            weights = torch.full((x.shape[-2],), 1 / x.shape[-2]) if weights is None else weights
            return Sample([Chunk(x, weights / 2)] * 2)
        batches += some
        n_drawn += sum(x.shape[:-1].numel() for x in some)
        if n_drawn >= n_draws:
            break
    if not n_drawn:
        raise ConfigError("the training data has no example; it must have some, of which the loss is taken.")
    n_each = max(1, len(batches) // n_chunks)
    groups = [batches[k : k + n_each] for k in range(0, len(batches) // n_each * n_each, n_each)][:n_chunks]
    wholes = [torch.cat(group, dim=-2) for group in groups]
    if wholes[0].dim() == 2:
        return Sample(list(_chunks(wholes)))
    own = [Sample(list(_chunks([whole[i] for whole in wholes]))) for i in range(len(wholes[0]))]
    return PerInstance(own, range(len(own)))


def _chunks(wholes: list[Tensor]) -> Iterator[Chunk]:
    n_rows = sum(map(len, wholes))
    for x in wholes:
        if x.is_sparse:
            yield Chunk(x, torch.full((len(x),), 1 / n_rows))
        else:
            yield collapse_empty_rows(x.float(), len(x) / n_rows)
