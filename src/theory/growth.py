"""How a small regular star grows under gradient flow, and which of its waves grow with it.

W drawn with small norms is a ring of columns (`src.geometry.ring`), and dW/dt = -dL/dW, db/dt = -dL/db makes the star
in it grow. The symmetry of a regular n-star, rotations that permute its columns, stays, so it grows along a curve of
two numbers, its radius r and its common bias. A small disturbance of it splits into waves q = 0, ..., n / 2 that do not
mix (the Hessian commutes with the symmetry), each of a lengthening cos(q k), a shift along the ring sin(q k) and a
change of biases cos(q k):

    d delta / dt = -H_q(t) delta

A wave's gain is the largest factor by which its columns' part has grown, over that of the star. How far the dipole,
q = 1, grows depends on one combination of its two parts alone, as the other one dies out: e_1 + mixing * conj(e_-1).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from src.geometry.ring import regular_star
from src.population.surface import Surface
from src.theory.family import Family, as_points, independent

LATEST = 400.0  # time, over 1 / p, at which the star has grown up
TOLERANCE, SMALLEST = 1e-4, 1e-6  # of its radius and bias, relative and absolute
FINEST = 0.01  # how far they move between two Hessians


@dataclass(frozen=True)
class Growth:
    """The way of a regular star from small norms to its largest one.

    Attributes:
        times: in units in which SGD's learning rate times steps is time.
        gains: of wave q = 1, ..., n / 2 at each time, over the star's own growth.
        mixing: of the dipole, where its gain is largest; NaN if it is nowhere above 1.
    """

    times: Float[ndarray, " time"]
    radii: Float[ndarray, " time"]
    biases: Float[ndarray, " time"]
    gains: Float[ndarray, "time wave"]
    mixing: float

    @property
    def largest(self) -> Float[ndarray, " wave"]:
        """Each wave's largest gain."""
        largest: ndarray = self.gains.max(axis=0)
        return largest


class Waves:
    """The columns and biases of a regular n-star, and its disturbances, as directions in the space of parameters."""

    def __init__(self, family: Family) -> None:
        n = self.n = family.n_features
        self.shapes = family.shapes(n, 2)
        star, angle = regular_star(n, 1.0), torch.arange(n).double() * (2 * math.pi / n)
        none, turned = torch.zeros(n).double(), torch.stack([-star[1], star[0]])
        self.star, self.bias = self._direction(star, none), self._direction(torch.zeros(2, n).double(), none + 1)
        self.of: list[Float[Tensor, "part parameter"]] = []
        for q in range(1, n // 2 + 1):
            crests, slopes = (q * angle).cos(), (q * angle).sin()
            parts = [(star * crests, none)]
            if 2 * q != n:  # else the shift along the ring is another wave, which the biases do not take part in
                parts.append((turned * slopes, none))
            if "b" in self.shapes:
                parts.append((torch.zeros(2, n).double(), crests))
            rows = torch.stack([self._direction(*part) for part in parts])
            self.of.append(rows / rows.norm(dim=1, keepdim=True))

    def _direction(self, W: Float[Tensor, "2 feature"], b: Float[Tensor, " feature"]) -> Float[Tensor, " parameter"]:
        return as_points(self.shapes, W.unsqueeze(0), b.unsqueeze(0))[0]

    def points(self, state: Float[ndarray, "2 time"]) -> Float[Tensor, "time parameter"]:
        """The star with these radii and biases."""
        radii, biases = torch.from_numpy(state).unsqueeze(2)
        return radii * self.star + biases * self.bias

    def n_columns(self, q: int) -> int:
        """How many of a wave's parts are of columns, not of biases."""
        return 1 if 2 * q == self.n else 2


def grow(family: Family, p: float, radius: float) -> Growth:
    """A regular star of a given radius, without bias, and its waves, along the gradient flow of the population loss."""
    waves = Waves(family)
    surface = independent(family, p, (radius * waves.star).unsqueeze(0))
    times, ends = _course(surface, waves, radius, LATEST / p)
    middles = waves.points((ends[:, 1:] + ends[:, :-1]) / 2)
    hessians = surface.derivatives(middles, torch.zeros(len(middles), dtype=torch.int64)).hessian
    lengths = torch.from_numpy(np.diff(times)).view(-1, 1, 1)
    gains, of_dipole = np.ones((len(times), len(waves.of))), torch.eye(2).double()
    for q, directions in enumerate(waves.of, 1):
        steps = torch.linalg.matrix_exp(-lengths * (directions @ hessians @ directions.mT))
        become, k = torch.eye(len(directions)).double(), waves.n_columns(q)
        for i, step in enumerate(steps, 1):
            become = step @ become
            gains[i, q - 1] = float(torch.linalg.matrix_norm(become[:k, :k], 2)) * radius / ends[0, i]
            if q == 1 and gains[i, 0] >= gains[:i, 0].max():
                of_dipole = become[:2, :2]
    longer, along = torch.linalg.svd(of_dipole).Vh[0].tolist()
    mixing = (longer - along) / (longer + along) if gains[:, 0].max() > 1 else math.nan
    return Growth(times, ends[0], ends[1], gains, mixing)


def _course(
    surface: Surface, waves: Waves, radius: float, latest: float
) -> tuple[Float[ndarray, " time"], Float[ndarray, "2 time"]]:
    """When, and the radius and the bias of the star then."""
    both, nobody = torch.stack([waves.star, waves.bias]), torch.zeros(1, dtype=torch.int64)

    def speed(time: float, state: Float[ndarray, " 2"]) -> Float[ndarray, " 2"]:
        at = surface.derivatives(waves.points(state[:, None]), nobody)
        own: ndarray = -(both @ at.gradient[0]).numpy() / waves.n
        return own

    solved = solve_ivp(speed, (0, latest), (radius, 0.0), method="LSODA", rtol=TOLERANCE, atol=SMALLEST)
    moved = np.abs(np.diff(solved.y, axis=1)).sum(axis=0)
    parts = np.maximum(1, np.ceil(moved / FINEST)).astype(int)
    ends = zip(solved.t[:-1], solved.t[1:], parts, strict=True)
    times = np.concatenate([*(np.linspace(a, z, k, endpoint=False) for a, z, k in ends), solved.t[-1:]])
    return times, np.stack([PchipInterpolator(solved.t, own)(times) for own in solved.y])
