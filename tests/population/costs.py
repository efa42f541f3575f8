"""What answers cost, with the kinks that they are made to have."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.objective.policies import policy_of
from src.population.pieces import Pieces
from tests.objective.terms import model_of
from tests.population.integrals import Cost

Function = Callable[[Tensor], Tensor]
Error = Callable[[Tensor, Tensor], Tensor]

# By name: x' as a function of z, its kinks, and the error, None for the square.
POLYNOMIAL: dict[str, tuple[Function, tuple[float, ...], Error | None]] = {
    "linear": (lambda z: z, (), None),
    "leaky 0.01": (lambda z: F.leaky_relu(z, 0.01), (0.0,), None),
    "leaky 0.1": (lambda z: F.leaky_relu(z, 0.1), (0.0,), None),
    "hard tanh": (F.hardtanh, (-1.0, 1.0), None),
    "clamp": (lambda z: z.clamp(-0.1, 0.4), (-0.1, 0.4), None),
    "squared relu": (lambda z: torch.relu(z) ** 2, (0.0,), None),
    "fourth power": (torch.relu, (0.0,), lambda x, y: (x - y).pow(4)),
    "jump": (lambda z: z * (z > 0.1), (0.1,), None),
    "step": (lambda z: 0.7 * (z > -0.2).to(z), (-0.2,), None),
}


def cost_by_hooks(name: str) -> Cost:
    """Of z and x, from the definition alone."""
    activate, _, error = POLYNOMIAL[name]
    return lambda z, x: (x - activate(z.clone())) ** 2 if error is None else error(x, activate(z.clone()))


def pieces_of(activate: Function, error: Error | None = None) -> Pieces:
    """What is found from the trace."""
    cost = policy_of(model_of(activate, error)).cost
    assert cost is not None
    assert cost.pieces is not None
    return cost.pieces


def pieces_by_name(name: str) -> Pieces:
    activate, _, error = POLYNOMIAL[name]
    return pieces_of(activate, error)
