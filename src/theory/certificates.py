"""Where a trained ReLU output model is in the landscape of its population loss: at a minimum, a saddle, or neither.

The stationary point near by is solved for, and the spectrum of the Hessian there gives the verdict.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.distributions.supports import Enumerated
from src.population.closed_form import relu_derivatives, relu_losses
from src.theory.spectra import NOT_STATIONARY, classify, spectra
from src.theory.stationary import REACH, flatten, nearest_stationary

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
    distribution: Enumerated,
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
    return in_order(parts, list(range(len(W))))


def in_order(parts: Sequence[Certificates], instances: Sequence[int]) -> Certificates:
    """Certificates of some instances after those of others, joined in the order of their numbers."""
    *tensors, verdicts = zip(*parts, strict=True)
    order = torch.tensor(instances).argsort()
    verdict: list[str] = list(itertools.chain(*verdicts))
    return Certificates(*(torch.cat(own)[order] for own in tensors), [verdict[k] for k in order.tolist()])  # type: ignore[call-arg, arg-type]


def _certify(W: Tensor, b: Tensor, distribution: Enumerated, reach: float) -> Certificates:
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
