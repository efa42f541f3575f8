"""Norms of gradients, averaged over steps: one batch's norm scatters by half its size, a mean over many is a curve."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


class GradientNormSums:
    """A running sum of `||dL/dW_i||` over optimizer steps, before each step's update.

    Args:
        instances: whose norms, a value a feature; None for all, with the norm of the whole of W as their one value.
    """

    def __init__(self, instances: Sequence[int] | None) -> None:
        self.instances = instances
        self.total: Tensor | float = 0.0
        self.n_steps = 0

    @torch.no_grad()
    def add(self, gradient: Float[Tensor, "instance hidden feature"]) -> None:
        if self.instances is None:
            norms = gradient.flatten(1).norm(dim=1, keepdim=True)
        elif list(self.instances) == list(range(len(self.instances))):
            norms = gradient[: len(self.instances)].norm(dim=1)  # a view, ten times as fast as an index
        else:
            norms = gradient[list(self.instances)].norm(dim=1)
        self.total = norms.double() + self.total
        self.n_steps += 1


class MeanGradientNorm:
    """The mean norm over the steps since it was last asked for."""

    def __init__(self, sums: GradientNormSums) -> None:
        self.sums = sums
        self._total, self._n_steps = sums.total, sums.n_steps

    def take(self) -> Float[Tensor, "instance value"] | None:
        """The mean, float32; None if no step has been taken since the last call."""
        n_steps = self.sums.n_steps - self._n_steps
        if n_steps == 0:
            return None
        total = self.sums.total - self._total
        self._total, self._n_steps = self.sums.total, self.sums.n_steps
        assert isinstance(total, Tensor)
        return (total / n_steps).float()
