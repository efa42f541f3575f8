"""Metrics with one value per feature, for every instance of a stack at once."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from src.geometry import dimensionality
from src.population import SAMPLE, PopulationLosses


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


class Dimensionality(Metric):
    """`geometry.dimensionality` of vectors that arrive in parts: a value for each of them, in the order of arrival.

    Of the columns of W it is the feature dimensionality, of hidden vectors that of the examples.
    """

    full_state_update = False
    vectors: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("vectors", [], dist_reduce_fx="cat")

    def update(self, vectors: Float[Tensor, "instance hidden point"]) -> None:
        """Add points."""
        self.vectors.append(vectors.detach().transpose(0, 2))  # points first, to be gathered along

    def compute(self) -> Tensor:
        return self.value()  # torchmetrics drops axes of length one

    def value(self) -> Float[Tensor, "instance point"]:
        """What `compute` returns, with every axis kept."""
        return dimensionality(dim_zero_cat(self.vectors).transpose(0, 2))
