"""Censuses by geometry: what each one's share is, and what its members have in common."""

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from src.results.census import loss_text
from src.results.rates import counted, rate, rates

NEAR_DEGREES = 5
CAPTION = (
    "Loss and norm are means; stub and angle are medians: the norms of columns that are not learned, and their "
    "angles from the nearest learned one. Intervals are Wilson's, 95 %."
)


def geometry_rows(census: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each geometry of a census, most frequent first.

    Args:
        census: rows as `callbacks.census` makes them, or as they are read from `census.csv`.

    Returns: rows with `geometry, count, n, share, low, high, loss, frobenius_norm, n_learned, unlearned_norm,
        unlearned_angle, unlearned_near`; the last is the share of columns that are not learned and lie within 5 degrees
        of a learned one, and the last three are None where everything is learned.
    """
    rows = []
    for geometry, share in rates([row["geometry"] for row in census]).items():
        own = [row for row in census if row["geometry"] == geometry]
        means = {name: fmean(float(row[name]) for row in own) for name in ("loss", "frobenius_norm", "n_learned")}
        medians = {name: median_of(own, name) for name in ("unlearned_norm", "unlearned_angle")}
        angles = numbers_of(own, "unlearned_angle")
        near = fmean(angle <= NEAR_DEGREES for angle in angles) if angles else None
        rows.append({"geometry": geometry, **share.row(), **means, **medians, "unlearned_near": near})
    return rows


def agreement_rows(censuses: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """How often the same seed has the same geometry in two censuses, for each pair of them that has the same seeds.

    Returns: rows with `first, second, count, n, share, low, high, by_chance`; the last is the share that two censuses
        with these rates would have in common if their seeds had nothing to do with each other.
    """
    geometries = {name: {row["seed"]: row["geometry"] for row in census} for name, census in censuses.items()}
    rows = []
    for (first, a), (second, b) in itertools.combinations(geometries.items(), 2):
        if a.keys() == b.keys() and len(a) == len(censuses[first]) == len(censuses[second]):
            share = rate(sum(a[seed] == b[seed] for seed in a), len(a))
            others = rates(list(b.values()))
            chance = sum(
                own.share * others[name].share for name, own in rates(list(a.values())).items() if name in others
            )
            rows.append({"first": first, "second": second, **share.row(), "by_chance": chance})
    return rows


def median_of(census: Sequence[Mapping[str, Any]], column: str) -> float | None:
    """Median of all numbers in the cells of a column, several to a cell; None if there are none but NaN."""
    numbers = numbers_of(census, column)
    return median(numbers) if numbers else None


def numbers_of(census: Sequence[Mapping[str, Any]], column: str) -> list[float]:
    """All numbers in the cells of a column, several to a cell, but NaN."""
    numbers = [float(number) for row in census for number in row[column].split()]
    return [number for number in numbers if not math.isnan(number)]


def geometry_table(censuses: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Shares of geometries with their intervals, of one census or of several, each named."""
    several = len(censuses) > 1
    sizes = {len(census) for census in censuses.values()}
    title = f"{counted(sizes.pop(), 'instance')}{' each' if several else ''}" if len(sizes) == 1 else None
    table = Table(title=title, caption=CAPTION, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("geometry", overflow="fold")
    for heading in ("count", "share", "95 % interval", "loss", "norm", "stub", "angle"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, census in censuses.items():
        if several:
            table.add_row(Text(name, style="bold"))
        for row in geometry_rows(census):
            stub, angle = row["unlearned_norm"], row["unlearned_angle"]
            table.add_row(
                f"  {row['geometry']}" if several else row["geometry"],
                f"{row['count']:,}",
                f"{row['share']:.1%}",
                f"{row['low']:.1%} to {row['high']:.1%}",
                loss_text(row["loss"]),
                f"{row['frobenius_norm']:.3f}",
                "" if stub is None else f"{stub:.3f}",
                "" if angle is None else f"{angle:.1f}°",
            )
        table.add_section()
    return table
