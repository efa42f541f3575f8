"""Laws with the same number of active features in every example."""

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.distribution import Distribution
from src.distributions.examples import sparse_rows
from src.distributions.supports import MAX_FEATURES, Supports, SupportSizes, supports
from src.distributions.values import UNIT, Name, values_named
from src.errors import require

NUMBERS_AT_ONCE = 2**22  # that are drawn for sparse examples


class ExactlyK(Distribution):
    """Exactly k features are active, every set of k equally likely.

    Args:
        n_features: entries of an example.
        k: how many of them are active.
        values: of active features: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.

    Raises:
        ConfigError: if there are not so many features, or no such values.
    """

    def __init__(self, n_features: int = 6, k: int = 1, values: Name = "unit") -> None:
        require(n_features >= 1, "data.distribution.n_features", n_features, "at least 1")
        require(1 <= k <= n_features, "data.distribution.k", k, f"from 1 to {n_features}, the features")
        self.n_features, self.k, self.values = n_features, k, values
        self._values = values_named(values)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        active = self._active(shape, generator)
        value = self._values.of(torch.rand(active.shape, generator=generator))
        return torch.zeros(*shape, self.n_features).scatter_(-1, active, value)

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        n_at_once = max(1, NUMBERS_AT_ONCE // self.n_features)
        sizes = [min(n_at_once, n_rows - first) for first in range(0, n_rows, n_at_once)]
        active = torch.cat([self._active((n_at_once,), generator)[:size] for size in sizes]).sort(dim=-1).values
        value = self._values.of(torch.rand(active.numel(), generator=generator))
        rows = torch.arange(n_rows).repeat_interleave(self.k)
        return sparse_rows(torch.stack([rows, active.flatten()]), value, (n_rows, self.n_features))

    def _active(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """The features with the k largest of n random numbers."""
        if self.k == 1:
            return torch.randint(self.n_features, (*shape, 1), generator=generator)
        return torch.rand((*shape, self.n_features), generator=generator).topk(self.k, dim=-1).indices

    @property
    def n_active(self) -> float:
        return float(self.k)

    @property
    def supports(self) -> SupportSizes | Supports | None:
        n, k = self.n_features, self.k
        if n > MAX_FEATURES:
            return None
        if self._values == UNIT:
            return SupportSizes(tuple(float(size == k) for size in range(n + 1)))
        sets = supports(n, k).tolist()
        return Supports.of(n, {tuple(own): 1 / len(sets) for own in sets}, self._values)


class OneAtATime(ExactlyK):
    """One feature at a time, all equally likely (Chen et al. 2023, arXiv:2310.06301): the sparse law's limit of p -> 0.

    Args:
        n_features: entries of an example.
        values: of the active feature: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.
    """

    def __init__(self, n_features: int = 6, values: Name = "unit") -> None:
        super().__init__(n_features, 1, values)
