"""How much of the hidden space each feature, or each example, has to itself."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def dimensionality(vectors: Float[Tensor, "instance hidden point"]) -> Float[Tensor, "instance point"]:
    """How much of the hidden space each vector has to itself.

    D_i = |v_i|^2 / sum_j (v_i/|v_i| . v_j)^2 (Elhage et al. 2022, "Feature dimensionality"; of examples' hidden
    vectors, Henighan et al. 2023). It is 2 / k for each corner of a regular k-gon, 0 for a vector of length 0. The sum
    over j is taken in the hidden space, as v_i^T (sum_j v_j v_j^T) v_i, so that points may be many.
    """
    v = vectors.detach().double()
    moment = v @ v.mT
    through = torch.einsum("ikp,ikl,ilp->ip", v, moment, v)
    return torch.where(through > 0, v.square().sum(dim=1).square() / through, 0)


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
