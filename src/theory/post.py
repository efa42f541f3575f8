"""What the post's argument predicts (January 2025, its Figures 3 to 6).

It represents F features by unit vectors at equal angles with zero bias and asks what each costs.
"""

import math

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from src.errors import require

PENTAGON_NORM = math.sqrt(5)  # Figure 8's "theoretical limit" of W's norm: five unit vectors

# The post's argument. Losses are those of one feature, for a probability p = 1 - S of being active.


def ignored_loss(feature_probability: float) -> float:
    """Equation 1 (C3): an ignored feature costs p int_0^1 x^2 dx = p / 3."""
    return feature_probability / 3


def predicted_features(x: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch feature"]:
    """Equation 2 (C4): x'_i = ReLU(x_i + (x_(i-1) + x_(i+1)) cos(2 pi / F)), indices modulo F."""
    n_represented = x.shape[-1]
    neighbours = x.roll(1, dims=-1) + x.roll(-1, dims=-1)
    return torch.relu(x + neighbours * math.cos(2 * math.pi / n_represented))


def represented_loss(n_represented: int | float, feature_probability: float, as_printed: bool = False) -> float:
    """Equation 3 (C5): a represented feature costs (2 p / 3) max(0, cos(2 pi / F))^2, its two neighbours' outputs.

    Args:
        n_represented: F, at least 2; not necessarily whole.
        as_printed: without the max, which the post puts where it does nothing.
    """
    require(n_represented >= 2, "F", n_represented, "at least 2")
    cosine = math.cos(2 * math.pi / n_represented)
    return 2 * feature_probability / 3 * (cosine if as_printed else max(0.0, cosine)) ** 2


def loss_change(n_represented: int | float, feature_probability: float = 1.0, as_printed: bool = False) -> float:
    """Equation 4 (C6): representing F features in place of none changes the loss by F (L_F - L_ignored)."""
    represented = represented_loss(n_represented, feature_probability, as_printed)
    return n_represented * (represented - ignored_loss(feature_probability))


def best_continuous_number() -> float:
    """The F, not necessarily whole, at which equation 4 is least."""
    return float(
        minimize_scalar(lambda F: loss_change(float(F)), bounds=(4, 6), method="bounded", options={"xatol": 1e-10}).x
    )
