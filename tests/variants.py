"""Toy models of a user's own, each what it changes."""

import torch
from torch import Tensor

from src.model import ReLUOutputModel


class LeakyModel(ReLUOutputModel):
    """A variant that changes only what comes out."""

    def decode(self, h: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(h @ self.W + self.b.unsqueeze(-2), 0.1)


class Shifted(LeakyModel):
    """A variant with an encoder of its own, which knows dense examples alone."""

    def encode(self, x: Tensor) -> Tensor:
        assert not x.is_sparse
        return super().encode(x - 0.1)


class Penalised(LeakyModel):
    """A variant whose loss has a term that does not depend on the examples."""

    def feature_losses(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        return super().feature_losses(x, weights) + 0.1 * self.W.square().sum(dim=1)


VARIANTS = [ReLUOutputModel, LeakyModel, Shifted, Penalised]
