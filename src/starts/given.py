"""W as one says it: by angles and norms, between two seeds, or as stars with a dipole of each amplitude."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.seeds import N_SEEDS
from src.errors import require
from src.geometry.ring import FEWEST, columns_of, dipole, regular_star, ring_of, with_dipole
from src.memory import BYTES_OF_A_ROW, require_memory
from src.starts.start import Model, Start
from src.starts.waves import MIXING


class Polar(Start):
    """Columns at given angles with given norms, and if one wishes a share of the W that each seed gives.

    Args:
        angles: in degrees, one for each feature.
        norms: one for each feature.
        jitter: how much of the seed's own W is added.
    """

    def __init__(self, angles: list[float], norms: list[float], jitter: float = 0.0) -> None:
        for name, values in (("angles", angles), ("norms", norms), ("jitter", [jitter])):
            require(all(map(math.isfinite, values)), f"model.start.{name}", values, "finite")
        require(all(norm >= 0 for norm in norms), "model.start.norms", norms, "0 or positive")
        self.angles, self.norms, self.jitter = angles, norms, jitter

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        require(model.n_hidden == 2, "model.n_hidden", model.n_hidden, "2, a plane, for Polar")
        for name, values in (("angles", self.angles), ("norms", self.norms)):
            allowed = f"{model.n_features} numbers, one for each feature"
            require(len(values) == model.n_features, f"model.start.{name}", values, allowed)
        placed = torch.polar(torch.tensor(self.norms).double(), torch.tensor(self.angles).double().deg2rad())
        W = super().initial_W(model)
        return torch.stack([placed.real, placed.imag]).to(W) + self.jitter * W


class Between(Start):
    """From the W of one seed to that of another, in equal steps along a straight line.

    The census has the share of the other seed as `share`.

    Args:
        seed, other: at both ends.
        n_points: instances, the ends included.
    """

    chooses_seeds: ClassVar[bool] = True

    def __init__(self, seed: int = 0, other: int = 11, n_points: int = 65) -> None:
        for name, value in (("seed", seed), ("other", other)):
            require(0 <= value < N_SEEDS, f"model.start.{name}", value, f"from 0 to {N_SEEDS - 1}")
        require(n_points >= 2, "model.start.n_points", n_points, "at least 2, the ends")
        require_memory("model.start.n_points", n_points, BYTES_OF_A_ROW)
        self.other, self.seeds = other, [seed] * n_points
        self.shares = torch.linspace(0, 1, n_points)

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        share = self.shares.view(-1, 1, 1)
        return (1 - share) * super().initial_W(model) + share * model.initial_weights(self.other)

    def names(self, seeds: Sequence[int]) -> list[str]:
        shares = zip(seeds, self.shares.tolist(), strict=True)
        return [f"seed {seed} and {share:.1%} of seed {self.other}" for seed, share in shares]

    def census_columns(self) -> dict[str, list[Any]]:
        return {"share": self.shares.tolist()}


class Dipoles(Start):
    """Regular stars with a dipole of each amplitude, in some phases and turned by some angles: where is the threshold?

    The census has `dipole`, the amplitude as a share of the star, and `phase` and `turn` as shares of half the angle
    between two columns.

    Args:
        radius: of the star.
        largest: amplitude; they go up to it from 0 in equal steps.
        n_amplitudes, n_phases, n_turns: how many of each. A phase turns the crest from a column to between two, a turn
            the star itself, up to half the angle between two columns. Gradient flow knows no others; Adam, which
            takes each entry on its own, does.
        mixing: which dipole: see `src.theory.growth`.
    """

    chooses_seeds: ClassVar[bool] = True

    def __init__(
        self,
        radius: float = 0.4,
        largest: float = 0.6,
        n_amplitudes: int = 61,
        n_phases: int = 3,
        n_turns: int = 2,
        mixing: float = MIXING,
    ) -> None:
        for name, value in (("radius", radius), ("largest", largest)):
            require(0 < value < math.inf, f"model.start.{name}", value, "positive and finite")
        require(math.isfinite(mixing), "model.start.mixing", mixing, "finite")
        require(n_amplitudes >= 2, "model.start.n_amplitudes", n_amplitudes, "at least 2, from 0 to the largest")
        for name, value in (("n_phases", n_phases), ("n_turns", n_turns)):
            require(value >= 1, f"model.start.{name}", value, "at least 1")
        count = n_amplitudes * n_phases * n_turns
        require_memory("the number of amplitudes, phases and turns together", count, BYTES_OF_A_ROW)
        self.radius, self.mixing, self.seeds = radius, mixing, [0] * count
        self.amplitudes = torch.linspace(0, largest, n_amplitudes).tolist()
        self.shares = [[(k + 0.5) / n for k in range(n)] for n in (n_phases, n_turns)]

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        n = model.n_features
        require(model.n_hidden == 2, "model.n_hidden", model.n_hidden, "2, a plane, for Dipoles")
        require(n >= FEWEST, "model.n_features", n, f"at least {FEWEST}, for Dipoles")
        amplitude, phase, turn = torch.tensor([*self._grid()]).double().unbind(dim=1)
        # Half the angle between two columns: after it all repeat or are mirrored, but for what Adam makes of a turn.
        unit, whole = torch.ones_like(phase), math.pi / n
        ring = ring_of(regular_star(n, self.radius).expand(len(phase), -1, -1))
        ring = with_dipole(ring, torch.polar(amplitude, whole * phase), self.mixing)
        W = columns_of(ring._replace(modes=ring.modes * torch.polar(unit, whole * turn).unsqueeze(1)))
        is_kept = torch.allclose(dipole(ring_of(W), self.mixing).abs(), amplitude, atol=1e-6)
        require(is_kept, "model.start.largest", self.amplitudes[-1], "smaller, so that columns stay in their order")
        return W.float()

    def _grid(self) -> Iterable[tuple[float, ...]]:
        return itertools.product(self.amplitudes, *self.shares)

    def names(self, seeds: Sequence[int]) -> list[str]:
        return [f"dipole {size:.3f}, phase {phase:.2f}, turn {turn:.2f}" for size, phase, turn in self._grid()]

    def census_columns(self) -> dict[str, list[Any]]:
        amplitudes, phases, turns = zip(*self._grid(), strict=True)
        return {"dipole": [*amplitudes], "phase": [*phases], "turn": [*turns]}
