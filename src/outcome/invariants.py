"""Numbers of an initial W that no rotation, reflection or order of the features changes."""

import torch
from jaxtyping import Float
from torch import Tensor

from src.geometry.ring import STAR, dipole, ring_of, waves
from src.starts.waves import MIXING

N_FEATURES = 6  # of which outcomes are foretold
DIPOLE = 0  # which of the invariants


def names_of(n_features: int) -> tuple[str, ...]:
    """By which they stand in tables: the growing dipole, the waves of the ring, and how large its star is."""
    waves_of = [q if 2 * q <= n_features else q - n_features for q in range(1, n_features)]
    return "dipole", *(f"wave {q}" for q in waves_of), "log radius"


NAMES = names_of(N_FEATURES)


def invariants(W: Float[Tensor, "instance 2 feature"]) -> Float[Tensor, "instance invariant"]:
    """|s|, |e_q| of all waves and log |c_1|, as `src.geometry.ring` has them."""
    ring = ring_of(W)
    radius = ring.modes[:, STAR].abs().log()
    columns = [dipole(ring, MIXING).abs().unsqueeze(1), waves(ring)[:, 1:].abs(), radius.unsqueeze(1)]
    return torch.cat(columns, dim=1)
