"""Stationary points of a model's population loss, near given weights.

A run that ends is near a stationary point, not at one: the optimizer takes noisy steps and weight decay pulls.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.population.derivatives import Derivatives
from src.population.surface import Points, Surface
from src.theory.spectra import FLAT, spectra

REACH = 0.25  # how far a stationary point may lie, in the space of all parameters together
TRUST = 0.1  # the longest step
N_STEPS = 60  # at most


class Stationary(NamedTuple):
    """Stationary points, or the given ones where none was found."""

    points: Points
    is_stationary: Bool[Tensor, " instance"]


def nearest_stationary(
    start: Points,
    surface: Surface,
    instances: Int[Tensor, " instance"],
    reach: float = REACH,
    here: Derivatives | None = None,
) -> Stationary:
    """The nearer of two stationary points: where Newton's method leads, and where descent does.

    Newton's method finds a saddle as well as a minimum. Near a minimum it may still run off to a saddle where the
    Hessian at the given weights has a negative eigenvalue; so then the loss is descended from there too.

    Args:
        here: the derivatives at the start, where they are known.
    """
    point, is_stationary, there = _search(start, surface, instances, reach, descend=False, here=here)
    doubtful = ~is_stationary | (spectra(there.hessian, surface.symmetries(point)).n_negative > 0)
    point = surface.turned_towards(start, point)
    rows = doubtful.nonzero().flatten()
    if len(rows):
        lower, found = search(start[rows], surface, instances[rows], reach, descend=True)
        lower = surface.turned_towards(start[rows], lower)
        farther = (point[rows] - start[rows]).norm(dim=1) <= (lower - start[rows]).norm(dim=1)
        better = found & ~(is_stationary[rows] & farther)
        point[rows[better]] = lower[better]
        is_stationary[rows[better]] = True
    return Stationary(torch.where(is_stationary.unsqueeze(1), point, start), is_stationary)


def search(
    start: Points,
    surface: Surface,
    instances: Int[Tensor, " instance"],
    reach: float,
    descend: bool,
    n_steps: int = N_STEPS,
) -> tuple[Points, Bool[Tensor, " instance"]]:
    """Newton steps no longer than a trust radius, each accepted only if it lowers the gradient's norm, or the loss.

    Returns: the points, and which of them are stationary and within reach.
    """
    point, is_stationary, _ = _search(start, surface, instances, reach, descend, n_steps)
    return point, is_stationary


def _search(
    start: Points,
    surface: Surface,
    instances: Int[Tensor, " instance"],
    reach: float,
    descend: bool,
    n_steps: int = N_STEPS,
    here: Derivatives | None = None,
) -> tuple[Points, Bool[Tensor, " instance"], Derivatives]:
    """The same with the derivatives there."""

    def merit(derivatives: Derivatives) -> Tensor:
        return derivatives.loss if descend else derivatives.gradient.norm(dim=1)

    point, radius = start.clone(), torch.full_like(start[:, 0], TRUST)
    now = surface.derivatives(point, instances) if here is None else Derivatives(*(own.clone() for own in here))
    enough = surface.gradient_norm
    for _ in range(n_steps):
        moving = (now.gradient.norm(dim=1) > enough) & ((point - start).norm(dim=1) <= reach) & (radius > 1e-12)
        rows = moving.nonzero().flatten()
        if not len(rows):
            break
        old = Derivatives(*(tensor[rows] for tensor in now))
        step = _newton_step(old, descend)
        length = step.norm(dim=1)
        step *= (radius[rows] / length).clamp(max=1).unsqueeze(1)
        new = surface.derivatives(point[rows] + step, instances[rows])
        is_lower = merit(new) < merit(old)
        if descend:  # where losses differ by rounding alone
            is_lower |= (new.loss - old.loss < 1e-14 * old.loss) & (new.gradient.norm(dim=1) < old.gradient.norm(dim=1))
        accepted = rows[is_lower]
        point[accepted] += step[is_lower]
        for tensor, values in zip(now, new, strict=True):
            tensor[accepted] = values[is_lower]
        radius[rows] = torch.where(is_lower, (2 * radius[rows]).clamp(max=TRUST), step.norm(dim=1) / 4)
    is_near = (point - start).norm(dim=1) <= reach
    return point, (now.gradient.norm(dim=1) <= enough) & is_near, now


def _newton_step(at: Derivatives, descend: bool) -> Float[Tensor, "instance parameter"]:
    """-H^-1 g on the directions that have curvature; with |H| in place of H, downhill (Dauphin et al. 2014)."""
    eigenvalues, directions = torch.linalg.eigh(at.hessian)
    curvature = eigenvalues.abs() if descend else eigenvalues
    has_curvature = eigenvalues.abs() > FLAT * eigenvalues.abs().amax(dim=1, keepdim=True)
    along = torch.einsum("ipe,ip->ie", directions, at.gradient)
    return -torch.einsum("ipe,ie->ip", directions, torch.where(has_curvature, along / curvature, 0))
