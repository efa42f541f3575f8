"""The objective of the ReLU output model: the kernel's loss and gradient, and the population loss in closed form."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.examples import Sample
from src.distributions.supports import Enumerated
from src.objective.pointwise import Pointwise
from src.population import closed_form
from src.population.losses import PopulationLosses


class ReLUOutput(Pointwise):
    """Computes x' = ReLU(V^T W x + b) with the squared error, many times faster than its hooks would."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)

    @property
    def has_closed_form(self) -> bool:
        return self._decoder is None and self.model.importance is None

    def losses_over(self, population: Enumerated | Sample, instances: list[int] | None = None) -> PopulationLosses:
        if isinstance(population, Sample):
            return super().losses_over(population, instances)
        chosen = slice(None) if instances is None else instances
        V, importance = self._decoder, self.model.importance
        if importance is not None and importance.dim() == 2:
            importance = importance[chosen]
        V = None if V is None else V[chosen]
        return closed_form.relu_losses(self.model.W[chosen], self.model.b[chosen], population, V, importance)

    @torch.no_grad()
    def hidden_vectors(self, x: Float[Tensor, "batch feature"]) -> Float[Tensor, "instance hidden batch"]:
        return self.model.encode(x).mT

    def _serves(self, V: Tensor | None) -> bool:
        return V is None or super()._serves(V)  # without the kernel the tied model has tensor operations of its own
