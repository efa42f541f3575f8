"""Where a trained model is in the landscape of its population loss: at a minimum, a saddle, or neither.

The stationary point near by is solved for, and the spectrum of the Hessian there gives the verdict.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.population.surface import Points, Surface
from src.theory.spectra import NOT_STATIONARY, SADDLE, UNDECIDED, classify, spectra
from src.theory.stationary import REACH, nearest_stationary


class Certificates(NamedTuple):
    """What is known of each instance. P parameters: W row by row, then b, then further ones.

    Attributes:
        loss, gradient_norm: at the given weights.
        points: a stationary point near by, if one was found (not always the nearest: see `nearest_stationary`), with
        distance: from the given weights, and
        stationary_loss, stationary_gradient_norm: there.
        kink_weight: the probability of examples that stand at a kink there, for which the loss has no second
            derivative: then the Hessian is that of the side on which z is below the kink.
        stationary_loss_error, hessian_error: how far the loss and eigenvalues there may be off; 0 where they are exact
            but for roundings.
        eigenvalues: of the Hessian there, ascending, without those that symmetry explains.
        n_rotations, n_scalings: how many directions of either kind move the point; their eigenvalues are zero.
        n_dead: parameters that do nothing there.
        n_zero_modes: zero eigenvalues, all of these among them.
        n_negative: eigenvalues below zero.
        n_unsure: eigenvalues whose sign the error leaves open.
        min_eigenvalue: the smallest that is not zero; NaN if all are.
        verdicts: `minimum`, `saddle`, `degenerate` (no negative eigenvalue, but more zeros than symmetry explains),
            `undecided` (none is negative for sure, and the error leaves a sign open), or `not stationary`, and then the
            spectrum is that of the given weights.
    """

    loss: Float[Tensor, " instance"]
    gradient_norm: Float[Tensor, " instance"]
    points: Points
    distance: Float[Tensor, " instance"]
    stationary_loss: Float[Tensor, " instance"]
    stationary_gradient_norm: Float[Tensor, " instance"]
    kink_weight: Float[Tensor, " instance"]
    stationary_loss_error: Float[Tensor, " instance"]
    hessian_error: Float[Tensor, " instance"]
    eigenvalues: Float[Tensor, "instance eigenvalue"]
    n_rotations: Int[Tensor, " instance"]
    n_scalings: Int[Tensor, " instance"]
    n_dead: Int[Tensor, " instance"]
    n_zero_modes: Int[Tensor, " instance"]
    n_negative: Int[Tensor, " instance"]
    n_unsure: Int[Tensor, " instance"]
    min_eigenvalue: Float[Tensor, " instance"]
    verdicts: list[str]


def certify(
    start: Points,
    surface: Surface,
    instances: Int[Tensor, " instance"] | None = None,
    reach: float = REACH,
    on_progress: Callable[[int], None] = lambda n_done: None,
) -> Certificates:
    """A certificate for every instance, over a surface of its loss.

    Args:
        start: the given weights, as `surface.flatten` makes them.
        instances: which of the surface's instances they are; by default the first, the second and so on.
        reach: how far from the weights a stationary point is looked for.
        on_progress: called with the number of instances that have been certified since it was last called.
    """
    instances = torch.arange(len(start)) if instances is None else instances
    parts = []
    for part, own in zip(start.split(surface.n_at_once), instances.split(surface.n_at_once), strict=True):  # type: ignore[no-untyped-call]
        parts.append(_certify(part, surface, own, reach))
        on_progress(len(part))
    return in_order(parts, list(range(len(start))))


def in_order(parts: Sequence[Certificates], instances: Sequence[int]) -> Certificates:
    """Certificates of some instances after those of others, joined in the order of their numbers."""
    *tensors, verdicts = zip(*parts, strict=True)
    order = torch.tensor(instances).argsort()
    verdict: list[str] = list(itertools.chain(*verdicts))
    return Certificates(*(torch.cat(own)[order] for own in tensors), [verdict[k] for k in order.tolist()])  # type: ignore[call-arg, arg-type]


def _certify(start: Points, surface: Surface, instances: Tensor, reach: float) -> Certificates:
    is_finite = start.isfinite().all(dim=1)
    start = torch.where(is_finite.unsqueeze(1), start, 0.0)  # of an instance that diverged nothing is known
    here = surface.derivatives(start, instances)
    points, is_stationary = nearest_stationary(start, surface, instances, reach, here)
    at = surface.derivatives(points, instances)
    errors = surface.errors(points, instances)
    weight = surface.kink_weight(points, instances)
    at_kink = (weight > 0).nonzero().flatten()
    symmetries = surface.symmetries(points)
    as_it_is = classify(spectra(at.hessian, symmetries, errors.hessian)) if len(at_kink) else []
    if len(at_kink):
        at.hessian[at_kink] = surface.below_kinks(points[at_kink], instances[at_kink]).hessian
    spectrum = spectra(at.hessian, symmetries, errors.hessian)
    verdicts = classify(spectrum)
    for i in at_kink.tolist():
        if SADDLE == verdicts[i] != as_it_is[i]:  # on one side alone
            verdicts[i] = UNDECIDED
    found = zip((is_stationary & is_finite).tolist(), verdicts, strict=True)
    return Certificates(
        here.loss,
        here.gradient.norm(dim=1),
        points,
        (points - start).norm(dim=1),
        at.loss,
        at.gradient.norm(dim=1),
        weight,
        *errors,
        *spectrum,
        [verdict if stationary else NOT_STATIONARY for stationary, verdict in found],
    )
