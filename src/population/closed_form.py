"""The population loss of the ReLU output model in closed form, with its gradient and Hessian.

With G = W^T W feature i is reconstructed as ReLU(z), z = G_i . x + b_i, so its loss is

    E[(x_i - z_+)^2] = E[x_i^2] - 2 E[x_i z_+] + E[z_+^2],

a function of row i of G and b_i alone. Integrating a power of z_+ along one x_j,

    int_0^1 (c + a t)_+^r / r! dt = ((c + a)_+^(r+1) - c_+^(r+1)) / ((r+1)! a),

leaves a sum over the corners of the cube, and the kink of the ReLU is met exactly. (These are the box splines of
de Boor, Hoellig and Riemenschneider 1993, "Box Splines".) Where a_j is too small to divide by, z hardly
varies along x_j, and two Gauss nodes take the place of the two corners. For b_i > 0 the corners are those of -z, since
z_+ = z + (-z)_+: then what is summed is no larger than the distance past the kink.

Everything is float64. Averaging the Hessian of single examples would be wrong: a kink that moves over an active x_i
has curvature too, which no example shows.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.distributions.supports import Enumerated, SupportSizes
from src.distributions.values import Values
from src.population.losses import CLOSED_FORM, PopulationLosses

SMALL = 0.003  # of the largest entry of G_i on the support: below it an entry is not divided by
OTHER_SMALL = 0.001  # the same for the second evaluation, which the first one's error is estimated by
GAUSS = ((1 - 3**-0.5) / 2, (1 + 3**-0.5) / 2)
ENTRIES_AT_ONCE = 2**18  # of the largest array, so that temporaries stay in cache
UNSEEN = 1e-11  # of the loss of a model that returns 0: what both evaluations of the closed form may miss alike


class Derivatives(NamedTuple):
    """The population loss of the ReLU output model, mean over features, and its derivatives.

    Parameters are W, row by row, and then b: `parameter` is hidden * feature + feature.
    """

    loss: Float[Tensor, " instance"]
    gradient: Float[Tensor, "instance parameter"]
    hessian: Float[Tensor, "instance parameter parameter"]


@torch.no_grad()
def relu_losses(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    distribution: Enumerated,
    V: Float[Tensor, "instance hidden feature"] | None = None,
    importance: Float[Tensor, "*instance feature"] | None = None,
) -> PopulationLosses:
    """The population loss of x' = ReLU(V^T W x + b) in closed form, by default with V = W.

    With `importance`, each feature's loss is multiplied by its own.

    The error is estimated by a second evaluation that takes fewer entries of W^T W for small. It is no less than 1e-11
    of the loss of a model that returns 0: of a nearly perfect model, whose loss is far below that, it is a large share.
    """
    losses, others = [], []
    for rows in _rows(W, b, V).split(_at_once(distribution)):  # type: ignore[no-untyped-call]
        losses.append(_row_losses(rows, distribution, SMALL))
        others.append(_row_losses(rows, distribution, OTHER_SMALL))
    factor = torch.ones_like(b[0]).double() if importance is None else importance.double()
    feature_losses = factor * torch.cat(losses)
    loss = feature_losses.mean(dim=1)
    of_zero = distribution.n_active / (3 * distribution.n_features) * distribution.values.thrice_mean_square
    unseen = UNSEEN * of_zero * factor.mean(dim=-1)
    error = ((factor * torch.cat(others)).mean(dim=1) - loss).abs() + unseen
    return PopulationLosses(feature_losses, loss, error, CLOSED_FORM)


def relu_derivatives(
    W: Float[Tensor, "instance hidden feature"], b: Float[Tensor, "instance feature"], distribution: Enumerated
) -> Derivatives:
    """The population loss of x' = ReLU(W^T W x + b) with its gradient and Hessian.

    Where the loss is not twice differentiable (b_i = 0, or b_i + G_ij = 0), the Hessian is that of one side.
    """
    size = _at_once(distribution)
    parts = [_derivatives(*part, distribution) for part in zip(W.split(size), b.split(size), strict=True)]  # type: ignore[no-untyped-call]
    return Derivatives(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _at_once(distribution: Enumerated) -> int:
    """Instances whose largest array, the corners of one size of support for every feature, stays in cache."""
    n = distribution.n_features
    largest = max(
        len(distribution.sets(s)) * 2**s for s, probability in enumerate(distribution.size_probabilities) if probability
    )
    return max(1, ENTRIES_AT_ONCE // (n * largest))


def _rows(W: Tensor, b: Tensor, V: Tensor | None = None) -> Float[Tensor, "instance feature column"]:
    """What each feature's loss depends on: its row of V^T W, V = W by default, and its bias behind it."""
    W, b = W.detach().double(), b.detach().double()
    V = W if V is None else V.detach().double()
    return torch.cat([V.mT @ W, b.unsqueeze(-1)], dim=-1)


def _derivatives(W: Tensor, b: Tensor, distribution: Enumerated) -> Derivatives:
    """By the chain rule from the rows (G_i, b_i): each feature's loss depends on its own row alone."""
    W = W.detach().double()
    n_instances, m, n = W.shape
    with torch.inference_mode(False), torch.enable_grad():  # Lightning evaluates in inference mode
        rows = _rows(W, b).requires_grad_()
        losses = _row_losses(rows, distribution, SMALL) / n
        (row_gradient,) = torch.autograd.grad(losses.sum(), rows, create_graph=True)
        columns = [torch.autograd.grad(row_gradient[..., j].sum(), rows, retain_graph=True)[0] for j in range(n + 1)]
    row_gradient, row_hessian = row_gradient.detach(), torch.stack(columns, dim=-1)
    by_G = row_gradient[..., :n]
    both = by_G + by_G.mT  # G_ij = sum_k W_ki W_kj, so dL/dW = W (g + g^T)
    gradient = torch.cat([(W @ both).flatten(1), row_gradient[..., n]], dim=1)

    # d G_ij / d W_kc = [i = c] W_kj + [j = c] W_ki, and b_i is a parameter itself.
    identity = torch.eye(n, dtype=W.dtype, device=W.device)
    jacobian = W.new_zeros(n_instances, n, n + 1, m * n + n)
    of_G = torch.einsum("ic,xkj->xijkc", identity, W) + torch.einsum("jc,xki->xijkc", identity, W)
    jacobian[:, :, :n, : m * n] = of_G.flatten(3)
    jacobian[:, :, n, m * n :] = identity
    hessian = (jacobian.mT @ (row_hessian @ jacobian)).sum(dim=1)
    second = torch.einsum("kl,xcd->xkcld", torch.eye(m, dtype=W.dtype, device=W.device), both)
    hessian[:, : m * n, : m * n] += second.reshape(n_instances, m * n, m * n)
    return Derivatives(losses.detach().sum(dim=1), gradient, (hessian + hessian.mT) / 2)


def _row_losses(
    rows: Float[Tensor, "instance feature column"], distribution: Enumerated, small: float
) -> Float[Tensor, "instance feature"]:
    """Each feature's loss, from its row of G and its bias."""
    a, b = rows[..., :-1], rows[..., -1]
    values, is_positive = distribution.values, b.detach() > 0
    # For b > 0: z_+ = z + (-z)_+, whose first part has moments without a kink.
    x_squared, z_squared, x_z = _smooth_moments(a, b, distribution)
    losses = x_squared + torch.where(is_positive, z_squared - 2 * x_z, 0)
    sign = torch.where(is_positive, -1.0, 1.0).to(rows)
    a, b = sign.unsqueeze(-1) * a, sign * b
    for size, probability in enumerate(distribution.size_probabilities):
        if size > 0 and probability > 0:  # without active features z_+ is now 0
            share = distribution.share(size)
            each = share.to(a) if isinstance(share, Tensor) else None
            mean_square, mean_product = _moments(a, b, distribution.sets(size).to(a.device), values, small, each)
            part = sign * mean_square - 2 * mean_product
            losses = losses + (part if each is not None else share * part)
    return losses


def _smooth_moments(a: Tensor, b: Tensor, distribution: Enumerated) -> tuple[Tensor | float, Tensor, Tensor]:
    """E[x_i^2], E[z^2] and E[x_i z], z = a_i . x + b_i."""
    n, values = distribution.n_features, distribution.values
    own, summed, squared = a.diagonal(dim1=-2, dim2=-1), a.sum(dim=-1), a.square().sum(dim=-1)
    if isinstance(distribution, SupportSizes):
        one, two = distribution.n_active / n, distribution.n_active_pairs / (n * max(n - 1, 1))
        z_squared = b.square() + one * (b * summed + squared / 3) + two / 4 * (summed.square() - squared)
        return one / 3, z_squared, one * (b / 2 + own / 3) + two / 4 * (summed - own)
    together = distribution.together.to(a)
    active = together.diagonal()
    second = together * values.mean**2  # E[x_j x_k]
    second.diagonal().copy_(active * values.thrice_mean_square / 3)
    with_active = a @ second  # [instance, feature, feature], its diagonal E[x_i a_i . x]
    z_squared = b.square() + 2 * values.mean * b * (a @ active) + (with_active * a).sum(dim=-1)
    x_z = values.mean * active * b + with_active.diagonal(dim1=-2, dim2=-1)
    return active * values.thrice_mean_square / 3, z_squared, x_z


def _moments(
    a: Float[Tensor, "instance feature feature"],
    b: Float[Tensor, "instance feature"],
    support: Int[Tensor, "support active"],
    values: Values,
    small: float,
    probabilities: Float[Tensor, " support"] | None = None,
) -> tuple[Float[Tensor, "instance feature"], Float[Tensor, "instance feature"]]:
    """E[z_+^2] and E[x_i z_+], z = a_i . x + b_i, summed over supports of a size, with their probabilities if given.

    Along each active feature two corners: the ends of its values, with coefficients -1/a_j and 1/a_j over their
    distance and one more integration of the power, or Gauss's two nodes with weights 1/2 where a_j is small. (One, with
    weight 1, where there is one value.) With e integrations the power is z_+^r / r!,

        E[z_+^2] = 2 sum c P_(2+e),   E[x_i z_+] = sum c (v_i P_(1+e) - P_(2+e) / a_i),   P_r = z_+^r / r!,

    over corners v with coefficients c; the last term is absent where a_i is small.
    """
    n, size = a.shape[-1], support.shape[1]
    A = a[..., support]  # [instance, feature, support, active]
    magnitude = A.detach().abs()
    is_large = (magnitude > small * magnitude.amax(dim=-1, keepdim=True)) & (values.width > 0)
    inverse = torch.where(is_large, 1 / torch.where(is_large, values.width * A, 1), 0)
    if values.width > 0:
        nodes = [values.low + values.width * node for node in GAUSS]
        ends = [torch.where(is_large, end, node).to(A) for end, node in zip(values[:2], nodes, strict=True)]
        coefficients = [torch.where(is_large, inverse * end, 0.5) for end in (-1, 1)]
    else:
        ends, coefficients = [torch.full_like(A, values.high)], [torch.ones_like(A)]
    z, c = b[..., None, None].expand(*A.shape[:-1], 1), A.new_ones(())
    for j in range(size):
        z = torch.cat([z + (A * end)[..., j : j + 1] for end in ends], dim=-1)
        c = torch.cat([c * coefficient[..., j : j + 1] for coefficient in coefficients], dim=-1)
    z = torch.relu(z)
    power = 1.0 + is_large.sum(dim=-1, keepdim=True).to(A)
    P = z.pow(power) * torch.exp(-torch.lgamma(power + 1))
    next_P = P * z / (power + 1)

    features = torch.arange(n, device=a.device).view(n, 1, 1)
    is_own = support == features  # [feature, support, active]
    place = is_own.long().argmax(dim=-1)
    corner = torch.arange(len(ends) ** size, device=a.device)
    is_end = (corner >> place.unsqueeze(-1) & 1).to(A)  # at which corners x_i is at its second node

    def of_own(t: Tensor) -> Tensor:
        return t.gather(-1, place.unsqueeze(-1).expand(*t.shape[:-1], 1))

    v = of_own(ends[0]) + is_end * of_own(ends[-1] - ends[0])
    own_inverse = of_own(inverse) * values.width  # d/dx of a power of z brings a_i, not the width
    product = (c * (v * P - own_inverse * next_P)).sum(dim=-1) * is_own.any(dim=-1)
    if probabilities is None:
        return 2 * (c * next_P).sum(dim=(-2, -1)), product.sum(dim=-1)
    return 2 * (c * next_P).sum(dim=-1) @ probabilities, product @ probabilities
