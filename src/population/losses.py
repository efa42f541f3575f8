"""What is known of a loss over a whole distribution, and how it was found."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

CLOSED_FORM, QUADRATURE, SAMPLE = "closed form", "quadrature", "sample"


class PopulationLosses(NamedTuple):
    """The loss over a distribution.

    Attributes:
        feature_losses: of each feature.
        loss: their mean.
        error: of the loss: an estimate of the deterministic error, or for a sample the standard error.
        method: `closed form`, `quadrature` or `sample`.
    """

    feature_losses: Float[Tensor, "instance feature"]
    loss: Float[Tensor, " instance"]
    error: Float[Tensor, " instance"]
    method: str
