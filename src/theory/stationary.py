"""Stationary points of the ReLU output model's population loss, near given weights.

A run that ends is near a stationary point, not at one: the optimizer takes noisy steps and weight decay pulls.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from src.distributions.supports import Enumerated
from src.population.closed_form import Derivatives, relu_derivatives
from src.theory.spectra import FLAT, spectra

REACH = 0.25  # how far a stationary point may lie, in the space of W and b together
GRADIENT_NORM = 1e-11  # below it a point is stationary
TRUST = 0.1  # the longest step
N_STEPS = 60  # at most


def flatten(
    W: Float[Tensor, "instance hidden feature"], b: Float[Tensor, "instance feature"]
) -> Float[Tensor, "instance parameter"]:
    """All parameters in one row, float64."""
    return torch.cat([W.detach().flatten(1), b.detach()], dim=1).double()


def unflatten(
    point: Float[Tensor, "instance parameter"], n_features: int
) -> tuple[Float[Tensor, "instance hidden feature"], Float[Tensor, "instance feature"]]:
    W = point[:, :-n_features]
    return W.reshape(len(W), W.shape[1] // n_features, n_features), point[:, -n_features:]


# A stationary point near by.


class Stationary(NamedTuple):
    """Stationary points, or the given weights where none was found."""

    W: Float[Tensor, "instance hidden feature"]
    b: Float[Tensor, "instance feature"]
    is_stationary: Bool[Tensor, " instance"]


def nearest_stationary(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    distribution: Enumerated,
    reach: float = REACH,
) -> Stationary:
    """The nearer of two stationary points: where Newton's method leads, and where descent does.

    Newton's method finds a saddle as well as a minimum. Near a minimum it may still run off to a saddle where the
    Hessian at the given weights has a negative eigenvalue; so then the loss is descended from there too.
    """
    start, n_features = flatten(W, b), b.shape[1]
    point, is_stationary = search(start, n_features, distribution, reach, descend=False)
    point = turned_towards(start, point, n_features)
    hessian = relu_derivatives(*unflatten(point, n_features), distribution).hessian
    doubtful = ~is_stationary | (spectra(unflatten(point, n_features)[0], hessian).n_negative > 0)
    rows = doubtful.nonzero().flatten()
    if len(rows):
        lower, found = search(start[rows], n_features, distribution, reach, descend=True)
        lower = turned_towards(start[rows], lower, n_features)
        farther = (point[rows] - start[rows]).norm(dim=1) <= (lower - start[rows]).norm(dim=1)
        better = found & ~(is_stationary[rows] & farther)
        point[rows[better]] = lower[better]
        is_stationary[rows[better]] = True
    point = torch.where(is_stationary.unsqueeze(1), point, start)
    return Stationary(*unflatten(point, n_features), is_stationary)


def turned_towards(
    start: Float[Tensor, "instance parameter"], point: Float[Tensor, "instance parameter"], n_features: int
) -> Float[Tensor, "instance parameter"]:
    """The rotation or reflection of each point that is nearest to its start (Schoenemann 1966): as good a point."""
    (W, b), (target, _) = unflatten(point, n_features), unflatten(start, n_features)
    left, _, right = torch.linalg.svd(target @ W.mT)
    return flatten(left @ right @ W, b)


def search(
    start: Float[Tensor, "instance parameter"],
    n_features: int,
    distribution: Enumerated,
    reach: float,
    descend: bool,
    n_steps: int = N_STEPS,
) -> tuple[Float[Tensor, "instance parameter"], Bool[Tensor, " instance"]]:
    """Newton steps no longer than a trust radius, each accepted only if it lowers the gradient's norm, or the loss."""

    def at(point: Tensor) -> Derivatives:
        return relu_derivatives(*unflatten(point, n_features), distribution)

    def merit(derivatives: Derivatives) -> Tensor:
        return derivatives.loss if descend else derivatives.gradient.norm(dim=1)

    point, radius = start.clone(), torch.full_like(start[:, 0], TRUST)
    now = at(point)
    for _ in range(n_steps):
        moving = (now.gradient.norm(dim=1) > GRADIENT_NORM) & ((point - start).norm(dim=1) <= reach) & (radius > 1e-12)
        rows = moving.nonzero().flatten()
        if not len(rows):
            break
        old = Derivatives(*(tensor[rows] for tensor in now))
        step = _newton_step(old, descend)
        length = step.norm(dim=1)
        step *= (radius[rows] / length).clamp(max=1).unsqueeze(1)
        new = at(point[rows] + step)
        is_lower = merit(new) < merit(old)
        if descend:  # where losses differ by rounding alone
            is_lower |= (new.loss - old.loss < 1e-14 * old.loss) & (new.gradient.norm(dim=1) < old.gradient.norm(dim=1))
        accepted = rows[is_lower]
        point[accepted] += step[is_lower]
        for tensor, values in zip(now, new, strict=True):
            tensor[accepted] = values[is_lower]
        radius[rows] = torch.where(is_lower, (2 * radius[rows]).clamp(max=TRUST), step.norm(dim=1) / 4)
    is_near = (point - start).norm(dim=1) <= reach
    return point, (now.gradient.norm(dim=1) <= GRADIENT_NORM) & is_near


def _newton_step(at: Derivatives, descend: bool) -> Float[Tensor, "instance parameter"]:
    """-H^-1 g on the directions that have curvature; with |H| in place of H, downhill (Dauphin et al. 2014)."""
    eigenvalues, directions = torch.linalg.eigh(at.hessian)
    curvature = eigenvalues.abs() if descend else eigenvalues
    has_curvature = eigenvalues.abs() > FLAT * eigenvalues.abs().amax(dim=1, keepdim=True)
    along = torch.einsum("ipe,ip->ie", directions, at.gradient)
    return -torch.einsum("ipe,ie->ip", directions, torch.where(has_curvature, along / curvature, 0))
