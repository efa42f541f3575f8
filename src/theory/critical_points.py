"""The critical points that the post's argument does not consider: regular polygons whose norm and bias are solved for.

In the loss with one active feature at a time they are stationary points (Chen et al. 2023, "Dynamical versus Bayesian
Phase Transitions in a Toy Model of Superposition", arXiv 2310.06301).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from scipy.optimize import root
from torch import Tensor

from src.errors import require

MAX_VERTICES = 9  # from 10 on a polygon's best norm is that of fewer vertices in each other's way


# Norm and bias free, one feature active at a time.


def rectified_moments(slope: float, bias: float) -> tuple[float, float, float]:
    """int_0^1 z_+^2 dt, int_0^1 t z_+ dt and int_0^1 z_+ dt, for z = slope t + bias and bias <= 0."""
    if slope + bias <= 0:
        return 0.0, 0.0, 0.0
    start, end = -bias / slope, slope + bias
    product = slope * (1 - start**3) / 3 + bias * (1 - start**2) / 2
    return end**3 / (3 * slope), product, end**2 / (2 * slope)


def vertex_loss(n_vertices: int, norm: float, bias: float) -> float:
    """What all features' reconstructions cost while one vertex of a regular k-gon is active: bias <= 0.

    int_0^1 (t - (l^2 t + b)_+)^2 dt + sum_(j = 1)^(k - 1) int_0^1 ((l^2 cos(2 pi j / k) t + b)_+)^2 dt
    """
    moments = [rectified_moments(norm**2 * cosine, bias) for cosine in _cosines(n_vertices)]
    return 1 / 3 - 2 * moments[0][1] + sum(square for square, _, _ in moments)


def vertex_gradient(n_vertices: int, slope: float, bias: float) -> tuple[float, float]:
    """Half the derivatives of `vertex_loss` in the slope, l^2, and in the bias."""
    cosines = _cosines(n_vertices)
    moments = [rectified_moments(slope * cosine, bias) for cosine in cosines]
    start = min(1.0, -bias / slope)  # below it the active feature is not seen
    by_slope = sum(cosine * product for cosine, (_, product, _) in zip(cosines, moments, strict=True))
    return by_slope - (1 - start**3) / 3, sum(mean for _, _, mean in moments) - (1 - start**2) / 2


def _cosines(n_vertices: int) -> list[float]:
    return [math.cos(2 * math.pi * j / n_vertices) for j in range(n_vertices)]


@lru_cache
def best_norm_and_bias(n_vertices: int) -> tuple[float, float]:
    """The norm l and bias b at which a regular k-gon's loss is stationary.

    Up to four vertices nothing is in each other's way: (1, 0), without loss. From there on each polygon's is searched
    from where that of one vertex less is.
    """
    require(2 <= n_vertices <= MAX_VERTICES, "the number of vertices", n_vertices, f"from 2 to {MAX_VERTICES}")
    if n_vertices <= 4:
        return 1.0, 0.0
    norm, bias = best_norm_and_bias(n_vertices - 1)
    found = root(lambda u: vertex_gradient(n_vertices, *u), (norm**2, bias - 0.2), tol=1e-15)
    return math.sqrt(found.x[0]), float(found.x[1])


def polygon_cost(n_vertices: int) -> float:
    """h_k: the loss of a regular k-gon is (h_k + n - k) / (3 n), summed over features, if all others are dead."""
    return 3 * n_vertices * vertex_loss(n_vertices, *best_norm_and_bias(n_vertices))


@dataclass(frozen=True)
class CriticalPoint:
    """A regular k-gon among n features, one of which is active at a time, with all other features dead.

    A dead feature's bias is zero, or, marked by a `+` each, the better 1 / (2 n). At zero bias a dead feature is at the
    kink of its ReLU: the derivative there is taken as 0, as autograd does, and the point is flat towards negative
    biases, but any positive bias up to 1 / n lowers the loss.

    Args:
        n_vertices: k.
        n_features: n.
        n_better: how many of the n - k dead features have the better bias.
    """

    n_vertices: int
    n_features: int
    n_better: int = 0

    def __post_init__(self) -> None:
        n_dead = self.n_features - self.n_vertices
        require(n_dead >= 0, "the number of vertices", self.n_vertices, f"at most {self.n_features}, the features")
        require(0 <= self.n_better <= n_dead, "the number of better biases", self.n_better, f"from 0 to {n_dead}")
        best_norm_and_bias(self.n_vertices)

    @property
    def n_dead(self) -> int:
        return self.n_features - self.n_vertices

    @property
    def name(self) -> str:
        """`5`, `5+`, `4++`, ... as in the paper."""
        return f"{self.n_vertices}{'+' * self.n_better}"

    @property
    def W(self) -> Float[Tensor, "hidden feature"]:  # noqa: N802
        norm, _ = best_norm_and_bias(self.n_vertices)
        angle = torch.arange(self.n_vertices, dtype=torch.float64) * (2 * math.pi / self.n_vertices)
        polygon = norm * torch.stack([angle.cos(), angle.sin()])
        return torch.cat([polygon, polygon.new_zeros(2, self.n_dead)], dim=1)

    @property
    def b(self) -> Float[Tensor, " feature"]:
        _, bias = best_norm_and_bias(self.n_vertices)
        better = 1 / (2 * self.n_features)
        plain = self.n_dead - self.n_better
        biases = [bias] * self.n_vertices + [better] * self.n_better + [0.0] * plain
        return torch.tensor(biases, dtype=torch.float64)

    @property
    def loss(self) -> float:
        """Summed over features: (h_k + n - k) / (3 n), and 1 / (4 n^2) less for each better bias."""
        n = self.n_features
        return (polygon_cost(self.n_vertices) + self.n_dead) / (3 * n) - self.n_better / (4 * n**2)

    @property
    def stability(self) -> str:
        """`minimum`, `saddle` or `degenerate` (flat in some direction that is no rotation, downhill in none).

        - A dead feature with zero bias is flat by itself. Beside one with positive bias there is a saddle: their
          columns gain together from what one alone cannot.
        - A dead feature with the better bias: against a column of length r its own reconstruction gains
          (2/3 - b) r^2 / n, and the k directions cost k l^2 r^2 / (6 n). So k = 2 and 3 are saddles, where the gain is
          more; k >= 5 are minima; at k = 4 the two cancel but for b, and two such columns may trade it: flat.
        - Of k = 2 and 3 the angles are free as long as no two are less than a right angle apart.
        """
        if 0 < self.n_better < self.n_dead:
            return "saddle"
        if self.n_dead > 0 and self.n_better == 0:
            return "degenerate"
        if self.n_vertices <= 3:
            return "degenerate" if self.n_dead == 0 else "saddle"
        return "degenerate" if self.n_vertices == 4 and self.n_dead > 1 else "minimum"


def best_critical_point(n_features: int) -> CriticalPoint:
    """The polygon of least loss among n features, all dead ones with the better bias."""
    largest = min(n_features, MAX_VERTICES)
    return min((CriticalPoint(k, n_features, n_features - k) for k in range(2, largest + 1)), key=lambda p: p.loss)
