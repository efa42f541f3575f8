"""Norms of gradients, averaged over steps: one batch's norm scatters by half its size, a mean over many is a curve."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class GradientNormSums:
    """A running sum of `||dL/dW_i||` over optimizer steps, before each step's update.

    Args:
        instances: whose norms, a value a feature; None for all, with the norm of the whole of W as their one value.
        parameter: the name of another one than W; one without features has the norm of the whole as its one value.
    """

    def __init__(self, instances: Sequence[int] | None, parameter: str = "W") -> None:
        self.instances = instances
        self.parameter = parameter
        self.total: Tensor | float = 0.0
        self.n_steps = 0
        self.takers: list[MeanGradientNorm] = []

    @torch.no_grad()
    def add(self, gradient: Tensor, by_feature: bool = True) -> None:
        """Add a step's gradient, [instance, hidden, feature], or of another shape if not by feature."""
        if not by_feature and self.instances is not None:
            gradient = gradient[list(self.instances)]
        if self.instances is None or not by_feature:
            norms = gradient.flatten(1).norm(dim=1, keepdim=True)
        elif list(self.instances) == list(range(len(self.instances))):
            norms = gradient[: len(self.instances)].norm(dim=1)  # a view, ten times as fast as an index
        else:
            norms = gradient[list(self.instances)].norm(dim=1)
        self.total = norms.double() + self.total
        self.n_steps += 1

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to go on as if it had not been stopped."""
        parts: list[GradientNormSums | MeanGradientNorm] = [self, *self.takers]
        return {"totals": [part.total for part in parts], "n_steps": [part.n_steps for part in parts]}

    def restore(self, state: dict[str, Any]) -> None:
        """From a state of as many takers; of another number nothing is restored, and the sums begin anew."""
        parts: list[GradientNormSums | MeanGradientNorm] = [self, *self.takers]
        if len(parts) == len(state["totals"]):
            for part, total, n_steps in zip(parts, state["totals"], state["n_steps"], strict=True):
                part.total, part.n_steps = total, n_steps


class MeanGradientNorm:
    """The mean norm over the steps since it was last asked for."""

    def __init__(self, sums: GradientNormSums) -> None:
        self.sums = sums
        self.total, self.n_steps = sums.total, sums.n_steps  # when it was last asked for
        sums.takers.append(self)

    def take(self) -> Float[Tensor, "instance value"] | None:
        """The mean, float32; None if no step has been taken since the last call."""
        n_steps = self.sums.n_steps - self.n_steps
        if n_steps == 0:
            return None
        total = self.sums.total - self.total
        self.total, self.n_steps = self.sums.total, self.sums.n_steps
        assert isinstance(total, Tensor)
        return (total / n_steps).float()
