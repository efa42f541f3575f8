"""The columns of W in the plane as a ring: Fourier modes of the columns in the order of their angles.

Written as complex numbers and ordered by angle, n columns are

    w_k = sum_m c_m exp(2 pi i m k / n),        k = 0, ..., n - 1

Mode 1 alone is a regular star; c_1 is that of the star nearest to the columns. Every other mode is a way to differ from
it. As shares of the star,

    w_k = c_1 exp(2 pi i k / n) (1 + sum_q e_q exp(2 pi i q k / n)),        e_q = c_(q+1) / c_1,

e_q is a wave with q crests round the ring: q and -q together move columns along the ring and make them longer and
shorter. q = 1 and -1 are the dipole: columns crowd on one side and leave room on the other. Lengths of e_q are
unchanged by rotation, reflection, scale and the order of features.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

FEWEST = 3  # columns that are a ring
STAR, MEAN, CROWDING = 1, 0, 2  # modes: the star itself, and the two of its dipole, q = -1 and q = 1


class Ring(NamedTuple):
    """Columns of the plane as a ring.

    Attributes:
        modes: c_m, in units of the columns.
        order: which feature is at which place of the ring.
    """

    modes: Complex[Tensor, "instance mode"]
    order: Int[Tensor, "instance feature"]


def ring_of(columns: Float[Tensor, "instance 2 feature"]) -> Ring:
    """The ring that columns form, in double precision."""
    own = columns.detach().double()
    order = torch.atan2(own[:, 1], own[:, 0]).argsort(dim=1, stable=True)
    placed = torch.complex(own[:, 0], own[:, 1]).gather(1, order)
    return Ring(torch.fft.fft(placed, norm="forward"), order)


def columns_of(ring: Ring) -> Float[Tensor, "instance 2 feature"]:
    """The columns that form a ring, each feature's in its place; the inverse of `ring_of`."""
    placed = placed_columns(ring)
    own = torch.empty_like(placed).scatter_(1, ring.order, placed)
    return torch.stack([own.real, own.imag], dim=1)


def placed_columns(ring: Ring) -> Complex[Tensor, "instance place"]:
    """w_k: the columns in the order of their angles."""
    return torch.fft.ifft(ring.modes, norm="forward")


def with_columns(ring: Ring, placed: Complex[Tensor, "instance place"]) -> Ring:
    """The ring of other columns, each feature in its place."""
    return ring._replace(modes=torch.fft.fft(placed, norm="forward"))


def waves(ring: Ring) -> Complex[Tensor, "instance wave"]:
    """e_q for q = 0, ..., n - 1, where n - 1 is -1 and so on; e_0 is 1."""
    return ring.modes.roll(-STAR, dims=1) / ring.modes[:, STAR : STAR + 1]


def dipole(ring: Ring, mixing: float) -> Complex[Tensor, " instance"]:
    """s = e_1 + mixing * conj(e_-1), the amplitude of the dipole that grows: 0 of a regular star.

    Args:
        mixing: how much of the star's displacement as a whole, e_-1, it has; `src.theory.growth` says.
    """
    own = waves(ring)
    return own[:, 1] + mixing * own[:, -1].conj()


def with_dipole(ring: Ring, target: Complex[Tensor, " instance"], mixing: float) -> Ring:
    """The ring nearest to this one whose dipole is `target`; the star and all other waves stay."""
    change = (target - dipole(ring, mixing)) / (1 + mixing**2)
    modes, star = ring.modes.clone(), ring.modes[:, STAR]
    modes[:, CROWDING] += change * star
    modes[:, MEAN] += mixing * change.conj() * star
    return ring._replace(modes=modes)


def regular_star(n_features: int, radius: float) -> Float[Tensor, "2 feature"]:
    """n columns of one length, evenly spread, the first along the first axis."""
    angle = torch.arange(n_features, dtype=torch.float64) * (2 * math.pi / n_features)
    return radius * torch.stack([angle.cos(), angle.sin()])
