"""Numbers that were measured of every instance: their means with intervals, cell by cell."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.results.rates import CONFIDENCE, counted, rate

METRIC = "metric_"  # what the census's columns of them begin with
QUANTILES = {"lowest_5_percent": 0.05, "median": 0.5, "highest_5_percent": 0.95}


def metrics_of(census: Iterable[Mapping[str, Any]]) -> dict[str, list[list[float]]]:
    """For each metric of a census, by name, the numbers of each instance: these are held in memory.

    The census is read once; of one without metrics only the first row.
    """
    rows = iter(census)
    first = next(rows, {})
    found: dict[str, list[list[float]]] = {column: [] for column in first if column.startswith(METRIC)}
    for row in itertools.chain([first], rows) if found else ():
        for column, numbers in found.items():
            numbers.append([float(value) for value in row[column].split()])
    return {column.removeprefix(METRIC): numbers for column, numbers in found.items()}


def metric_row(instances: Sequence[Sequence[float]]) -> dict[str, float | int]:
    """A metric's mean over instances with its 95 % interval, and quantiles of all numbers.

    The interval is Student's, and where each instance has one number, 0 or 1, Wilson's. An instance with several
    numbers counts once, by their mean: numbers of one instance are not independent. What is not finite is left out.

    Returns: `n, mean, low, high, lowest_5_percent, median, highest_5_percent`; NaN where nothing was measured, and of a
        single instance without interval.
    """
    means = np.array([np.mean(own) for own in map(_known, instances) if len(own)])
    n = len(means)
    mean, low, high = (float(means.mean()) if n else math.nan), math.nan, math.nan
    if n and all(len(own) == 1 for own in instances) and np.isin(means, (0, 1)).all():
        share = rate(int(means.sum()), n)
        low, high = share.low, share.high
    elif n > 1:
        from scipy.stats import t  # noqa: PLC0415 - half a second that most runs do not need

        margin = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * means.std(ddof=1) / math.sqrt(n))
        low, high = mean - margin, mean + margin
    numbers = _known([value for own in instances for value in own])
    quantiles = {name: float(np.quantile(numbers, q)) if n else math.nan for name, q in QUANTILES.items()}
    return {"n": n, "mean": mean, "low": low, "high": high, **quantiles}


def summary_text(name: str, instances: Sequence[Sequence[float]]) -> str:
    """`pair_angles: mean 71.3 (70.2 to 72.4) over 1,024 instances, median 72.1`."""
    row = metric_row(instances)
    interval = f" ({row['low']:.4g} to {row['high']:.4g})" if row["n"] > 1 else ""
    over = counted(len(instances), "instance")
    over = over if row["n"] == len(instances) else f"{row['n']:,} of {over}"
    return f"{name}: mean {row['mean']:.4g}{interval} over {over}, median {row['median']:.4g}"


def _known(values: Sequence[float]) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]
