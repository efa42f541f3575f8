"""Whether a data module of the user's own trains on what its population says."""

from typing import Any

import torch

from src.distributions.per_instance import PerInstance, Population
from src.population.moments import refuse_others
from src.training.block import Block, batches_of


def refuse_other_examples(stack: Any, block: Block) -> None:
    """Raise a `ConfigError` if the first block that a stack is to train on looks unlike its data module's population.

    A module of this project is not looked at: both come from the same law.
    """
    data = stack.trainer.datamodule
    is_ours = type(data).__module__.startswith("src.") and "train_dataloader" not in vars(data)
    if stack.has_trained or is_ours or not hasattr(data, "population"):
        return
    batches, weights = batches_of(block, stack.n_features, torch.float32)
    if weights is not None:  # nodes of a quadrature, say
        return
    x = torch.cat(list(batches), dim=-2)
    own, everyone = ([x], [0]) if x.dim() == 2 else (list(x), list(range(len(x))))
    population: Population = data.population
    parts = population.groups() if isinstance(population, PerInstance) else [(population, everyone)]
    for part, instances in parts:
        some = own if x.dim() == 2 else [own[i] for i in instances]
        refuse_others(some, part, f"what {type(data).__name__} trains on", "its population", are_independent=False)
