"""The spectrum of a Hessian, its zeros by their reasons, and the verdict.

A direction has no curvature where

    symmetry moves nothing that the loss sees: rotations of the hidden space, m (m - 1) / 2 of them, fewer where W does
        not span it; of an untied pair also its scalings, W -> M W and V -> M^-1 V,
    a parameter does nothing there: the bias of an answer that is never on, a weight behind a neuron that is never on,
    or the loss is flat for real.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.population.surface import ROTATION

MINIMUM, SADDLE, DEGENERATE, NOT_STATIONARY = ("minimum", "saddle", "degenerate", "not stationary")
UNDECIDED = "undecided"
FLAT = 1e-6  # an eigenvalue is zero below this share of the largest


class Spectra(NamedTuple):
    """See `Certificates`."""

    eigenvalues: Float[Tensor, "instance eigenvalue"]
    n_rotations: Int[Tensor, " instance"]
    n_scalings: Int[Tensor, " instance"]
    n_dead: Int[Tensor, " instance"]
    n_zero_modes: Int[Tensor, " instance"]
    n_negative: Int[Tensor, " instance"]
    n_unsure: Int[Tensor, " instance"]
    min_eigenvalue: Float[Tensor, " instance"]


def classify(spectrum: Spectra) -> list[str]:
    """The verdict on each stationary point."""
    explained = spectrum.n_rotations + spectrum.n_scalings
    numbers = zip(
        *(t.tolist() for t in (spectrum.n_negative, spectrum.n_unsure, spectrum.n_zero_modes, explained)), strict=True
    )
    return [
        SADDLE if negative else UNDECIDED if unsure else DEGENERATE if zeros > symmetric else MINIMUM
        for negative, unsure, zeros, symmetric in numbers
    ]


def spectra(
    hessian: Float[Tensor, "instance parameter parameter"],
    symmetries: Mapping[str, Float[Tensor, "instance direction parameter"]],
    error: Float[Tensor, " instance"] | None = None,
) -> Spectra:
    """Eigenvalues of the Hessian on what is orthogonal to all symmetries, and how many are zero or negative.

    Where fewer symmetries move the point than elsewhere, the last eigenvalues are padded with NaN so that the stack
    stays rectangular.

    Args:
        symmetries: directions without curvature, by kind; rotations before others.
        error: of eigenvalues: one that is no farther from zero has no sign, unless it counts as zero.
    """
    n_parameters = hessian.shape[-1]
    directions = torch.cat([*symmetries.values()], dim=1) if symmetries else hessian[:, :0]
    basis, n_symmetric = _spanned(directions)
    n_rotations = _spanned(symmetries[ROTATION])[1] if ROTATION in symmetries else torch.zeros_like(n_symmetric)
    projector = basis.mT @ basis
    across = torch.eye(n_parameters, dtype=hessian.dtype) - projector
    largest = torch.linalg.eigvalsh(hessian).abs().amax(dim=1)
    # What symmetry explains is moved above all other eigenvalues, and left out.
    apart = across @ hessian @ across + 4 * (largest.clamp(min=1e-300))[:, None, None] * projector
    eigenvalues = torch.linalg.eigvalsh(apart)
    kept = torch.arange(n_parameters) < (n_parameters - n_symmetric).unsqueeze(1)
    is_zero = kept & (eigenvalues.abs() <= FLAT * largest.unsqueeze(1))
    is_unsure = torch.zeros_like(is_zero)
    if error is not None:
        is_unsure = kept & ~is_zero & (eigenvalues.abs() <= error.unsqueeze(1))
        is_unsure |= is_zero & (error > FLAT * largest).unsqueeze(1)
    smallest = eigenvalues.masked_fill(~kept | is_zero, torch.inf).amin(dim=1)
    does_nothing = hessian.abs().amax(dim=2) <= FLAT * largest.unsqueeze(1)
    return Spectra(
        eigenvalues.masked_fill(~kept, torch.nan),
        n_rotations,
        n_symmetric - n_rotations,
        torch.minimum(does_nothing.sum(dim=1), is_zero.sum(dim=1)),
        n_symmetric + is_zero.sum(dim=1),
        (kept & ~is_zero & ~is_unsure & (eigenvalues < 0)).sum(dim=1),
        is_unsure.sum(dim=1),
        smallest.masked_fill(smallest.isinf(), torch.nan),
    )


def _spanned(
    directions: Float[Tensor, "instance direction parameter"],
) -> tuple[Float[Tensor, "instance direction parameter"], Int[Tensor, " instance"]]:
    """An orthonormal basis of what the directions span, filled up with zeros, and its dimension."""
    if directions.shape[1] == 0:
        return directions, torch.zeros(len(directions), dtype=torch.int64)
    _, sizes, basis = torch.linalg.svd(directions, full_matrices=False)
    moves = sizes > FLAT * sizes.amax(dim=1, keepdim=True).clamp(min=1e-12)
    return basis * moves.unsqueeze(-1), moves.sum(dim=1)
