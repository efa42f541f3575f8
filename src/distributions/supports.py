"""A distribution by its supports: how many features are active together, and how likely."""

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

MAX_FEATURES = 10  # of a distribution whose sets of active features are enumerated: 3^n corners for each feature


class SupportSizes(NamedTuple):
    """How many features are active at once; all sets of that size are equally likely, values uniform on [0, 1].

    Args:
        size_probabilities: of 0, 1, ... n active features.
    """

    size_probabilities: tuple[float, ...]

    @classmethod
    def independent(cls, n_features: int, feature_probability: float) -> "SupportSizes":
        """Each feature is active with probability p on its own, as in "Toy Models of Superposition"."""
        n, p = n_features, feature_probability
        return cls(tuple(math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(n + 1)))

    @classmethod
    def one_at_a_time(cls, n_features: int) -> "SupportSizes":
        """Exactly one feature is active, as in Chen et al. 2023, arXiv 2310.06301; the limit of p -> 0."""
        return cls((0.0, 1.0) + (0.0,) * (n_features - 1))

    @property
    def n_features(self) -> int:
        return len(self.size_probabilities) - 1

    @property
    def n_active(self) -> float:
        """How many features are active on average."""
        return sum(s * probability for s, probability in enumerate(self.size_probabilities))

    @property
    def n_active_pairs(self) -> float:
        """How many ordered pairs of features are active together on average."""
        return sum(s * (s - 1) * probability for s, probability in enumerate(self.size_probabilities))


@lru_cache
@torch.inference_mode(False)  # what is kept may be needed where gradients are
def supports(n_features: int, size: int) -> Int[Tensor, "support active"]:
    """All sets of so many features."""
    return torch.tensor(list(itertools.combinations(range(n_features), size)))
