"""The population loss of any model as a function of its parameters: by quadrature, from what its hooks compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.distributions.supports import Enumerated
from src.objective.symmetries import linear_symmetries
from src.population.derivatives import Derivatives
from src.population.losses import QUADRATURE
from src.population.quadrature import n_quadrature_nodes, quadrature_nodes
from src.population.surface import Errors, Points, Surface, difference

TOLERANCES = (1e-5, 1e-4, 1e-3)  # relative, of a loss: the finest whose rule has no more than
MAX_NODES = 2**17
COARSER = 10.0  # times the tolerance: the rule that shows the error
STEP = 1e-2  # of central differences: far more than how far apart nodes are in z
CAUTION = 4.0  # times what a coarser rule is off
ENTRIES_AT_ONCE = 2**23  # examples, features and copies of an instance together
N_AT_ONCE = 4


class HookSurface(Surface):
    """That of a model of which nothing is known but its gradient.

    The Hessian is the difference of gradients at either side of a point. That of single examples, averaged, would lack
    the curvature of kinks that move over examples.

    Args:
        objective: what computes the model, an `Autograd`, and
        by_hooks: the plain one.

    Raises:
        ValueError: if an instance cannot be computed without the others.
    """

    method = QUADRATURE
    n_at_once = N_AT_ONCE

    def __init__(self, objective: Any, distribution: Enumerated, by_hooks: Any = None) -> None:
        self.objective, self.model = objective, objective.model
        if not objective.treats_instances_alone:
            raise ValueError("does not compute an instance without the others")
        named = self.model.named_parameters()
        super().__init__({name: tuple(own.shape[1:]) for name, own in named if own.requires_grad})
        tolerance = next((t for t in TOLERANCES if n_quadrature_nodes(distribution, t) <= MAX_NODES), TOLERANCES[-1])
        self.tolerance = tolerance
        self.fine, self.coarse = (quadrature_nodes(distribution, t) for t in (tolerance, COARSER * tolerance))
        start = self.flatten(dict(self.model.named_parameters()))[:N_AT_ONCE]
        (_, one), (_, other) = (self._gradients(start, torch.arange(len(start)), x) for x in (self.fine, self.coarse))
        self.gradient_norm = max(self.gradient_norm, float((one - other).norm(dim=1).max()))
        self._generators = linear_symmetries(self.model, distribution.values, by_hooks)

    def derivatives(self, points: Points, instances: Int[Tensor, " instance"]) -> Derivatives:
        loss, gradient = self._gradients(points, instances, self.fine)
        return Derivatives(loss, gradient, self._both_sides(points, instances, self.fine, STEP)[0])

    def errors(self, points: Points, instances: Int[Tensor, " instance"]) -> Errors:
        """By a coarser rule and twice the step; and by how the two sides of a point differ, which at a kink they do."""
        loss, gradient = self._gradients(points, instances, self.coarse)
        coarse = Derivatives(loss, gradient, self._both_sides(points, instances, self.coarse, 2 * STEP)[0])
        found = difference(self.derivatives(points, instances), coarse)
        near, far = (self._both_sides(points, instances, self.fine, k * STEP)[1] for k in (1, 2))
        # Where there is no kink, the sides differ in proportion to the step.
        by_sides = torch.linalg.matrix_norm(2 * near - far, ord=2)
        by_rule = torch.maximum(CAUTION * found.loss, self.tolerance * coarse.loss)  # two rules may agree by chance
        return Errors(by_rule, CAUTION * found.hessian + by_sides)

    def kink_weight(self, points: Points, instances: Int[Tensor, " instance"]) -> Float[Tensor, " instance"]:
        """NaN: kinks are not known."""
        return torch.full_like(points[:, 0], torch.nan)

    def symmetries(self, points: Points) -> dict[str, Float[Tensor, "instance direction parameter"]]:
        found = self.unflatten(points)
        moved = {kind: [self.flatten(move(found)) for move in every] for kind, every in self._generators.items()}
        return {kind: torch.stack(own, dim=1) for kind, own in moved.items() if own}

    def _both_sides(self, points: Points, instances: Tensor, nodes: Any, step: float) -> tuple[Tensor, Tensor]:
        """The Hessians by central differences, and those ahead less those behind."""
        moves = step * torch.eye(points.shape[1], dtype=points.dtype)
        rows, sides = [], []
        for point, instance in zip(points, instances, strict=True):
            beside = torch.cat([point + moves, point - moves, point.unsqueeze(0)])
            _, gradients = self._gradients(beside, instance.expand(len(beside)), nodes)
            ahead, behind, here = gradients.split([len(moves), len(moves), 1])  # type: ignore[no-untyped-call]
            rows.append((ahead - behind) / (2 * step))
            sides.append((ahead + behind - 2 * here) / step)
        hessian = torch.stack(rows)
        return (hessian + hessian.mT) / 2, torch.stack(sides)

    def _gradients(self, points: Points, instances: Tensor, nodes: Any) -> tuple[Tensor, Tensor]:
        """Losses and gradients, of as many points at a time as memory has room for."""
        x, weights = nodes
        size = max(1, ENTRIES_AT_ONCE // (len(x) * self.model.n_features))
        losses, gradients = [], []
        for some, own in zip(points.split(size), instances.split(size), strict=True):  # type: ignore[no-untyped-call]
            with torch.inference_mode(False), torch.enable_grad(), self._at(some, own):
                losses.append(self.objective.set_gradients(x.clone(), weights=weights.clone()).mean(dim=1))
                named = {name: t for name, t in self.model.named_parameters() if name in self.shapes}
                zero = {name: torch.zeros_like(t) if t.grad is None else t.grad for name, t in named.items()}
                gradients.append(self.flatten(zero))
        return torch.cat(losses), torch.cat(gradients)

    @contextmanager
    def _at(self, points: Points, instances: Tensor) -> Iterator[None]:
        """The model, in double precision, with one instance for each point."""
        found = {name: own.clone() for name, own in self.unflatten(points).items()}
        parameters, buffers = dict(self.model.named_parameters()), [*self.model.buffers()]
        saved = [(own, own.data, own.grad) for own in parameters.values()]
        numbers = [(own, own.data) for own in buffers if own.is_floating_point()]
        try:
            for name, own in parameters.items():
                own.grad = None
                own.data = found[name] if name in found else own.data[instances].to(points)
            for own, data in numbers:
                own.data = data.to(points)
            yield
        finally:
            for own, data, grad in saved:
                own.data, own.grad = data, None
                own.grad = grad
            for own, data in numbers:
                own.data = data
