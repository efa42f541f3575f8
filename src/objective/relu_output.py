"""The objective of the ReLU output model: the kernel's loss and gradient, and the population loss in closed form."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.objective.pointwise import Pointwise
from src.population.pieces import RELU
from src.population.piecewise import Piecewise


class ReLUOutput(Pointwise):
    """Computes x' = ReLU(V^T W x + b) with the squared error, many times faster than its hooks would."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)

    @property
    def cost(self) -> Piecewise:
        return Piecewise(*RELU)

    @torch.no_grad()
    def hidden_vectors(self, x: Float[Tensor, "batch feature"]) -> Float[Tensor, "instance hidden batch"]:
        return self.model.encode(x).mT

    def _serves(self, V: Tensor | None) -> bool:
        return V is None or super()._serves(V)  # without the kernel the tied model has tensor operations of its own
