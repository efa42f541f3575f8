"""Shares of outcomes with Wilson intervals, and the difference of two paired shares."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from src.geometry.polygons import DIVERGED, IRREGULAR

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """`count` of `n`, and the 95 % Wilson interval of the share."""

    count: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.n

    def row(self) -> dict[str, int | float]:
        """Columns of a table: `count, n, share, low, high`."""
        return {"count": self.count, "n": self.n, "share": self.share, "low": self.low, "high": self.high}

    @property
    def decimals(self) -> int:
        """Of a percentage out of n: one of a thousand, three of a million."""
        return max(1, int(math.log10(self.n)) // 2)

    def __str__(self) -> str:
        digits = self.decimals
        return f"{self.share:.{digits}%} ({100 * self.low:.{digits}f} to {100 * self.high:.{digits}f})"


class Difference(NamedTuple):
    """The share of a first outcome less that of a second, over the same subjects.

    Attributes:
        value, low, high: the difference, and its 95 % interval (Newcombe 1998, method 10).
        p_value: of no difference, exact (McNemar 1947).
    """

    value: float
    low: float
    high: float
    p_value: float

    def __str__(self) -> str:
        points = f"{100 * self.value:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f})"
        return f"{points}, p = {self.p_value:.2g}"


def counted(count: int, noun: str) -> str:
    """`1 instance`, `1,024 instances`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def counted_geometry(count: int, geometry: str) -> str:
    """`1 pentagon`, `4 pentagons`, `3 irregular`."""
    return f"{count:,} {geometry}" if geometry in (IRREGULAR, DIVERGED) else counted(count, geometry)


@lru_cache(maxsize=65536)
def rate(count: int, n: int) -> Rate:
    """The share `count` / `n` with its Wilson interval (Wilson 1927)."""
    from scipy.stats import binomtest  # noqa: PLC0415 - half a second that most runs do not need

    low, high = binomtest(count, n).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(count, n, float(low), float(high))


def rates(names: Iterable[str]) -> dict[str, Rate]:
    """The rate of each name among all, most frequent first, equally frequent ones by name."""
    return rates_of(Counter(names))


def rates_of(counts: Mapping[str, int]) -> dict[str, Rate]:
    """`rates` of names that were counted before."""
    n = sum(counts.values())
    in_order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {name: rate(count, n) for name, count in in_order}


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """How much oftener `first` holds than `second`, subject by subject.

    The interval joins the Wilson intervals of the two shares, with the correlation of the outcomes (Newcombe 1998,
    "Improved confidence intervals for the difference between binomial proportions based on paired data", method 10).
    The test asks only the subjects in which the two differ: without a difference, either is as likely to hold.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    n = len(first)
    pairs = Counter(zip(first, second, strict=True))
    both, gained, lost, neither = (pairs[pair] for pair in ((True, True), (True, False), (False, True), (False, False)))
    a, b = rate(both + gained, n), rate(both + lost, n)
    margins = a.count * (n - a.count) * b.count * (n - b.count)
    product = float(both * neither - gained * lost)
    product = product if product < 0 else max(0.0, product - n / 2)  # continuity correction
    correlation = product / math.sqrt(margins) if margins else 0.0

    def distance(x: float, y: float) -> float:
        return math.sqrt(x * x - 2 * correlation * x * y + y * y)

    value = (gained - lost) / n
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    low, high = distance(a.share - a.low, b.high - b.share), distance(a.high - a.share, b.share - b.low)
    return Difference(value, value - low, value + high, p_value)
