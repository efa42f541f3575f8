"""How good a prediction is: the area under its ROC curve with an interval, and its calibration."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import norm, rankdata
from torch import Tensor

CONFIDENCE = 0.95


class Area(NamedTuple):
    """The area under a ROC curve: how often one that is scores higher than one that is not; with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


class Bin(NamedTuple):
    """Instances of like probability: the mean of what was foretold of them, and how many of how many came true."""

    foretold: float
    n_true: int
    n: int


def area_under_curve(scores: Float[Tensor, " instance"], is_one: Bool[Tensor, " instance"]) -> Area:
    """With the 95 % interval of DeLong, DeLong and Clarke-Pearson 1988; NaN if all or none are ones."""
    own, ones = scores.double().numpy(), is_one.numpy()
    n_ones, n_others = int(ones.sum()), int((~ones).sum())
    if not (n_ones and n_others):
        return Area(np.nan, np.nan, np.nan)
    ranks = rankdata(own)
    # How many of the other kind lie on the right side of each.
    of_ones = (ranks[ones] - rankdata(own[ones])) / n_others
    of_others = 1 - (ranks[~ones] - rankdata(own[~ones])) / n_ones
    area = float(of_ones.mean())
    parts = [x.var(ddof=1) / len(x) if len(x) > 1 else np.nan for x in (of_ones, of_others)]
    wide = norm.ppf((1 + CONFIDENCE) / 2) * float(np.sqrt(sum(parts)))
    return Area(area, max(0.0, area - wide), min(1.0, area + wide))


def calibration(
    probabilities: Float[Tensor, " instance"], is_one: Bool[Tensor, " instance"], n_bins: int = 10
) -> list[Bin]:
    """Bins of equally many instances, from the least likely to the likeliest."""
    own, ones = probabilities.double().numpy(), is_one.numpy()
    parts = np.array_split(np.argsort(own, kind="stable"), min(n_bins, len(own)))
    return [Bin(float(own[rows].mean()), int(ones[rows].sum()), len(rows)) for rows in parts]
