"""Where a trained ReLU output model is in the landscape of its population loss: at a minimum, a saddle, or neither.

A run that ends is near a stationary point, not at one: the optimizer takes noisy steps and weight decay pulls. So the
stationary point near by is solved for, and the spectrum of the Hessian there gives the verdict. Rotating the hidden
space changes no reconstruction: each of its m (m - 1) / 2 planes is a direction without curvature wherever W spans it,
and is set apart from the others, so that one more flat direction shows.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.closed_form import Derivatives, relu_derivatives, relu_losses
from src.population import SparseDistribution

MINIMUM, SADDLE, DEGENERATE, NOT_STATIONARY = ("minimum", "saddle", "degenerate", "not stationary")

REACH = 0.25  # how far a stationary point may lie, in the space of W and b together
GRADIENT_NORM = 1e-11  # below it a point is stationary
FLAT = 1e-6  # an eigenvalue is zero below this share of the largest
TRUST = 0.1  # the longest step
N_STEPS = 60  # at most
N_AT_ONCE = 128  # instances between two reports of progress


class Certificates(NamedTuple):
    """What is known of each instance. P parameters: W row by row, then b.

    Attributes:
        loss, loss_error, gradient_norm: at the given weights.
        W, b: a stationary point near by, if one was found (not always the nearest: see `nearest_stationary`), with
        distance: from the given weights, and
        stationary_loss, stationary_gradient_norm: there.
        eigenvalues: of the Hessian there, ascending, without those of rotations.
        n_rotations: how many rotations move W; their eigenvalues are zero by symmetry.
        n_zero_modes: zero eigenvalues, those of rotations among them.
        n_negative: eigenvalues below zero.
        min_eigenvalue: the smallest that is not zero; NaN if all are.
        verdicts: `minimum`, `saddle`, `degenerate` (no negative eigenvalue, but more zeros than rotations), or `not
            stationary`, and then the spectrum is that of the given weights.
    """

    loss: Float[Tensor, " instance"]
    loss_error: Float[Tensor, " instance"]
    gradient_norm: Float[Tensor, " instance"]
    W: Float[Tensor, "instance hidden feature"]
    b: Float[Tensor, "instance feature"]
    distance: Float[Tensor, " instance"]
    stationary_loss: Float[Tensor, " instance"]
    stationary_gradient_norm: Float[Tensor, " instance"]
    eigenvalues: Float[Tensor, "instance eigenvalue"]
    n_rotations: Int[Tensor, " instance"]
    n_zero_modes: Int[Tensor, " instance"]
    n_negative: Int[Tensor, " instance"]
    min_eigenvalue: Float[Tensor, " instance"]
    verdicts: list[str]


def certify(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    distribution: SparseDistribution,
    reach: float = REACH,
    on_progress: Callable[[int], None] = lambda n_done: None,
) -> Certificates:
    """A certificate for every instance of x' = ReLU(W^T W x + b).

    Args:
        reach: how far from the weights a stationary point is looked for.
        on_progress: called with the number of instances that have been certified since it was last called.
    """
    parts = []
    for part in zip(W.split(N_AT_ONCE), b.split(N_AT_ONCE), strict=True):  # type: ignore[no-untyped-call]
        parts.append(_certify(*part, distribution, reach))
        on_progress(len(part[0]))
    *tensors, verdicts = zip(*parts, strict=True)
    return Certificates(*map(torch.cat, tensors), list(itertools.chain(*verdicts)))  # type: ignore[call-arg, arg-type]


def _certify(W: Tensor, b: Tensor, distribution: SparseDistribution, reach: float) -> Certificates:
    losses, start = relu_losses(W, b, distribution), flatten(W, b)
    here = relu_derivatives(W, b, distribution)
    point = nearest_stationary(W, b, distribution, reach)
    at = relu_derivatives(point.W, point.b, distribution)
    spectrum = spectra(point.W, at.hessian)
    found = zip(point.is_stationary.tolist(), classify(spectrum), strict=True)
    verdicts = [verdict if is_stationary else NOT_STATIONARY for is_stationary, verdict in found]
    return Certificates(
        losses.loss,
        losses.error,
        here.gradient.norm(dim=1),
        point.W,
        point.b,
        (flatten(point.W, point.b) - start).norm(dim=1),
        at.loss,
        at.gradient.norm(dim=1),
        *spectrum,
        verdicts,
    )


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
    distribution: SparseDistribution,
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
    distribution: SparseDistribution,
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


# The spectrum.


class Spectra(NamedTuple):
    """See `Certificates`."""

    eigenvalues: Float[Tensor, "instance eigenvalue"]
    n_rotations: Int[Tensor, " instance"]
    n_zero_modes: Int[Tensor, " instance"]
    n_negative: Int[Tensor, " instance"]
    min_eigenvalue: Float[Tensor, " instance"]


def rotation_directions(
    W: Float[Tensor, "instance hidden feature"],
) -> Float[Tensor, "instance rotation parameter"]:
    """How W and b change under a turn in each plane of two hidden dimensions: dW = A W with antisymmetric A, db = 0."""
    n_instances, m, n = W.shape
    planes = list(itertools.combinations(range(m), 2))
    directions = W.new_zeros(n_instances, len(planes), m * n + n)
    for r, (k, other) in enumerate(planes):
        directions[:, r, k * n : (k + 1) * n] = -W[:, other]
        directions[:, r, other * n : (other + 1) * n] = W[:, k]
    return directions


def classify(spectrum: Spectra) -> list[str]:
    """The verdict on each stationary point."""
    numbers = zip(
        *(t.tolist() for t in (spectrum.n_negative, spectrum.n_zero_modes, spectrum.n_rotations)), strict=True
    )
    return [
        SADDLE if negative else DEGENERATE if zeros > rotations else MINIMUM for negative, zeros, rotations in numbers
    ]


def spectra(
    W: Float[Tensor, "instance hidden feature"], hessian: Float[Tensor, "instance parameter parameter"]
) -> Spectra:
    """Eigenvalues of the Hessian on what is orthogonal to all rotations, and how many are zero or negative.

    Where W does not span the hidden space, fewer rotations move it; then the last eigenvalues are padded with NaN so
    that the stack stays rectangular.
    """
    n_parameters = hessian.shape[-1]
    _, sizes, basis = torch.linalg.svd(rotation_directions(W), full_matrices=False)
    moves = sizes > FLAT * sizes.amax(dim=1, keepdim=True).clamp(min=1e-12) if sizes.shape[1] else sizes > 0
    n_rotations = moves.sum(dim=1)
    basis = basis * moves.unsqueeze(-1)
    rotations = basis.mT @ basis
    across = torch.eye(n_parameters, dtype=hessian.dtype) - rotations
    largest = torch.linalg.eigvalsh(hessian).abs().amax(dim=1)
    # Rotations are moved above all other eigenvalues, and left out.
    apart = across @ hessian @ across + 4 * (largest.clamp(min=1e-300))[:, None, None] * rotations
    eigenvalues = torch.linalg.eigvalsh(apart)
    kept = torch.arange(n_parameters) < (n_parameters - n_rotations).unsqueeze(1)
    is_zero = kept & (eigenvalues.abs() <= FLAT * largest.unsqueeze(1))
    smallest = eigenvalues.masked_fill(~kept | is_zero, torch.inf).amin(dim=1)
    return Spectra(
        eigenvalues.masked_fill(~kept, torch.nan),
        n_rotations,
        n_rotations + is_zero.sum(dim=1),
        (kept & ~is_zero & (eigenvalues < 0)).sum(dim=1),
        smallest.masked_fill(smallest.isinf(), torch.nan),
    )
