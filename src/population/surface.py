"""The population loss as a function of a model's parameters, with derivatives, to find stationary points by."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.distributions.supports import Enumerated
from src.population.closed_form import Rows, at_once, row_derivatives, rows_of
from src.population.derivatives import Derivatives, RowDerivatives, over_parameters
from src.population.grouped import GROUPED_FROM
from src.population.losses import CLOSED_FORM, QUADRATURE
from src.population.pieces import RELU, Pieces
from src.population.row_quadrature import RowQuadrature

N_AT_ONCE = 128
AT_KINK, JUST = 1e-9, 1e-15  # of z; below it, relative to 1 or the kink
ROTATION, SCALING = "rotation", "scaling"
Points = Float[Tensor, "instance parameter"]


class Errors(NamedTuple):
    """Of each point's loss and of the eigenvalues of its Hessian."""

    loss: Float[Tensor, " instance"]
    hessian: Float[Tensor, " instance"]


def difference(fine: Derivatives, coarse: Derivatives) -> Errors:
    """How far a coarser rule is off."""
    by_norm = torch.linalg.matrix_norm(fine.hessian - coarse.hessian, ord=2)
    return Errors((fine.loss - coarse.loss).abs(), by_norm)


class Surface(ABC):
    """A population loss over the parameters of one instance, which stand in a row: W, row by row, b and further ones.

    Attributes:
        shapes: of each parameter, by name and in order.
        method: how losses are found: closed form or quadrature.
        gradient_norm: below it a point is stationary, as far as the gradient is known.
        n_at_once: so many points are best asked for together.
    """

    method = CLOSED_FORM
    gradient_norm = 1e-11
    n_at_once = N_AT_ONCE

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)

    @abstractmethod
    def derivatives(self, points: Points, instances: Int[Tensor, " instance"]) -> Derivatives:
        """Loss, gradient and Hessian, each point's as one of this instance."""

    def errors(self, points: Points, instances: Int[Tensor, " instance"]) -> Errors:
        """How far the loss and eigenvalues of the Hessian may be off, beyond roundings."""
        return Errors(torch.zeros_like(points[:, 0]), torch.zeros_like(points[:, 0]))

    def below_kinks(self, points: Points, instances: Int[Tensor, " instance"]) -> Derivatives:
        """The same where the loss has no second derivative: of the side on which every z at a kink is below it."""
        return self.derivatives(points, instances)

    def kink_weight(self, points: Points, instances: Int[Tensor, " instance"]) -> Float[Tensor, " instance"]:
        """The probability of examples at a kink, as far as kinks are known."""
        return torch.zeros_like(points[:, 0])

    def flatten(self, parameters: Mapping[str, Tensor]) -> Points:
        """Stacks of parameters as rows, float64."""
        return torch.cat([parameters[name].detach().flatten(1) for name in self.shapes], dim=1).double()

    def unflatten(self, points: Points) -> dict[str, Tensor]:
        """Rows as stacks of parameters."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        parts = points.split(sizes, dim=1)  # type: ignore[no-untyped-call]
        return {name: own.unflatten(1, shape) for (name, shape), own in zip(self.shapes.items(), parts, strict=True)}

    def turned_towards(self, start: Points, points: Points) -> Points:
        """Points of the same loss, as near to their starts as symmetry brings them."""
        return points

    def symmetries(self, points: Points) -> dict[str, Float[Tensor, "instance direction parameter"]]:
        """Directions along which symmetry leaves the loss as it is, by kind; some may be 0 or depend on others."""
        return {}


class PointwiseSurface(Surface):
    """That of a model whose answer is a function of z = V^T W x + b entry by entry, V = W where it has no V.

    Args:
        shapes: of W, and of b and V where they are parameters.
        pieces: what an answer costs; None where it is no polynomial, and then
        rule: integrates it.
        b: where it is no parameter, of every instance.
        importance: of each feature's loss.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        distribution: Enumerated,
        pieces: Pieces | None = RELU,
        rule: RowQuadrature | None = None,
        b: Float[Tensor, "instance feature"] | None = None,
        importance: Float[Tensor, "*instance feature"] | None = None,
    ) -> None:
        super().__init__(shapes)
        self.distribution, self.pieces, self.rule = distribution, pieces, rule
        self.b, self.importance = b, importance
        self.n_at_once = min(N_AT_ONCE, 4 * at_once(distribution))  # so that progress shows
        if pieces is None:
            self.n_at_once = min(self.n_at_once, N_AT_ONCE // 4)
            assert rule is not None
            self.method, self.gradient_norm = QUADRATURE, 1e-10

    def derivatives(self, points: Points, instances: Int[Tensor, " instance"]) -> Derivatives:
        return self._derivatives(points, instances, False)

    def below_kinks(self, points: Points, instances: Int[Tensor, " instance"]) -> Derivatives:
        return self._derivatives(points, instances, False, self._kinks)

    def errors(self, points: Points, instances: Int[Tensor, " instance"]) -> Errors:
        if self.pieces is not None and self.distribution.n_features < GROUPED_FROM:
            return super().errors(points, instances)
        return difference(*(self._derivatives(points, instances, is_check) for is_check in (False, True)))

    def kink_weight(self, points: Points, instances: Int[Tensor, " instance"]) -> Float[Tensor, " instance"]:
        """Of examples in which no active feature moves some z from its kink; where values are always one, of any."""
        rows, kinks = self._rows(points, instances), self._kinks
        total, law = torch.zeros_like(points[:, 0]), self.distribution
        for size, probability in enumerate(law.size_probabilities):
            if probability == 0 or not kinks or (size == 0 and self.b is not None):
                continue  # of an empty example z is b: where that stays as it is, so does z
            sets, share = law.sets(size), law.share(size)
            weights = share.to(rows) if isinstance(share, Tensor) else rows.new_full((len(sets),), share)
            own = rows[..., :-1][..., sets]  # [instance, feature, support, active]
            is_fixed = law.values.width == 0
            z = rows[..., -1:] + law.values.high * own.sum(dim=-1) * is_fixed
            stays = (own.abs() <= AT_KINK).all(dim=-1) | is_fixed
            is_at = torch.stack([(z - kink).abs() <= AT_KINK for kink in kinks]).any(dim=0) & stays
            total = total + is_at.any(dim=1).double() @ weights
        return total

    def turned_towards(self, start: Points, points: Points) -> Points:
        """By the rotation or reflection of the hidden space that brings them nearest (Schoenemann 1966)."""
        found, target = self.unflatten(points), self.unflatten(start)
        own = [name for name in ("W", "V") if name in found]
        left, _, right = torch.linalg.svd(sum(target[name] @ found[name].mT for name in own))
        return self.flatten(found | {name: left @ right @ found[name] for name in own})

    def symmetries(self, points: Points) -> dict[str, Float[Tensor, "instance direction parameter"]]:
        """Rotations, W -> R W and V -> R V; of an untied pair also W -> M W, V -> M^-1 V, M symmetric: scalings."""
        found = self.unflatten(points)
        m = found["W"].shape[1]
        units = torch.eye(m * m, dtype=points.dtype).view(m, m, m, m)  # of one entry each
        planes = list(itertools.combinations(range(m), 2))
        rotations = self._along(found, [units[other, k] - units[k, other] for k, other in planes], 1.0)
        if "V" not in found:
            return {ROTATION: rotations}
        symmetric = [units[k, k] for k in range(m)] + [units[k, other] + units[other, k] for k, other in planes]
        return {ROTATION: rotations, SCALING: self._along(found, symmetric, -1.0)}

    def _along(
        self, found: dict[str, Tensor], matrices: list[Tensor], of_V: float
    ) -> Float[Tensor, "instance direction parameter"]:
        """How the parameters change where dW = A W and dV = +- A V, for each A."""
        factors = {"W": 1.0, "V": of_V}
        still = {name: torch.zeros_like(own) for name, own in found.items()}
        moved = [
            {name: factor * (A @ found[name]) for name, factor in factors.items() if name in found} for A in matrices
        ]
        directions = [self.flatten(still | own) for own in moved]
        n_parameters = sum(math.prod(shape) for shape in self.shapes.values())
        return torch.stack(directions, dim=1) if directions else found["W"].new_zeros(len(found["W"]), 0, n_parameters)

    def _derivatives(
        self, points: Points, instances: Tensor, is_check: bool, below: Sequence[float] = ()
    ) -> Derivatives:
        found, rows = self.unflatten(points), below_kinks(self._rows(points, instances), below)
        importance = self.importance
        if importance is not None and importance.dim() == 2:
            importance = importance[instances]
        parts = [self._by_row(part, is_check) for part in rows.split(at_once(self.distribution))]  # type: ignore[no-untyped-call]
        by_row = RowDerivatives(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
        loss, gradient, hessian = over_parameters(by_row, found["W"], found.get("V"), importance)
        if self.b is not None:  # which stays as it is
            place = math.prod(self.shapes["W"])
            kept = [k for k in range(gradient.shape[1]) if not place <= k < place + rows.shape[1]]
            gradient, hessian = gradient[:, kept], hessian[:, kept][:, :, kept]
        return Derivatives(loss, gradient, hessian)

    @property
    def _kinks(self) -> Sequence[float]:
        jumps = self.pieces or (self.rule.jumps if self.rule else None)
        return jumps.kinks if jumps else ()

    def _rows(self, points: Points, instances: Tensor) -> Rows:
        found = self.unflatten(points)
        return rows_of(found["W"], found["b"] if self.b is None else self.b[instances], found.get("V"))

    def _by_row(self, rows: Tensor, is_check: bool) -> RowDerivatives:
        if self.pieces is not None:
            return row_derivatives(rows, self.distribution, self.pieces, is_check)
        assert self.rule is not None
        return self.rule.derivatives(rows, is_check)


def below_kinks(rows: Rows, kinks: Sequence[float]) -> Rows:
    """Where the bias is at a kink: just below it, with entries of 0 where they are as good as 0.

    So the Hessian is that of one side, whatever the roundings.
    """
    for kink in kinks:
        is_at = ((rows[..., -1:] - kink).abs() <= AT_KINK).expand_as(rows)
        lower = torch.where(rows.abs() <= AT_KINK, 0.0, rows)
        lower = torch.cat([lower[..., :-1], torch.full_like(rows[..., -1:], kink - JUST * max(1.0, abs(kink)))], dim=-1)
        rows = torch.where(is_at, lower, rows)
    return rows
