"""Independent features that are not equally often active."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.distribution import Distribution
from src.distributions.examples import sparse_rows
from src.distributions.sparse import active_places, rows_at_once
from src.distributions.supports import MAX_FEATURES, Supports, independent_sets
from src.distributions.values import Name, values_named
from src.errors import require


class Independent(Distribution):
    """Independent features, each active with a probability of its own.

    Args:
        probabilities: of each feature, in (0, 1].
        values: of active features: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.

    Raises:
        ConfigError: if there is no feature, one is no such probability, or there are no such values.
    """

    def __init__(self, probabilities: Sequence[float] = (0.1, 0.05), values: Name = "unit") -> None:
        are_proper = len(probabilities) > 0 and all(0 < p <= 1 for p in probabilities)
        require(are_proper, "data.distribution.probabilities", probabilities, "numbers in (0, 1], one for each feature")
        self.probabilities, self.values = list(probabilities), values
        self.n_features = len(probabilities)
        self._p = torch.tensor(self.probabilities)
        self._values = values_named(values)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        u = torch.rand((*shape, self.n_features), generator=generator)
        return torch.where(u < self._p, self._values.of(u / self._p), 0.0)

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        """From the most frequent feature's probability for all, thinned out."""
        n, largest, parts = self.n_features, max(self.probabilities), []
        n_at_once = rows_at_once(n * largest)
        for first in range(0, n_rows, n_at_once):
            place = active_places(n_at_once * n, largest, generator)
            u, value = torch.rand((2, len(place)), generator=generator)
            wanted = (u * largest < self._p[place % n]) & (place < (n_rows - first) * n)
            parts.append((place[wanted] + first * n, self._values.of(value[wanted])))
        place, value = (torch.cat(part) for part in zip(*parts, strict=True))
        return sparse_rows(torch.stack([place // n, place % n]), value, (n_rows, n))

    @property
    def n_active(self) -> float:
        return sum(self.probabilities)

    @property
    def supports(self) -> Supports | None:
        if self.n_features > MAX_FEATURES:
            return None
        return Supports.of(self.n_features, independent_sets(self.probabilities), self._values)


class PowerLaw(Independent):
    """Feature i is active with probability p (i + 1)^-exponent: a few frequent features, many rare ones.

    Args:
        n_features: entries of an example.
        p: the first feature's probability, in (0, 1].
        exponent: 0 makes all equally frequent.
        values: of active features: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.
    """

    def __init__(self, n_features: int = 6, p: float = 0.1, exponent: float = 1.0, values: Name = "unit") -> None:
        require(n_features >= 1, "data.distribution.n_features", n_features, "at least 1")
        require(0 < p <= 1, "data.distribution.p", p, "in (0, 1]")
        require(0 <= exponent <= 10, "data.distribution.exponent", exponent, "from 0 to 10")
        super().__init__([p * (i + 1) ** -exponent for i in range(n_features)], values)
        self.p, self.exponent = p, exponent
