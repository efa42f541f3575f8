"""Feature probabilities as they are written: a number, a list, or a word for one."""

import re

import numpy as np

from src.errors import require

WORD = re.compile(r"(linspace|logspace)\(([^,()]+),([^,()]+),\s*(\d+)\s*\)")
MOST = 10_000


def probabilities_of(written: float | list[float] | str) -> list[float]:
    """The probabilities: of `linspace(1, 0.1, 10)` ten from 1 to 0.1 at equal distances, of `logspace` at equal ratios.

    Raises:
        ConfigError: if it is none, or a number is not in (0, 1].
    """
    field, allowed = "data.feature_probability", "in (0, 1], or a list of such numbers, or logspace(1, 0.05, 10), say"
    if isinstance(written, str):
        found = WORD.fullmatch(written.strip())
        require(found is not None, field, written, allowed)
        assert found is not None
        try:
            first, last = float(found[2]), float(found[3])
        except ValueError:
            first = last = 0.0
        n = int(found[4])
        require(0 < first <= 1 and 0 < last <= 1 and 1 <= n <= MOST, field, written, allowed)
        values = (np.linspace if found[1] == "linspace" else np.geomspace)(first, last, n)
        return [min(1.0, p) for p in values.tolist()]
    if not isinstance(written, list):
        require(0 < written <= 1, field, written, "in (0, 1]")
        return [float(written)]
    require(len(written) > 0 and all(0 < p <= 1 for p in written), field, written, allowed)
    return [float(p) for p in written]
