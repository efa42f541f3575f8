"""What each seed ended in, from wherever a census lies."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.errors import ConfigError, require
from src.runs.folder import CENSUS, CENSUS_PARQUET
from src.runs.tables import rows_of


class SeedOutcomes(NamedTuple):
    """Seeds in ascending order, and the geometry of each."""

    seeds: NDArray[np.int64]
    geometries: NDArray[np.str_]


def read_seed_outcomes(path: Path, option: str) -> SeedOutcomes:
    """The seeds of a census.

    Args:
        path: a run folder, its `census.csv`, a `census.parquet`, or a sweep's folder of one cell.
        option: by which the user has named it.

    Raises:
        ConfigError: if no census lies there, it has a seed twice, or it is Parquet and pyarrow is missing.
    """
    allowed = f"a run folder with a {CENSUS}, such a file, a {CENSUS_PARQUET}, or a cell of a sweep"
    try:
        rows = [*_rows(path)]
    except ConfigError:  # that Parquet cannot be read here
        raise
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
        rows = []
    require(len(rows) > 0, option, path, allowed)
    seeds, geometries = (np.array(own) for own in zip(*rows, strict=True))
    order = seeds.argsort(kind="stable")
    require(bool((np.diff(seeds[order]) > 0).all()), option, path, "a census with each seed once")
    return SeedOutcomes(seeds[order], geometries[order])


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    if path.is_dir():
        single = [path / name for name in (CENSUS_PARQUET, CENSUS) if (path / name).is_file()]
        for file in single[:1] or sorted(path.glob(f"*/{CENSUS}")):
            yield from _rows(file)
    else:
        yield from ((int(row["seed"]), row["geometry"]) for row in rows_of(path))
