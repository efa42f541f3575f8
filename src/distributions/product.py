"""Laws side by side."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.distribution import Distribution
from src.distributions.examples import sparse_rows
from src.distributions.supports import MAX_FEATURES, Supports, combined
from src.errors import require


class Product(Distribution):
    """Independent laws, the features of the first before those of the second, and so on.

    Its supports are known where those of all laws are, and all have the same values.

    Args:
        laws: at least one.
    """

    def __init__(self, laws: Sequence[Distribution]) -> None:
        require(len(laws) > 0, "data.distribution.laws", laws, "at least one law")
        self.laws = list(laws)
        self.n_features = sum(law.n_features for law in laws)

    def __str__(self) -> str:
        return f"{type(self).__name__}, {'; '.join(map(str, self.laws))}"

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        return torch.cat([law.draw(shape, generator) for law in self.laws], dim=-1)

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        parts = [law.draw_sparse(n_rows, generator) for law in self.laws]
        whole = torch.cat(parts, dim=1).coalesce()
        return sparse_rows(whole.indices(), whole.values(), (n_rows, self.n_features))

    @property
    def n_active(self) -> float:
        return sum(law.n_active for law in self.laws)

    @property
    def supports(self) -> Supports | None:
        if self.n_features > MAX_FEATURES:
            return None
        own, first, parts = [law.supports for law in self.laws], 0, []
        if any(each is None or each.values != own[0].values for each in own):  # type: ignore[union-attr]
            return None
        for each in own:
            assert each is not None
            parts.append({tuple(first + k for k in active): p for active, p in each.as_sets().items()})
            first += each.n_features
        assert own[0] is not None
        return Supports.of(self.n_features, combined(parts), own[0].values)
