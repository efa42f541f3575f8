"""The population loss, with its derivatives, of models whose answer is any function of z = V^T W x + b entry by entry.

Where the cost c(z, x) is smooth in z, Gauss's nodes converge faster than any power of their number. A kink in z would
spoil that: in the cube of examples its place is another for every model and feature. So what jumps at a kink up to the
fourth derivative, (z - kink)_+^r x^q, is taken from the closed form. Nodes are for the rest, which has four continuous
derivatives.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.supports import Enumerated
from src.population.closed_form import UNSEEN, Rows, row_derivatives, row_losses
from src.population.derivatives import RowDerivatives
from src.population.jumps import Cost
from src.population.losses import QUADRATURE, PopulationLosses
from src.population.pieces import Pieces
from src.population.quadrature import MAX_POINTS, REFINEMENT, n_nodes_of_size, nodes_of_size

_Value = Callable[[Tensor, Tensor, Tensor], Tensor]  # of rows on examples with weights

TOLERANCE = 1e-10  # relative, of losses, and so many times that
LESS = 100.0  # of their second derivatives
MAX_NODES = 2**18  # of a rule
N_TRIED = 8  # instances that the rule is chosen by
ENTRIES_AT_ONCE = 2**18


class RowQuadrature:
    """A quadrature rule for a cost, fine enough for some models.

    Args:
        cost: c(z, x), entry by entry, in float64; differentiable twice.
        jumps: what jumps in it, as a cost that is 0 before all kinks; without kinks where it is smooth.
        rows: of models such as those that are integrated.
    """

    def __init__(
        self, cost: Cost, jumps: Pieces, distribution: Enumerated, rows: Rows, max_nodes: int = MAX_NODES
    ) -> None:
        self.cost, self.jumps, self.distribution = cost, jumps, distribution
        sizes = range(1, distribution.n_features + 1)
        self.sizes = [size for size in sizes if distribution.size_probabilities[size] > 0]
        chosen = rows[torch.linspace(0, len(rows) - 1, min(N_TRIED, len(rows))).long()]
        self.points = self._refined(chosen[chosen.flatten(1).isfinite().all(dim=1)], max_nodes)
        self.coarser = {size: max(1, math.floor(n / REFINEMENT)) for size, n in self.points.items()}

    def losses(self, rows: Rows, importance: Float[Tensor, "*instance feature"] | None = None) -> PopulationLosses:
        """The losses; the error is how far a coarser rule is off, which overstates it.

        With `importance`, each feature's loss is multiplied by its own.
        """
        fine, coarse = (self._sum(rows, points, self._losses_on)[..., 0] for points in (self.points, self.coarser))
        factor = torch.ones_like(fine[0]) if importance is None else importance.double()
        exact = row_losses(rows, self.distribution, self.jumps)
        error = (factor * (fine - coarse)).mean(dim=1).abs() + UNSEEN * (factor * (fine.abs() + exact.abs())).mean(
            dim=1
        )
        feature_losses = factor * (fine + exact)
        return PopulationLosses(feature_losses, feature_losses.mean(dim=1), error, QUADRATURE)

    def derivatives(self, rows: Rows, is_coarse: bool = False) -> RowDerivatives:
        """Each feature's share of the loss with its derivatives in its own row."""
        n = rows.shape[1]
        found = self._sum(rows, self.coarser if is_coarse else self.points, self._derivatives_on) / n
        losses, gradient, hessian = found.split([1, n + 1, (n + 1) ** 2], dim=-1)  # type: ignore[no-untyped-call]
        own = RowDerivatives(losses.squeeze(-1), gradient, hessian.unflatten(-1, (n + 1, n + 1)))
        if not self.jumps.kinks:
            return own
        exact = row_derivatives(rows, self.distribution, self.jumps)
        return RowDerivatives(*(a + b for a, b in zip(own, exact, strict=True)))

    def _refined(self, rows: Rows, max_nodes: int) -> dict[int, int]:
        """Points along an axis for each size: the size whose last refinement has changed most is refined."""
        points, changes = dict.fromkeys(self.sizes, 2), dict.fromkeys(self.sizes, math.inf)
        if not len(rows):
            return points
        n = rows.shape[1]
        parts = {size: self._part(rows, size, 2, self._derivatives_on) for size in self.sizes}
        exact = row_derivatives(rows, self.distribution, self.jumps)
        while sum(changes.values()) > TOLERANCE:
            total = sum(parts.values(), torch.zeros(()))
            scale = torch.full_like(total[0, 0], float((total[..., 0] / n + exact.losses).max()) * n)
            # Of all second derivatives, for the first ones too, of which less is asked.
            scale[1:] = float((total[..., n + 2 :] / n + exact.hessian.flatten(2)).abs().max()) * n / LESS
            finer = {size: math.ceil(REFINEMENT * points[size]) for size in self.sizes}
            others = sum(self._count(size, n) for size, n in points.items())
            size = max(
                (s for s, n in finer.items() if n <= MAX_POINTS and others + self._count(s, n) <= max_nodes),
                key=changes.__getitem__,
                default=None,
            )
            if size is None or changes[size] * len(self.sizes) <= TOLERANCE:
                break
            part = self._part(rows, size, finer[size], self._derivatives_on)
            changes[size] = float(((part - parts[size]).abs() / scale).max())
            parts[size], points[size] = part, finer[size]
        return points

    def _count(self, size: int, n_points: int) -> int:
        return n_nodes_of_size(self.distribution, size, n_points)

    def _sum(self, rows: Rows, points: dict[int, int], value_on: _Value) -> Tensor:
        parts = [self._part(rows, size, n_points, value_on) for size, n_points in points.items()]
        if self.distribution.size_probabilities[0] > 0:
            parts.append(self._part(rows, 0, 1, value_on))
        return sum(parts, torch.zeros(()))

    def _part(self, rows: Rows, size: int, n_points: int, value_on: _Value) -> Tensor:
        """The part with so many active features, of as many instances at a time as stay in cache."""
        parts = []
        for x, weights in nodes_of_size(self.distribution, size, n_points):
            at_once = max(1, ENTRIES_AT_ONCE // (len(x) * rows.shape[1]))
            few = rows.split(at_once)  # type: ignore[no-untyped-call]
            parts.append(torch.cat([value_on(own, x.to(rows), weights.to(rows)) for own in few]))
        return sum(parts, torch.zeros(()))

    def _losses_on(self, rows: Rows, x: Tensor, weights: Tensor) -> Float[Tensor, "instance feature 1"]:
        z = rows[..., :-1] @ x.mT + rows[..., -1:]
        return (self._rest(z, x.mT)[0] @ weights).unsqueeze(-1)

    def _derivatives_on(self, rows: Rows, x: Tensor, weights: Tensor) -> Float[Tensor, "instance feature value"]:
        """The loss, its first and its second derivatives in the row, one after the other."""
        with_one = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)  # the bias's column
        pairs = (with_one.unsqueeze(2) * with_one.unsqueeze(1)).flatten(1)
        value, slope, curvature = self._rest(rows @ with_one.mT, x.mT, has_derivatives=True)
        by = ((value, weights.new_ones(len(x), 1)), (slope, with_one), (curvature, pairs))
        return torch.cat([(own * weights) @ columns for own, columns in by], dim=-1)

    def _rest(self, z: Tensor, x: Float[Tensor, "feature batch"], has_derivatives: bool = False) -> list[Tensor]:
        """The cost without what jumps in it, [instance, feature, batch], and if asked its two derivatives in z."""
        found = []
        with torch.inference_mode(False), torch.set_grad_enabled(has_derivatives):
            z = z.clone().requires_grad_(has_derivatives)
            found.append(self.cost(z, x.clone()))
            for _ in range(2 * has_derivatives):
                last = found[-1]
                has_slope = last.requires_grad
                found.append(torch.autograd.grad(last.sum(), z, create_graph=True)[0] if has_slope else z * 0)
        found, z = [own.detach() for own in found], z.detach()
        for kink, jump in self.jumps.jumps():
            u = torch.relu(z - kink)
            is_past = (z > kink).to(z)
            for (r, q), factor in jump.items():
                for k in range(min(r, len(found) - 1) + 1):  # the k-th derivative of u_+^r
                    power = u ** (r - k) if r > k else is_past
                    found[k] = found[k] - factor * math.perm(r, k) * power * x**q
        return found
