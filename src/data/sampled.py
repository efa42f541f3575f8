"""The distribution of a training stream of one's own, by a sample of it."""

import copy
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from src.data.streams import Stream
from src.distributions.examples import Chunk, Sample, collapse_empty_rows
from src.distributions.per_instance import PerInstance
from src.distributions.seeds import VALIDATION, generator_for, kept
from src.errors import ConfigError, require
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
    allowed = "a loader that can be gone through several times, no iterator"
    require(not isinstance(loader, Iterator), "what train_dataloader returns", type(loader).__name__, allowed)
    own: Any = getattr(loader, "generators", None) or [getattr(loader, "generator", None)]
    generators = [generator for generator in own if generator is not None]
    if isinstance(loader, Stream):
        stream = copy.copy(loader)
        stream.step, stream.max_steps = 0, -1
        loader = stream
    with kept(generators):
        for k, generator in enumerate(generators):
            generator.set_state(generator_for(seed, VALIDATION, k).get_state())
        return _sample(loader, n_features, n_draws, n_chunks)


def _sample(loader: Iterable[Block], n_features: int, n_draws: int, n_chunks: int) -> Sample | PerInstance:
    batches: list[Tensor] = []
    weighted: list[Chunk] = []
    n_drawn = 0
    for block in loader:
        some, weights = batches_of(block, n_features, torch.float32)
        if weights is not None or isinstance(block, Repeated):  # a block's batches are one
            x = some[0]
            weighted.append(Chunk(x, torch.full((x.shape[-2],), 1 / x.shape[-2]) if weights is None else weights))
            if len(weighted) == 2 and _are_same(weighted):
                break
            some = [x]
        batches += some
        n_drawn += sum(x.shape[:-1].numel() for x in some)
        if n_drawn >= n_draws:
            break
    if not n_drawn:
        raise ConfigError("the training data has no example; it must have some, of which the loss is taken.")
    if weighted and _are_same(weighted):
        x, weights = weighted[0]
        return Sample([Chunk(x, weights / 2)] * 2)  # all there is: its mean has no error
    if weighted:
        return Sample([Chunk(x, weights / len(weighted)) for x, weights in weighted])
    n_chunks = min(n_chunks, len(batches))
    ends = [len(batches) * k // n_chunks for k in range(n_chunks + 1)]
    wholes = [torch.cat(batches[first:end], dim=-2) for first, end in itertools.pairwise(ends)]
    if wholes[0].dim() == 2:
        return Sample(list(_chunks(wholes)))
    own = [Sample(list(_chunks([whole[i] for whole in wholes]))) for i in range(len(wholes[0]))]
    return PerInstance(own, range(len(own)))


def _are_same(chunks: list[Chunk]) -> bool:
    """Whether the second of them, if there is one, is the first again: the same at every step."""
    (x, weights), (other, others) = chunks[0], chunks[min(1, len(chunks) - 1)]
    return x is other or (not x.is_sparse and torch.equal(x, other) and torch.equal(weights, others))


def _chunks(wholes: list[Tensor]) -> Iterator[Chunk]:
    n_rows = sum(map(len, wholes))
    for x in wholes:
        if x.is_sparse:
            yield Chunk(x, torch.full((len(x),), 1 / n_rows))
        else:
            yield collapse_empty_rows(x.float(), len(x) / n_rows)
