"""Laws of independent blocks: features that stand side by side and are active in patterns."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.distribution import Distribution
from src.distributions.examples import sparse_rows
from src.distributions.sparse import active_places, rows_at_once
from src.distributions.supports import MAX_FEATURES, Set, Supports, combined
from src.distributions.values import Name, values_named
from src.errors import require


class Blocks(Distribution):
    """Blocks of the same size, each active with the same probability, and then in one of some patterns.

    Args:
        n_features: entries of an example, a multiple of `block_size`.
        block_size: features of a block.
        block_probability: that a block is active, in (0, 1].
        patterns: sets of the block's features, numbered from 0, and how likely each is in an active block.
        values: of active features: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.

    Raises:
        ConfigError: if the features are no whole number of blocks, or there are no such values.
    """

    def __init__(
        self,
        n_features: int,
        block_size: int,
        block_probability: float,
        patterns: Mapping[Set, float],
        values: Name = "unit",
    ) -> None:
        is_whole = block_size >= 1 and n_features >= 1 and n_features % block_size == 0
        require(is_whole, "data.distribution.n_features", n_features, f"a positive multiple of {block_size}")
        self.n_features, self.values = n_features, values
        self._values = values_named(values)
        self._size, self._probability, self._patterns = block_size, block_probability, dict(patterns)
        self._table = torch.zeros(len(patterns) + 1, block_size)  # [pattern, feature]; the last is no pattern
        for row, members in zip(self._table, patterns, strict=False):
            row[list(members)] = 1
        self._up_to = torch.tensor(list(patterns.values()), dtype=torch.float64).cumsum(0).float()[:-1].contiguous()

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        """One uniform number decides of a block: given u < p, u / p is uniform, and chooses the pattern."""
        u = torch.rand((*shape, self.n_features // self._size), generator=generator)
        chosen = torch.bucketize(u / self._probability, self._up_to, right=True)
        chosen[u >= self._probability] = len(self._patterns)
        x = self._values.of(torch.rand((*shape, self.n_features), generator=generator))
        return x * self._table[chosen].flatten(-2)

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        """In memory and time of the active blocks alone."""
        n_blocks, parts = self.n_features // self._size, []
        n_at_once = rows_at_once(n_blocks * self._probability)
        for first in range(0, n_rows, n_at_once):
            block = active_places(n_at_once * n_blocks, self._probability, generator)
            chosen = torch.bucketize(torch.rand(len(block), generator=generator), self._up_to, right=True)
            which, member = self._table[chosen].nonzero(as_tuple=True)
            place = block[which] * self._size + member
            value = self._values.of(torch.rand(len(place), generator=generator))
            wanted = place < (n_rows - first) * self.n_features
            parts.append((place[wanted] + first * self.n_features, value[wanted]))
        place, value = (torch.cat(part) for part in zip(*parts, strict=True))
        indices = torch.stack([place // self.n_features, place % self.n_features])
        return sparse_rows(indices, value, (n_rows, self.n_features))

    @property
    def n_active(self) -> float:
        each = sum(len(members) * probability for members, probability in self._patterns.items())
        return self.n_features / self._size * self._probability * each

    @property
    def supports(self) -> Supports | None:
        if self.n_features > MAX_FEATURES:
            return None
        blocks = []
        for first in range(0, self.n_features, self._size):
            active = {tuple(first + k for k in own): self._probability * p for own, p in self._patterns.items()}
            active[()] = active.get((), 0.0) + 1 - self._probability
            blocks.append(active)
        return Supports.of(self.n_features, combined(blocks), self._values)
