"""Every seed's W with one thing changed, on the ring of columns in the plane (`src.geometry.ring`).

Equal norms and equal gaps have a control each, the same numbers in another order. To turn and to scale W have none.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.seeds import EDITS, N_SEEDS, generator_for
from src.errors import require
from src.geometry.ring import FEWEST, STAR, Ring, columns_of, placed_columns, ring_of, with_columns
from src.starts.start import Model, Start


class Edit(Start):
    """Every instance starts from the ring that its seed gives, changed; a seed's change is the same in any stack.

    A change of one's own overrides `edited`.

    Args:
        draw_seed: of what is drawn at random.

    Raises:
        ConfigError: if the hidden space is no plane, or a number is not allowed.
    """

    def __init__(self, draw_seed: int = 0) -> None:
        says = type(self).edited is not Edit.edited
        require(says, "model.start", type(self).__name__, "a class that says what it changes")
        require(0 <= draw_seed < N_SEEDS, "model.start.draw_seed", draw_seed, f"from 0 to {N_SEEDS - 1}")
        self.draw_seed = draw_seed

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        """The ring from which to start.

        Args:
            generators: one for each instance, of its own.
        """
        raise NotImplementedError(f"{type(self).__name__} must define edited(ring, generators)")

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        require(model.n_hidden == 2, "model.n_hidden", model.n_hidden, f"2, a plane, for {type(self).__name__}")
        require(model.n_features >= FEWEST, "model.n_features", model.n_features, f"at least {FEWEST}, a ring")
        W = super().initial_W(model)
        generators = [generator_for(self.draw_seed, EDITS, seed) for seed in model.seeds]
        return columns_of(self.edited(ring_of(W), generators)).to(W)


class EqualNorms(Edit):
    """All columns of an instance have one norm, the root mean square of its own; angles stay."""

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        own = placed_columns(ring)
        return with_columns(ring, own / own.abs() * own.abs().square().mean(dim=1, keepdim=True).sqrt())


class PermutedNorms(Edit):
    """The norms of an instance's columns in random order: the control of equal norms."""

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        own = placed_columns(ring)
        return with_columns(ring, own / own.abs() * own.abs().gather(1, _orders(own.shape[1], generators)))


class EqualGaps(Edit):
    """The angles of an instance's columns are evenly spread, as those of the regular star nearest to it; norms stay."""

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        n = ring.modes.shape[1]
        angles = ring.modes[:, STAR].angle().unsqueeze(1) + torch.arange(n).double() * (2 * math.pi / n)
        return with_columns(ring, torch.polar(placed_columns(ring).abs(), angles))


class PermutedGaps(Edit):
    """The gaps between neighbouring columns in random order, from the first one on: the control of equal gaps."""

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        own = placed_columns(ring)
        angles = own.angle()
        gaps = torch.cat([angles.diff(dim=1), angles[:, :1] + 2 * math.pi - angles[:, -1:]], dim=1)
        shuffled = gaps.gather(1, _orders(own.shape[1], generators)).cumsum(dim=1)
        return with_columns(ring, torch.polar(own.abs(), angles[:, :1] + shuffled - shuffled[:, :1]))


class Turned(Edit):
    """The plane turned.

    Args:
        angle: in degrees, counterclockwise.
    """

    def __init__(self, angle: float = 45.0) -> None:
        super().__init__()
        require(math.isfinite(angle), "model.start.angle", angle, "finite")
        self.angle = angle

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        angle = torch.tensor(math.radians(self.angle)).double()
        return ring._replace(modes=ring.modes * torch.polar(torch.ones_like(angle), angle))


class Scaled(Edit):
    """All columns longer or shorter by one factor."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        require(0 < factor < math.inf, "model.start.factor", factor, "positive and finite")
        self.factor = factor

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        return ring._replace(modes=ring.modes * self.factor)


def _orders(n: int, generators: Sequence[torch.Generator]) -> Tensor:
    return torch.stack([torch.randperm(n, generator=generator) for generator in generators])
