"""A distribution by its supports: which features are active together, how likely, and what values they have."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.distributions.values import UNIT, Values

MAX_FEATURES = 10  # of a distribution whose sets of active features are enumerated: 3^n corners for each feature

Set = tuple[int, ...]  # of features, in ascending order


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
    def values(self) -> Values:
        """Of active features."""
        return UNIT

    def sets(self, size: int) -> Int[Tensor, "support active"]:
        """All sets of so many features."""
        return supports(self.n_features, size)

    def share(self, size: int) -> float:
        """The probability of each of them."""
        return self.size_probabilities[size] / math.comb(self.n_features, size)

    @property
    def n_active(self) -> float:
        """How many features are active on average."""
        return sum(s * probability for s, probability in enumerate(self.size_probabilities))

    def as_sets(self) -> dict[Set, float]:
        """The probability of each set."""
        n = self.n_features
        return {tuple(own): self.share(size) for size in range(n + 1) for own in supports(n, size).tolist()}

    @property
    def n_active_pairs(self) -> float:
        """How many ordered pairs of features are active together on average."""
        return sum(s * (s - 1) * probability for s, probability in enumerate(self.size_probabilities))


class Supports:
    """Sets of features that may be active together, each with its probability; values are independent.

    Args:
        n_features: n, up to 10.
        by_size: for 0, 1, ... n active features the sets of that size, [support, active], and their probabilities.
        values: of active features.
    """

    def __init__(self, n_features: int, by_size: Sequence[tuple[Tensor, Tensor]], values: Values = UNIT) -> None:
        self.n_features, self.by_size, self.values = n_features, tuple(by_size), values

    @classmethod
    @torch.inference_mode(False)  # as below
    def of(cls, n_features: int, probabilities: Mapping[Set, float], values: Values = UNIT) -> "Supports":
        """From the probability of each set, as features in ascending order."""
        by_size = []
        for size in range(n_features + 1):
            own = sorted((active, p) for active, p in probabilities.items() if len(active) == size and p > 0)
            sets = torch.tensor([active for active, _ in own]).long().reshape(len(own), size)
            by_size.append((sets, torch.tensor([p for _, p in own], dtype=torch.float64)))
        return cls(n_features, tuple(by_size), values)

    def as_sets(self) -> dict[Set, float]:
        """The probability of each set."""
        pairs = ((sets.tolist(), p.tolist()) for sets, p in self.by_size)
        return {tuple(own): each for sets, p in pairs for own, each in zip(sets, p, strict=True)}

    @property
    def size_probabilities(self) -> tuple[float, ...]:
        """Of 0, 1, ... n active features."""
        return tuple(float(probability.sum()) for _, probability in self.by_size)

    def sets(self, size: int) -> Int[Tensor, "support active"]:
        """The sets of so many features."""
        return self.by_size[size][0]

    def share(self, size: int) -> Float[Tensor, " support"]:
        """The probability of each of them."""
        return self.by_size[size][1]

    @property
    def n_active(self) -> float:
        """How many features are active on average."""
        return sum(size * probability for size, probability in enumerate(self.size_probabilities))

    @property
    def together(self) -> Float[Tensor, "feature feature"]:
        """How likely two features are active together; on the diagonal, how likely each is."""
        total = torch.zeros(self.n_features, self.n_features, dtype=torch.float64)
        for sets, probability in self.by_size:
            is_active = torch.zeros(len(sets), self.n_features, dtype=torch.float64).scatter_(1, sets, 1.0)
            total += is_active.mT @ (probability.unsqueeze(1) * is_active)
        return total


Enumerated = SupportSizes | Supports  # what losses are exact over


def independent_sets(probabilities: Sequence[float]) -> dict[Set, float]:
    """The sets of features that are active independently, each with its probability."""
    return combined({(i,): p, (): 1 - p} for i, p in enumerate(probabilities))


def combined(parts: Iterable[Mapping[Set, float]]) -> dict[Set, float]:
    """The sets of independent parts, whose features are numbered as they are in the whole."""

    def both(one: Mapping[Set, float], other: Mapping[Set, float]) -> dict[Set, float]:
        return {tuple(sorted(a + b)): p * q for a, p in one.items() for b, q in other.items() if p * q > 0}

    return reduce(both, parts, {(): 1.0})


@lru_cache
@torch.inference_mode(False)  # what is kept may be needed where gradients are
def supports(n_features: int, size: int) -> Int[Tensor, "support active"]:
    """All sets of so many features."""
    return torch.tensor(list(itertools.combinations(range(n_features), size)), dtype=torch.int64)
