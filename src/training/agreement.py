"""Whether a data module trains on what its population says."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from src.distributions.per_instance import PerInstance, Population
from src.distributions.seeds import kept
from src.errors import require
from src.population.moments import refuse_others
from src.training.block import Block, Repeated, batches_of

MAX_BATCHES = 1000  # of a `DataLoader`: a longer one is not looked at


def refuse_other_examples(stack: Any, block: Block) -> None:
    """Raise a `ConfigError` if what a stack is to train on looks unlike its data module's population.

    Of a stream of this project the first block is looked at; of torch's `DataLoader`, whose batches may be in an order,
    all of it; of other loaders nothing.
    """
    data = stack.trainer.datamodule
    if stack.has_trained or not hasattr(data, "population"):
        return
    population: Population = data.population
    kind, allowed = type(population).__name__, "an enumerated distribution or a sample, as `Distribution.supports` is"
    require(isinstance(population, Population), "the data module's population", kind, allowed)
    loader = stack.trainer.train_dataloader
    is_drawn = bool(getattr(loader, "generators", ()))
    blocks = [block] if hasattr(loader, "generators") else _all_of(loader)
    batches = list(_unweighted(blocks, stack.n_features))
    if not batches:
        return
    x = torch.cat(batches, dim=-2)
    own, everyone = ([x], [0]) if x.dim() == 2 else (list(x), list(range(len(x))))
    parts = population.groups() if isinstance(population, PerInstance) else [(population, everyone)]
    for part, instances in parts:
        some = own if x.dim() == 2 else [own[i] for i in instances]
        refuse_others(some, part, f"what {type(data).__name__} trains on", "its population", are_independent=is_drawn)


def _all_of(loader: Any) -> list[Any]:
    """The batches of a `DataLoader` with few of them, without disturbing the order of the next ones; or none."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset) or len(loader) > MAX_BATCHES:
        return []
    with kept([] if loader.generator is None else [loader.generator]):
        return list(loader)


def _unweighted(blocks: list[Any], n_features: int) -> Iterator[Tensor]:
    """Every batch once, but of weighted ones, such as the nodes of a quadrature, none."""
    for block in blocks:
        batches, weights = batches_of(block, n_features, torch.float32)
        if weights is None:
            yield from batches[:1] if isinstance(block, Repeated) else batches
