"""The spectrum of a Hessian, without the directions in which symmetry says that nothing changes, and the verdict.

Rotating the hidden space changes no reconstruction: each of its m (m - 1) / 2 planes is a direction without curvature
wherever W spans it, and is set apart from the others, so that one more flat direction shows.
"""

import itertools
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

MINIMUM, SADDLE, DEGENERATE, NOT_STATIONARY = ("minimum", "saddle", "degenerate", "not stationary")
FLAT = 1e-6  # an eigenvalue is zero below this share of the largest


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
