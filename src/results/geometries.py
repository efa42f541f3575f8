"""Censuses by geometry: what each one's share is, and what its members have in common."""

import itertools
import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from src.results.census import loss_text
from src.results.rates import counted, rate, rates_of

NEAR_DEGREES = 5
MEANS = ("loss", "frobenius_norm", "n_learned")
MEDIANS = ("unlearned_norm", "unlearned_angle")  # each cell holds a number for each column that is not learned
CAPTION = (
    "Loss and norm are means; stub and angle are medians: the norms of columns that are not learned, and their "
    "angles from the nearest learned one. Intervals are Wilson's, 95 %."
)


class _Members:
    """The instances of one geometry, added row by row: exact means and medians, without keeping the rows.

    A sum is kept as integers over powers of two and so is exact. The numbers of which a median is taken have two or
    four decimals, so that there are few different ones to count.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Counter[int]] = {name: Counter() for name in MEANS}  # numerators by denominator
        self._not_finite = dict.fromkeys(MEANS, 0.0)
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in MEDIANS}

    def add(self, row: Mapping[str, Any]) -> None:
        for name, sums in self._sums.items():
            value = float(row[name])
            if math.isfinite(value):
                numerator, denominator = value.as_integer_ratio()
                sums[denominator] += numerator
            else:
                self._not_finite[name] += value
        for name, counts in self._counts.items():
            counts.update(row[name].split())

    def row(self, n: int) -> dict[str, float | None]:
        sums = {name: sum(Fraction(own, of) for of, own in sums.items()) for name, sums in self._sums.items()}
        means = {name: (float(total) + self._not_finite[name]) / n for name, total in sums.items()}
        numbers = {name: _numbers(counts) for name, counts in self._counts.items()}
        medians = {name: _median(own) for name, own in numbers.items()}
        angles = numbers["unlearned_angle"]
        near = sum(count for angle, count in angles if angle <= NEAR_DEGREES)
        return {**means, **medians, "unlearned_near": near / sum(count for _, count in angles) if angles else None}


def geometry_rows(census: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each geometry of a census, most frequent first. The census is read once, and its rows are not kept.

    Args:
        census: rows as `callbacks.census` makes them, or as they are read from `census.csv`.

    Returns: rows with `geometry, count, n, share, low, high, loss, frobenius_norm, n_learned, unlearned_norm,
        unlearned_angle, unlearned_near`; the last is the share of columns that are not learned and lie within 5 degrees
        of a learned one, and the last three are None where everything is learned.
    """
    members: dict[str, _Members] = defaultdict(_Members)
    counts = Counter[str]()
    for row in census:
        counts[row["geometry"]] += 1
        members[row["geometry"]].add(row)
    shares = rates_of(counts).items()
    return [{"geometry": name, **share.row(), **members[name].row(share.count)} for name, share in shares]


def _numbers(counts: Mapping[str, int]) -> list[tuple[float, int]]:
    """Numbers in ascending order with how often each is there, but NaN."""
    numbers = [(float(text), count) for text, count in counts.items()]
    return sorted((number, count) for number, count in numbers if not math.isnan(number))


def _median(numbers: Sequence[tuple[float, int]]) -> float | None:
    """Of numbers and how often each is there, in ascending order; None if there are none."""
    n = sum(count for _, count in numbers)
    if n == 0:
        return None
    ends = list(itertools.accumulate(count for _, count in numbers))
    lower, upper = (numbers[bisect_right(ends, k)][0] for k in ((n - 1) // 2, n // 2))
    return (lower + upper) / 2


def geometry_table(censuses: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Shares of geometries with their intervals, of one census or of several.

    Args:
        censuses: `geometry_rows` of each, by its name.
    """
    several = len(censuses) > 1
    sizes = {own["n"] for rows in censuses.values() for own in rows}
    title = f"{counted(sizes.pop(), 'instance')}{' each' if several else ''}" if len(sizes) == 1 else None
    table = Table(title=title, caption=CAPTION, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("geometry", overflow="fold")
    for heading in ("count", "share", "95 % interval", "loss", "norm", "stub", "angle"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, rows in censuses.items():
        if several:
            table.add_row(Text(name, style="bold"))
        for row in rows:
            share = rate(row["count"], row["n"])
            digits = share.decimals
            stub, angle = row["unlearned_norm"], row["unlearned_angle"]
            table.add_row(
                f"  {row['geometry']}" if several else row["geometry"],
                f"{row['count']:,}",
                f"{share.share:.{digits}%}",
                f"{share.low:.{digits}%} to {share.high:.{digits}%}",
                loss_text(row["loss"]),
                f"{row['frobenius_norm']:.3f}",
                "" if stub is None else f"{stub:.3f}",
                "" if angle is None else f"{angle:.1f}°",
            )
        table.add_section()
    return table
