"""The same initial W seen in eight ways, which Adam cannot tell apart.

Adam takes each entry of W on its own. So turning the plane by 90 degrees, or mirroring it, turns or mirrors the whole
run, and so does another order of the features, but not a turn by any other angle.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from src.geometry.ring import STAR, placed_columns, ring_of

N_VIEWS = 8


def views(W: Float[Tensor, "instance 2 feature"], scale: float) -> Float[Tensor, "view instance coordinate"]:
    """Columns by angle, from all x to all y, over `scale`; the first is such that the star begins within a corner."""
    mirrored = torch.stack([W[:, 0], -W[:, 1]], dim=1)
    seen = []
    for own in (W, mirrored):
        for _ in range(N_VIEWS // 2):
            own = torch.stack([-own[:, 1], own[:, 0]], dim=1)  # noqa: PLW2901 - by 90 degrees
            seen.append(_from_first(own))
    return (torch.stack(seen) / scale).float()


def _from_first(W: Float[Tensor, "instance 2 feature"]) -> Float[Tensor, "instance coordinate"]:
    ring = ring_of(W)
    n = ring.order.shape[1]
    # To begin one place later turns the star by 2 pi / n.
    places = (ring.modes[:, STAR].angle() / (2 * math.pi / n)).floor().long().unsqueeze(1)
    own = placed_columns(ring).gather(1, (torch.arange(n) - places) % n)
    return torch.cat([own.real, own.imag], dim=1)
