"""The sparse law with other values: signs, for targets that ask for them such as |x|, or ones."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.examples import sparse_rows
from src.distributions.sparse import Sparse
from src.distributions.supports import MAX_FEATURES, Supports, independent_sets
from src.distributions.values import BINARY, SIGNED, Values


class _Revalued(Sparse):
    active: ClassVar[Values]

    def __str__(self) -> str:
        return f"{type(self).__name__}, {super().__str__()}"

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        x = super().draw(shape, generator)
        return torch.where(x != 0, self.active.of(x), 0.0)

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        x = super().draw_sparse(n_rows, generator)
        return sparse_rows(x.indices(), self.active.of(x.values()), (n_rows, self.n_features))

    @property
    def supports(self) -> Supports | None:
        if self.n_features > MAX_FEATURES:
            return None
        return Supports.of(self.n_features, independent_sets([self.feature_probability] * self.n_features), self.active)


class Signed(_Revalued):
    """Independent features, each active with the same probability, and then uniform on [-1, 1].

    (Elhage et al. 2022, "Toy Models of Superposition", section "Computation in Superposition".)

    Args:
        n_features: entries of an example.
        feature_probability: p, the probability that a feature is active, in (0, 1].
    """

    active = SIGNED


class Binary(_Revalued):
    """Independent features, each 1 with the same probability and otherwise 0.

    Args:
        n_features: entries of an example.
        feature_probability: p, the probability that a feature is active, in (0, 1].
    """

    active = BINARY
