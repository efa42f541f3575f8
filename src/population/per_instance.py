"""Losses over a distribution that is another for each instance."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from src.distributions.examples import Chunk
from src.distributions.per_instance import PerInstance, Population
from src.population.losses import PopulationLosses
from src.population.quadrature import summary

Part = tuple[Chunk, list[int] | None]  # examples, and whose they are; None is everyone's


def over_each(
    losses_over: Callable[[Population, list[int] | None], PopulationLosses], population: Population
) -> PopulationLosses:
    """Every instance's loss over its own distribution.

    Args:
        losses_over: from a distribution and instances to their losses over it.
        population: one for all instances, or one for each.
    """
    if not isinstance(population, PerInstance):
        return losses_over(population, None)
    found = [(losses_over(own, instances), instances) for own, instances in population.groups()]
    order = torch.tensor([i for _, instances in found for i in instances]).argsort()
    *tensors, methods = zip(*(losses for losses, _ in found), strict=True)
    feature_losses, loss, error = (torch.cat(own)[order.to(own[0].device)] for own in tensors)
    return PopulationLosses(feature_losses, loss, error, methods[0])


def summaries(population: Population, like: Tensor) -> list[Part]:
    """Distributions that are small enough to be evaluated often, on the device and in the precision of a tensor."""
    if isinstance(population, PerInstance):
        groups = [(summary(own), instances) for own, instances in population.groups()]
        return [(Chunk(x.to(like), weights.to(like)), instances) for (x, weights), instances in groups]
    x, weights = summary(population)
    return [(Chunk(x.to(like), weights.to(like)), None)]


def losses_on(
    losses: Callable[[Tensor, Tensor, list[int]], Tensor], parts: Sequence[Part], instances: list[int]
) -> Tensor:
    """The feature losses of some instances, [instance, feature], each on its own part."""
    found: dict[int, Tensor] = {}
    for (x, weights), members in parts:
        own = [i for i in instances if members is None or i in members]
        if own:
            found.update(zip(own, losses(x, weights, own), strict=True))
    return torch.stack([found[i] for i in instances])
