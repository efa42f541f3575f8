"""The loss over a distribution that is known by a sample."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from src.population.losses import SAMPLE, PopulationLosses


class PopulationLoss(Metric):
    """Loss over a distribution that arrives as independent chunks of weighted examples.

    The value is the weighted mean; its standard error comes from the spread of the chunks' means, so it needs nothing
    of the model but `feature_losses`. With a single chunk the standard error is NaN. Sums are kept in float64.
    """

    full_state_update = False
    feature_sum: Tensor
    square_sum: Tensor
    weight_sum: Tensor
    n_chunks: Tensor

    def __init__(self, n_instances: int, n_features: int) -> None:
        super().__init__()
        zeros = torch.zeros(n_instances, n_features, dtype=torch.float64)
        self.add_state("feature_sum", zeros, dist_reduce_fx="sum")
        self.add_state("square_sum", torch.zeros(n_instances, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("n_chunks", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, feature_sum: Float[Tensor, "instance feature"], weight: Float[Tensor, ""]) -> None:
        """Add a chunk: its examples' losses summed with their weights, and the sum of those weights."""
        feature_sum, weight = feature_sum.double(), weight.double()
        self.feature_sum += feature_sum
        self.square_sum += weight * (feature_sum / weight).mean(dim=-1).square()
        self.weight_sum += weight
        self.n_chunks += 1

    def compute(self) -> PopulationLosses:
        return self.value()  # torchmetrics drops the instance axis when there is one instance

    def value(self) -> PopulationLosses:
        """What `compute` returns, with every axis kept."""
        feature_losses = self.feature_sum / self.weight_sum
        loss = feature_losses.mean(dim=-1)
        variance = (self.square_sum / self.weight_sum - loss.square()).clamp(min=0)
        standard_error = (
            (variance / (self.n_chunks - 1)).sqrt() if self.n_chunks > 1 else torch.full_like(loss, math.nan)
        )
        return PopulationLosses(feature_losses, loss, standard_error, SAMPLE)
