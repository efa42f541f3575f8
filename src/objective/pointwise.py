"""The objective of models whose output is a function of one number an entry: the kernel's loss and gradient."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.examples import Sample
from src.distributions.supports import Enumerated
from src.objective import kernel, loss_and_gradient
from src.objective.autograd import Autograd, constants_of
from src.objective.kernel import Policy
from src.population import closed_form
from src.population.jumps import jumps_at
from src.population.losses import PopulationLosses
from src.population.piecewise import Piecewise
from src.population.quadrature import TOLERANCE
from src.population.row_quadrature import RowQuadrature
from src.population.surface import Points, PointwiseSurface, Surface


class Pointwise(Autograd):
    """Computes x' = activate(V^T W x + b) with any pointwise error, V being the model's `decoder`.

    Args:
        model: a `ToyModel`.
        policy: its hooks written out for the kernel; None for the post's ReLU and squared error.
    """

    def __init__(self, model: Any, policy: Policy | None = None) -> None:
        super().__init__(model, "")
        self.policy = policy
        self._constants = constants_of(model)

    @property
    def description(self) -> str:
        if not self.has_threads:
            return f"{'tensor operations' if self._serves(self._decoder) else 'autograd'}, without the kernel"
        own = [] if self._decoder is None else ["own decoder"]
        words = ", ".join(["kernel", *own, *([f"policy {self.policy.name}"] if self.policy else [])])
        return f"{words}: {self.why}" if self.why else words

    @property
    def has_threads(self) -> bool:
        return kernel.serves(self.model.W, self.policy, self._decoder)

    @property
    def is_stale(self) -> bool:
        return self.policy is not None and self._constants != constants_of(self.model)

    @property
    def text(self) -> str:
        return self.policy.text if self.policy else ""

    @property
    def _decoder(self) -> Tensor | None:
        """Where it is not W: then it is not given, and its gradient is part of W's."""
        return None if self.model.decoder is self.model.W else self.model.decoder

    def feature_losses(
        self, x: Float[Tensor, "*instance batch feature"], weights: Float[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "instance feature"]:
        return loss_and_gradient.feature_losses(self.model.W, self.model.b, x, weights, self._decoder, self.policy)

    def set_gradients(
        self,
        x: Float[Tensor, "*instance batch feature"],
        out: Float[Tensor, "instance feature"] | None = None,
        weights: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        W, b, V, importance = self.model.W, self.model.b, self._decoder, self.model.importance
        if not (V is None or V.is_leaf) or not self._serves(V):
            return super().set_gradients(x, out, weights)
        c = None if importance is None else (importance / b.shape[-1]).expand_as(b)
        losses, *gradients = loss_and_gradient.losses_and_gradients(W, b, x, weights, c, out, V, self.policy)
        for parameter, gradient in zip((W, b, V), gradients, strict=False):
            if parameter.requires_grad:
                parameter.grad = gradient
        return losses if importance is None else losses.mul_(importance)

    def losses(
        self,
        x: Float[Tensor, "batch feature"],
        weights: Float[Tensor, " batch"] | None = None,
        instances: list[int] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        chosen = slice(None) if instances is None else instances
        V = self._decoder
        if not self._serves(V):
            return super().losses(x, weights, instances)
        tensors = (self.model.W[chosen], self.model.b[chosen], x, weights, None if V is None else V[chosen])
        losses = loss_and_gradient.losses_alone(*tensors, self.policy)
        importance = self.model.importance
        return losses if importance is None else losses * importance.expand_as(self.model.b)[chosen]

    @torch.no_grad()
    def losses_over(self, population: Enumerated | Sample, instances: list[int] | None = None) -> PopulationLosses:
        cost, chosen, V = self.cost, slice(None) if instances is None else instances, self._decoder
        if isinstance(population, Sample) or cost is None:
            return super().losses_over(population, instances)
        W, b, V = self.model.W[chosen], self.model.b[chosen], None if V is None else V[chosen]
        importance = self.model.importance
        if importance is not None and importance.dim() == 2:
            importance = importance[chosen]
        if cost.pieces is not None:
            return closed_form.exact_losses(W, b, population, V, importance, cost.pieces)
        try:
            found = self._rule(cost, population, rows := closed_form.rows_of(W, b, V)).losses(rows, importance)
        except ValueError:
            return super().losses_over(population, instances)
        known = found.loss.isfinite()
        if bool((found.error <= TOLERANCE * found.loss)[known].all()):
            return found
        other = super().losses_over(population, instances)  # where a bend is as good as a kink
        return min(found, other, key=lambda own: float(own.error[known].max()))

    def surface(self, distribution: Enumerated) -> Surface:
        known, cost = self._roles(), self.cost
        free = {role: tuple(own.shape[1:]) for role, own in known.items() if own.requires_grad}
        are_known = {id(own) for own in known.values()} == {id(own) for own in self.model.parameters()}
        if cost is None or not are_known or set(known) - set(free) - {"b"}:
            return super().surface(distribution)
        on_cpu = {role: own.detach().cpu() for role, own in known.items()}
        rule, fixed = None, None if "b" in free else on_cpu["b"].double()
        if cost.pieces is None:
            rows = closed_form.rows_of(on_cpu["W"], on_cpu["b"], on_cpu.get("V"))
            try:
                rule = self._rule(cost, distribution, rows)
                found = rule.losses(rows)
            except ValueError:
                return super().surface(distribution)
            if not bool((found.error <= TOLERANCE * found.loss)[found.loss.isfinite()].all()):
                return super().surface(distribution)
        importance = None if self.model.importance is None else self.model.importance.cpu()
        return PointwiseSurface(free, distribution, cost.pieces, rule, fixed, importance)

    def points(self, surface: Surface) -> Points:
        is_own = isinstance(surface, PointwiseSurface)
        return surface.flatten(self._roles()).cpu() if is_own else super().points(surface)

    def _roles(self) -> dict[str, Tensor]:
        return {"W": self.model.W, "b": self.model.b} | ({} if self._decoder is None else {"V": self._decoder})

    @property
    def cost(self) -> Piecewise | None:
        """What an answer costs: its kinks, and its polynomials between them; None if its kinks are not known."""
        return self.policy.cost if self.policy else None

    def _rule(self, cost: Piecewise, distribution: Enumerated, rows: closed_form.Rows) -> RowQuadrature:
        assert self.policy is not None
        jumps = jumps_at(self.policy.term, cost.kinks, distribution.values)
        return RowQuadrature(self.policy.term, jumps, distribution, rows)

    def _serves(self, V: Tensor | None) -> bool:
        return kernel.serves(self.model.W, self.policy, V)
