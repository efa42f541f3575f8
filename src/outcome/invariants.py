"""Numbers of an initial W that no rotation, reflection or order of the features changes."""

import torch
from jaxtyping import Float
from torch import Tensor

from src.geometry.ring import STAR, dipole, ring_of, waves
from src.starts.waves import MIXING

N_FEATURES = 6
# By which names they stand in tables: the growing dipole, the waves of the ring, and how large its star is.
NAMES = ("dipole", "wave 1", "wave 2", "wave 3", "wave -2", "wave -1", "log radius")
DIPOLE = 0


def invariants(W: Float[Tensor, "instance 2 feature"]) -> Float[Tensor, "instance invariant"]:
    """|s|, |e_q| of all waves and log |c_1|, as `src.geometry.ring` has them."""
    ring = ring_of(W)
    radius = ring.modes[:, STAR].abs().log()
    columns = [dipole(ring, MIXING).abs().unsqueeze(1), waves(ring)[:, 1:].abs(), radius.unsqueeze(1)]
    return torch.cat(columns, dim=1)
