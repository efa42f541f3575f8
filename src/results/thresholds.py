"""At which amplitude of its dipole a regular star no longer ends in a regular polygon of all its columns."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.geometry.shapes import NAMES


def thresholds(census: Iterable[Mapping[str, Any]], n_features: int) -> NDArray[np.float64]:
    """For each phase and turn of `src.starts.Dipoles`, halfway between the last polygon of all and what comes after.

    0 where not even the star itself ends in one; infinite where all amplitudes do.

    Raises:
        KeyError: if the census is not of such a start, or the polygon has no name.
    """
    lines: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    for row in census:
        is_whole = row["geometry"] == NAMES[n_features]
        lines[str(row["phase"]), str(row["turn"])].append((float(row["dipole"]), is_whole))
    return np.array([_threshold(sorted(line)) for line in lines.values()])


def _threshold(line: list[tuple[float, bool]]) -> float:
    last = None
    for amplitude, is_whole in line:
        if not is_whole:
            return 0.0 if last is None else (last + amplitude) / 2
        last = amplitude
    return np.inf
