"""More toy models, each what it changes: a hook or two of `ToyModel`.

One of your own goes into a file of your own, like these, and is named on the command line by its import path.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from src.errors import require
from src.model import ReLUOutputModel


class Leaky(ReLUOutputModel):
    """x' = LeakyReLU(W^T W x + b).

    Args:
        slope: of the output for negative z.
        arguments: those of `ToyModel`.
    """

    def __init__(self, slope: float = 0.1, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        require(abs(slope) < 1e30, "model.slope", slope, "a number that single precision holds")
        self.slope = slope

    def activate(self, z: Float[Tensor, "instance batch feature"]) -> Float[Tensor, "instance batch feature"]:
        return torch.nn.functional.leaky_relu(z, self.slope)


class L4(ReLUOutputModel):
    """The error's fourth power in place of its square, which makes few large errors dearer than many small ones."""

    def error(
        self, x: Float[Tensor, "*instance batch feature"], reconstruction: Float[Tensor, "instance batch feature"]
    ) -> Float[Tensor, "instance batch feature"]:
        return (x - reconstruction).pow(4)
