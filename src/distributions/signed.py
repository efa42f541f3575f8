"""The sparse law with signs: for targets that ask for them, such as |x|."""

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.examples import sparse_rows
from src.distributions.sparse import Sparse
from src.distributions.supports import SupportSizes


class Signed(Sparse):
    """Independent features, each active with the same probability, and then uniform on [-1, 1].

    (Elhage et al. 2022, "Toy Models of Superposition", section "Computation in Superposition".) Losses over it are a
    fixed sample's.

    Args:
        n_features: entries of an example.
        feature_probability: p, the probability that a feature is active, in (0, 1].
    """

    def __str__(self) -> str:
        return f"Signed, {super().__str__()}"

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        x = super().draw(shape, generator)
        return torch.where(x != 0, 2 * x - 1, 0.0)

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        x = super().draw_sparse(n_rows, generator)
        return sparse_rows(x.indices(), 2 * x.values() - 1, (n_rows, self.n_features))

    @property
    def support_sizes(self) -> SupportSizes | None:
        return None
