"""Shares of outcomes with Wilson intervals, and the difference of two paired shares."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

CONFIDENCE = 0.95


class Rate(NamedTuple):
    """`count` of `n`, and the 95 % Wilson interval of the share."""

    count: int  # type: ignore[assignment]  # hides a tuple's own `count`
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.n

    def __str__(self) -> str:
        return f"{self.share:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})"


class Difference(NamedTuple):
    """The share of a first outcome less that of a second, over the same subjects.

    Attributes:
        value, low, high: the difference, and its 95 % interval given how many subjects differ at all.
        p_value: of no difference, exact (McNemar 1947).
    """

    value: float
    low: float
    high: float
    p_value: float

    def __str__(self) -> str:
        points = f"{100 * self.value:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f})"
        return f"{points}, p = {self.p_value:.2g}"


@lru_cache(maxsize=65536)
def rate(count: int, n: int) -> Rate:
    """The share `count` / `n` with its Wilson interval (Wilson 1927)."""
    from scipy.stats import binomtest  # noqa: PLC0415 - half a second that most runs do not need

    low, high = binomtest(count, n).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(count, n, float(low), float(high))


def rates(names: Sequence[str]) -> dict[str, Rate]:
    """The rate of each name among all, most frequent first, equally frequent ones by name."""
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return {name: rate(count, len(names)) for name, count in counts}


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """How much oftener `first` holds than `second`, subject by subject.

    Only subjects in which the two differ tell them apart: of d such, the number in which `first` holds is binomial,
    with probability 1/2 if there is no difference.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    gained = sum(a and not b for a, b in zip(first, second, strict=True))
    lost = sum(b and not a for a, b in zip(first, second, strict=True))
    d, n = gained + lost, len(first)
    if d == 0:
        return Difference(0.0, 0.0, 0.0, 1.0)
    test = binomtest(gained, d)
    low, high = test.proportion_ci(CONFIDENCE, method="wilson")
    return Difference((gained - lost) / n, (2 * low - 1) * d / n, (2 * high - 1) * d / n, float(test.pvalue))
