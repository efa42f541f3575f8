"""What jumps at the kinks of a cost c(z, x) that is no polynomial, as terms (z - kink)_+^r x^q."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from src.distributions.values import Values
from src.population.pieces import Pieces, Polynomial, about, plus

Cost = Callable[[Tensor, Tensor], Tensor]  # c(z, x), entry by entry, float64

ORDER = 4  # up to which derivatives' jumps are taken out
MOST_OWN = 4  # powers of x in a jump
BESIDE = 1e-6  # of a kink, and twice as far: where its two sides are looked at, to be extrapolated
STEEPEST = 1e4  # of a derivative: what is steeper bends in too small a space for nodes
CLOSE = 1e-6  # of the largest: a jump that is no polynomial in x to this is refused, and a smaller one is none


def jumps_at(cost: Cost, kinks: Sequence[float], values: Values) -> Pieces:
    """The jumps of a cost and of its derivatives in z up to the fourth, as a cost that is 0 before all kinks.

    Raises:
        ValueError: if a jump is no polynomial of the fourth degree in x, or infinite, or as good as.
    """
    n_own = MOST_OWN + 1 if values.width > 0 else 1
    nodes = np.cos(np.pi * (np.arange(n_own) + 0.5) / n_own) / 2 + 0.5
    x = torch.tensor([*(values.low + values.width * nodes), values.low + 0.123 * values.width], dtype=torch.float64)
    kept, polynomials = [], list[Polynomial]([{}])
    for kink in kinks:
        steps = (BESIDE, -BESIDE)
        sides = [2 * _derivatives(cost, kink + h, x) - _derivatives(cost, kink + 2 * h, x) for h in steps]
        jump: dict[tuple[int, int], float] = {}
        if float(torch.stack(sides).abs().max()) > STEEPEST:
            raise ValueError(f"the cost is too steep at {kink}")
        for r, difference in enumerate((sides[0] - sides[1]).numpy()):
            scale = max(1.0, float(torch.stack([side[r] for side in sides]).abs().max()))
            powers = np.polynomial.polynomial.polyfit(x[:n_own].numpy(), difference[:n_own], n_own - 1)
            if abs(np.polynomial.polynomial.polyval(x[-1].item(), powers) - difference[-1]) > CLOSE * scale:
                raise ValueError(f"the jump at {kink} is no polynomial in x")
            jump |= {(r, q): float(a) / math.factorial(r) for q, a in enumerate(powers) if abs(a) > CLOSE * scale}
        if jump:
            kept.append(kink)
            polynomials.append(plus(polynomials[-1], about(-kink, jump)))
    return Pieces(tuple(kept), tuple(polynomials))


def _derivatives(cost: Cost, z: float, x: Tensor) -> Tensor:
    """The cost and its derivatives in z, [order, x]."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().unsqueeze(0)  # of one example, as hooks expect
        at = torch.full_like(x, z).unsqueeze(0).requires_grad_()
        found = [cost(at, x)]
        for _ in range(ORDER):
            if not found[-1].requires_grad:
                found.append(torch.zeros_like(at))
                continue
            (slope,) = torch.autograd.grad(found[-1].sum(), at, create_graph=True, allow_unused=True)
            found.append(torch.zeros_like(at) if slope is None else slope)
    return torch.stack([own.detach()[0, 0] for own in found])
