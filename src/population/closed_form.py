"""The population loss in closed form, of models whose answer is a function of z = V^T W x + b entry by entry.

What an answer costs has to be a polynomial in z and x between kinks (`pieces.py`): so it is for ReLU, leaky ReLU, hard
tanh, squared ReLU and no activation at all, with the squared error or another even power. Feature i's loss,

    E[c(z_i, x_i)],   z_i = G_i . x + b_i,   G = V^T W,

is a function of row i of G and b_i alone: means of powers of z (`smooth.py`), and of its powers beyond a kink, sums
over corners (`corners.py`, `grouped.py`).

Everything is float64. Averaging the Hessian of single examples would be wrong: a kink that moves over an active x_i
has curvature too, which no example shows.
"""

from collections.abc import Mapping
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.supports import Enumerated
from src.population import grouped
from src.population.corners import corner_means
from src.population.derivatives import Derivatives, RowDerivatives, over_parameters
from src.population.losses import CLOSED_FORM, PopulationLosses
from src.population.pieces import RELU, Pieces, Polynomial, Term
from src.population.smooth import smooth_means

SMALL = 0.003  # of the largest entry of G_i on the support: below it an entry is not divided by
OTHER_SMALL = 0.001  # the same for the second evaluation, which the first one's error is estimated by
ENTRIES_AT_ONCE = 2**18  # of the largest array, so that temporaries stay in cache
UNSEEN = 1e-11  # of the loss of a model whose z is 0: what both evaluations of the closed form may miss alike

Columns = Float[Tensor, "instance hidden feature"]
Rows = Float[Tensor, "instance feature column"]  # of G, and the bias behind


@torch.no_grad()
def exact_losses(
    W: Columns,
    b: Float[Tensor, "instance feature"],
    distribution: Enumerated,
    V: Columns | None = None,
    importance: Float[Tensor, "*instance feature"] | None = None,
    pieces: Pieces = RELU,
) -> PopulationLosses:
    """The population loss in closed form, by default of x' = ReLU(V^T W x + b), V = W, with the squared error.

    With `importance`, each feature's loss is multiplied by its own.

    The error is estimated by a second evaluation that takes fewer entries of V^T W for small. It is no less than 1e-11
    of the loss of a model whose z is 0, or 1e-10 from 8 independent features on: of a nearly perfect model, whose loss
    is far below that, it is a large share.
    """
    losses, others = [], []
    for rows in rows_of(W, b, V).split(at_once(distribution)):  # type: ignore[no-untyped-call]
        losses.append(row_losses(rows, distribution, pieces))
        others.append(row_losses(rows, distribution, pieces, is_check=True))
    factor = torch.ones_like(b[0]).double() if importance is None else importance.double()
    feature_losses = factor * torch.cat(losses)
    loss = feature_losses.mean(dim=1)
    nothing = torch.zeros_like(rows_of(W[:1], b[:1]))
    of_zero = row_losses(nothing, distribution, pieces)[0]
    unseen = UNSEEN if _grouped_p(distribution) is None else grouped.UNSEEN
    error = ((factor * torch.cat(others)).mean(dim=1) - loss).abs() + unseen * (factor * of_zero).mean(dim=-1)
    return PopulationLosses(feature_losses, loss, error, CLOSED_FORM)


def exact_derivatives(
    W: Columns,
    b: Float[Tensor, "instance feature"],
    distribution: Enumerated,
    V: Columns | None = None,
    importance: Float[Tensor, "*instance feature"] | None = None,
    pieces: Pieces = RELU,
) -> Derivatives:
    """The same loss with its gradient and Hessian in W, b and, if it is given, V.

    Where the loss is not twice differentiable (b_i at a kink, or b_i + G_ij), the Hessian is that of one side.
    """
    rows = rows_of(W, b, V)
    parts = [row_derivatives(part, distribution, pieces) for part in rows.split(at_once(distribution))]  # type: ignore[no-untyped-call]
    by_row = RowDerivatives(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    return over_parameters(by_row, W, V, importance)


def at_once(distribution: Enumerated) -> int:
    """Instances whose largest array, the corners of one size of support for every feature, stays in cache."""
    n = distribution.n_features
    if _grouped_p(distribution) is not None:
        return max(1, ENTRIES_AT_ONCE // (n * n * 2 ** (n - 1)))
    sizes = [s for s, probability in enumerate(distribution.size_probabilities) if probability]
    largest = max((len(distribution.sets(s)) * 2**s for s in sizes), default=1)
    return max(1, ENTRIES_AT_ONCE // (n * largest))


def _grouped_p(distribution: Enumerated) -> float | None:
    """The probability of a feature, where corners are summed as in `grouped.py`."""
    many = distribution.n_features >= grouped.GROUPED_FROM
    return grouped.probability_if_independent(distribution) if many else None


def rows_of(W: Columns, b: Float[Tensor, "instance feature"], V: Columns | None = None) -> Rows:
    """What each feature's loss depends on: its row of V^T W, V = W by default, and its bias behind it."""
    W, b = W.detach().double(), b.detach().double()
    V = W if V is None else V.detach().double()
    return torch.cat([V.mT @ W, b.unsqueeze(-1)], dim=-1)


def row_derivatives(rows: Rows, distribution: Enumerated, pieces: Pieces, is_check: bool = False) -> RowDerivatives:
    """Each feature's loss with its derivatives in its own row."""
    with torch.inference_mode(False), torch.enable_grad():  # Lightning evaluates in inference mode
        rows = rows.clone().requires_grad_()
        n = rows.shape[1]
        losses = row_losses(rows, distribution, pieces, is_check) / n
        if not losses.requires_grad:
            zeros = torch.zeros_like(rows)
            return RowDerivatives(losses, zeros, zeros.unsqueeze(-1).expand(*zeros.shape, n + 1))
        (gradient,) = torch.autograd.grad(losses.sum(), rows, create_graph=True)
        columns = [torch.autograd.grad(gradient[..., j].sum(), rows, retain_graph=True)[0] for j in range(n + 1)]
    return RowDerivatives(losses.detach(), gradient.detach(), torch.stack(columns, dim=-1))


def row_losses(
    rows: Rows, distribution: Enumerated, pieces: Pieces, is_check: bool = False
) -> Float[Tensor, "instance feature"]:
    """Each feature's loss, from its row of G and its bias; differentiable.

    Args:
        is_check: take other entries for small, which shows the error.
    """
    a, b = rows[..., :-1], rows[..., -1]
    lowest = pieces.polynomials[0]
    losses = torch.zeros_like(b) + _weighed(lowest, smooth_means(a, b, distribution, lowest))
    for kink, jump in pieces.jumps():
        losses = _beyond(losses, jump, a, b - kink if kink else b, distribution, is_check)
    return losses


def _beyond(losses: Tensor, jump: Polynomial, a: Tensor, b: Tensor, distribution: Enumerated, is_check: bool) -> Tensor:
    """Add the mean of a polynomial of z and x that is there beyond z = 0 alone.

    For b > 0 it is added everywhere and taken away before 0, u_+^r = u^r - (-1)^r (-u)_+^r: so what is summed is no
    larger than the distance past the kink.
    """
    values, is_positive = distribution.values, b.detach() > 0
    everywhere = torch.zeros_like(b) + _weighed(jump, smooth_means(a, b, distribution, jump))
    losses = losses + torch.where(is_positive, everywhere, 0)
    sign = torch.where(is_positive, -1.0, 1.0).to(b)
    a, b = sign.unsqueeze(-1) * a, sign * b
    p = _grouped_p(distribution)
    if p is not None:
        small = grouped.OTHER_SMALL if is_check else grouped.SMALL
        return losses + _weighed(jump, _with_sign(grouped.grouped_means(a, b, p, small, list(jump)), sign))
    small = OTHER_SMALL if is_check else SMALL
    for size, probability in enumerate(distribution.size_probabilities):
        if size > 0 and probability > 0:  # without active features z_+ is now 0
            share = distribution.share(size)
            each = share.to(a) if isinstance(share, Tensor) else None
            means = corner_means(a, b, distribution.sets(size).to(a.device), values, small, list(jump), each)
            part = _weighed(jump, _with_sign(means, sign))
            losses = losses + (part if each is not None else share * part)
    return losses


def _with_sign(means: Mapping[Term, Tensor], sign: Tensor) -> dict[Term, Tensor]:
    """Where z has changed its sign: u^r has too, and what was added is taken away."""
    return {(r, q): own if r % 2 else sign * own for (r, q), own in means.items()}


def _weighed(polynomial: Polynomial, means: Mapping[Term, Tensor | float]) -> Tensor | float:
    """The mean of a polynomial, from those of its terms."""
    parts = [factor * means[term] for term, factor in polynomial.items()]
    return reduce(lambda total, part: total + part, parts) if parts else 0.0
