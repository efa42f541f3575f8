"""The objective of models whose output is a function of one number an entry: the kernel's loss and gradient."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from src.objective import kernel, loss_and_gradient
from src.objective.autograd import Autograd, constants_of
from src.objective.kernel import Policy


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

    def _serves(self, V: Tensor | None) -> bool:
        return kernel.serves(self.model.W, self.policy, V)
