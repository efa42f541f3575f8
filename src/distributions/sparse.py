"""The sparse law: dense tensors for a few features, coordinates for many.

An example x has independent entries. Each is 0 with probability 1 - p and uniform on [0, 1] otherwise
(Elhage et al. 2022, "Toy Models of Superposition", section "Experiment setup"; p = `feature_probability`).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.distribution import Distribution
from src.distributions.examples import sparse_rows
from src.distributions.supports import MAX_FEATURES, Enumerated, SupportSizes
from src.errors import require

ROWS_AT_ONCE = 1024  # sparse examples that are drawn together, fewer if that were more than
ENTRIES_AT_ONCE = 2**20  # active entries
SURPLUS = 6  # standard deviations by which the number of active entries drawn at once exceeds its mean
MAX_SPARSE_FEATURES, SPARSE = 12, 0.1  # sets of so many features are enumerated too, where p is no more than this


class Sparse(Distribution):
    """Independent features, each active with the same probability.

    Args:
        n_features: entries of an example.
        feature_probability: p, the probability that a feature is active, in (0, 1].

    Raises:
        ConfigError: if there is no feature, or p is no such probability.
    """

    def __init__(self, n_features: int = 6, feature_probability: float = 0.057) -> None:
        require(n_features >= 1, "data.n_features", n_features, "at least 1")
        require(0 < feature_probability <= 1, "data.feature_probability", feature_probability, "in (0, 1]")
        self.n_features = n_features
        self.feature_probability = feature_probability

    def __str__(self) -> str:
        return f"n_features {self.n_features}, feature_probability {self.feature_probability}"

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        """Examples, dense.

        One uniform number u decides both things: given u < p, which has probability p, u / p is uniform on [0, 1).
        """
        u = torch.rand((*shape, self.n_features), generator=generator, dtype=torch.float32)
        x = u.div_(-self.feature_probability)
        return torch.threshold_(x, -1, 0).abs_()  # in a fifth of the time of a comparison and a masked fill

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        """In memory and time of the active entries alone.

        Which entries are active follows from the gaps between them, which are geometric. Rows are drawn as many at a
        time as depends on n and p alone, so that the first rows of a longer draw are those of a shorter one.
        """
        n_features, parts = self.n_features, []
        n_at_once = rows_at_once(n_features * self.feature_probability)
        for first in range(0, n_rows, n_at_once):
            place = active_places(n_at_once * n_features, self.feature_probability, generator)
            value = torch.rand(len(place), generator=generator, dtype=torch.float32)
            wanted = place < (n_rows - first) * n_features
            parts.append((place[wanted] + first * n_features, value[wanted]))
        place, value = (torch.cat(part) for part in zip(*parts, strict=True))
        indices = torch.stack([place // n_features, place % n_features])
        return sparse_rows(indices, value, (n_rows, n_features))

    @property
    def n_active(self) -> float:
        return self.n_features * self.feature_probability

    @property
    def supports(self) -> Enumerated | None:
        most = MAX_SPARSE_FEATURES if self.feature_probability <= SPARSE else MAX_FEATURES
        is_small = self.n_features <= most
        return SupportSizes.independent(self.n_features, self.feature_probability) if is_small else None


def rows_at_once(n_active: float) -> int:
    """How many sparse examples of so many active entries each, or blocks of them, are drawn together."""
    return max(1, min(ROWS_AT_ONCE, int(ENTRIES_AT_ONCE / n_active)))


def active_places(n_places: int, probability: float, generator: torch.Generator) -> Tensor:
    """The successes among independent trials, in order: int64."""
    places: list[Tensor] = []
    last = -1
    while last < n_places - 1:
        n_expected = (n_places - 1 - last) * probability
        n_gaps = math.ceil(n_expected + SURPLUS * math.sqrt(n_expected) + 1)
        survival = 1 - torch.rand(n_gaps, generator=generator, dtype=torch.float64)  # in (0, 1]
        gaps = (survival.log() / math.log1p(-probability)).floor() if probability < 1 else torch.zeros_like(survival)
        places.append(last + (gaps.clamp(max=n_places).long() + 1).cumsum(0))
        last = int(places[-1][-1])
    found = torch.cat(places)
    return found[found < n_places]
