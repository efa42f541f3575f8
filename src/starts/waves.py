"""Every seed's W with waves of its ring of columns (`src.geometry.ring`) changed, and the controls."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from src.errors import require
from src.geometry.ring import STAR, Ring, columns_of, dipole, ring_of, with_dipole
from src.starts.edits import Edit
from src.starts.start import Model

MOST_TIMES, LARGEST = 100, 2.0  # that a dipole is set; and how much larger than before W may become by that
MIXING = -0.28  # of the dipole that grows, for n = 6 at p = 0.057: `python -m src.predictions growth`


class OfWaves(Edit):
    """A change of some waves of the ring.

    Args:
        waves: q of each, from -(n - 1) / 2 to n / 2; 0 would be the regular star.
        draw_seed: of what is drawn at random.
    """

    def __init__(self, waves: list[int], draw_seed: int = 0) -> None:
        super().__init__(draw_seed)
        known = len(waves) > 0 and 0 not in waves
        require(known, "model.start.waves", waves, "numbers of waves, such as [1, -1], and not 0, which is the star")
        self.waves = waves

    def initial_W(self, model: Model) -> Tensor:  # noqa: N802
        n = model.n_features
        least, most = -((n - 1) // 2), n // 2
        allowed = f"from {least} to {most}, the waves of {n} features, and not 0, which is the star"
        require(all(least <= q <= most for q in self.waves), "model.start.waves", self.waves, allowed)
        return super().initial_W(model)

    def modes(self, ring: Ring) -> list[int]:
        """Where the waves are among the modes of a ring."""
        return [(q + STAR) % ring.modes.shape[1] for q in self.waves]


class ScaledWaves(OfWaves):
    """Some waves made larger or smaller by a factor; 0 takes them out.

    Without the odd waves, [1, -1, 3] of six features, the columns are three pairs of opposites.

    Args:
        waves: as above.
        factor: one for all, or one for each.
    """

    def __init__(self, waves: list[int], factor: float | list[float] = 0.0) -> None:
        super().__init__(waves)
        factors = factor if isinstance(factor, list) else [factor] * len(waves)
        known = len(factors) == len(waves) and all(map(math.isfinite, factors))
        require(known, "model.start.factor", factor, "finite, one number or one for each wave")
        self.factors = factors

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        modes = ring.modes.clone()
        modes[:, self.modes(ring)] *= torch.tensor(self.factors).double()
        return ring._replace(modes=modes)


class TurnedWaves(OfWaves):
    """Some waves with a phase drawn at random, each its own: the control of taking them out."""

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        modes, own = ring.modes.clone(), self.modes(ring)
        modes[:, own] *= _phases(len(own), generators)
        return ring._replace(modes=modes)


class Dipole(Edit):
    """The amplitude of the growing dipole set, in the smallest way; 0 takes it out.

    Where that changes the order of the columns their ring has another dipole, which is set in turn, and so on. Where
    that comes to no end or makes W twice as large, it is set once: rarely, but with another phase of one seed in five.

    Args:
        amplitude: |s|, as a share of the star; null leaves each seed its own.
        turned: whether its phase is drawn at random, as the control has it; otherwise it stays.
        mixing: which dipole grows: see `src.theory.growth`.
        draw_seed: of the phases.
    """

    def __init__(
        self, amplitude: float | None = 0.0, turned: bool = False, mixing: float = MIXING, draw_seed: int = 0
    ) -> None:
        super().__init__(draw_seed)
        known = amplitude is None or 0 <= amplitude < math.inf
        require(known, "model.start.amplitude", amplitude, "0 or positive, and finite, or null")
        require(math.isfinite(mixing), "model.start.mixing", mixing, "finite")
        self.amplitude, self.turned, self.mixing = amplitude, turned, mixing

    def edited(self, ring: Ring, generators: Sequence[torch.Generator]) -> Ring:
        own = dipole(ring, self.mixing)
        target = own if self.amplitude is None else torch.polar(torch.full_like(own.real, self.amplitude), own.angle())
        if self.turned:
            target = target * _phases(1, generators)[:, 0]
        once = found = with_dipole(ring, target, self.mixing)
        for _ in range(MOST_TIMES):
            again = ring_of(columns_of(found))
            is_same = (again.order == found.order).all(dim=1, keepdim=True)
            if is_same.all():
                break
            found = _where(is_same, found, with_dipole(again, target, self.mixing))
        sizes = [own.modes.norm(dim=1, keepdim=True) for own in (found, ring)]
        return _where(is_same & (sizes[0] <= LARGEST * sizes[1]), found, once)


def _where(is_first: Tensor, first: Ring, second: Ring) -> Ring:
    return Ring(*(torch.where(is_first, a, b) for a, b in zip(first, second, strict=True)))


def _phases(n: int, generators: Sequence[torch.Generator]) -> Tensor:
    """n numbers of length 1 for each instance."""
    angles = torch.stack([torch.rand(n, generator=generator, dtype=torch.float64) for generator in generators])
    return torch.polar(torch.ones_like(angles), 2 * math.pi * angles)
