"""The toy model of superposition: n features are compressed into m dimensions and reconstructed by the same matrix.

    h = W x                      each feature adds its column of W, times its value, to the hidden vector
    z = W^T h + b                what the hidden vector says of each feature
    x' = ReLU(z)                 the reconstruction
    L = mean of (x - x')^2       over examples and features

(Elhage et al. 2022, "Toy Models of Superposition".) `ToyModel` leaves the ReLU open, `ReLUOutputModel` is this one; a
variant (`src/variants.py`) overrides what differs, most often a pointwise hook: `activate(z)`, `target(x)` or
`error(x, x')`. `src/training` trains, `src/objective` computes; axes and symbols are those of `src/__init__.py`.
"""

import torch
from jaxtyping import Float
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from src.errors import require
from src.memory import BYTES, HIDDEN_VECTORS, STATE_COPIES, require_memory
from src.objective import Autograd, Pointwise, ReLUOutput
from src.starts.start import Start, seeds_of
from src.training.divergence import OnDivergence
from src.training.optimizers import adamw
from src.training.stack import Stack


class ToyModel(Stack):
    """A stack of independent models. Instance i is initialised from a seed of its own, W normal and b zero.

    Args:
        n_features: n, the entries of an example.
        n_hidden: m, the dimensions of the hidden space.
        n_instances: models in the stack.
        first_seed: seed of instance 0; instance i has `first_seed` + i.
        init_std: standard deviation of the initial W; None is Xavier's for an m x n matrix, sqrt(2 / (m + n)).
        seeds: a seed for each instance, in place of consecutive ones.
        start: what is done to the W that the seeds give; None leaves them as they are.
        optimizer: makes any torch optimizer that treats every entry of a parameter on its own.
        lr_scheduler: makes a torch scheduler, stepped once per optimizer step.
        certify: how many instances `test` certifies; None is all, or 16 of a model for which each takes long.
        on_divergence: `stop` ends the run when an instance diverges, `freeze` goes on with the others.

    Raises:
        ConfigError: if a size is not positive, a seed negative, or two settings contradict each other.
    """

    computed_by: type[Autograd] = Pointwise

    def __init__(
        self,
        n_features: int,
        n_hidden: int = 2,
        n_instances: int = 1,
        first_seed: int = 0,
        init_std: float | None = None,
        seeds: list[int] | None = None,
        start: Start | None = None,
        optimizer: OptimizerCallable = adamw,
        lr_scheduler: LRSchedulerCallable | None = None,
        on_divergence: OnDivergence = "stop",
        certify: int | None = None,
    ) -> None:
        require(bool(n_features) and n_features >= 1, "model.n_features", n_features, "at least 1")
        require(n_hidden >= 1, "model.n_hidden", n_hidden, "at least 1")
        require_memory("model.n_hidden", n_hidden, BYTES * (STATE_COPIES * n_features + HIDDEN_VECTORS))
        require(init_std is None or init_std > 0, "model.init_std", init_std, "positive, or null for Xavier's")
        start = Start() if start is None else start
        chosen = seeds_of(start, n_instances, first_seed, seeds, BYTES * n_features * (n_hidden + 1))
        super().__init__(chosen, start, optimizer, lr_scheduler, on_divergence)
        self.n_features, self.n_hidden, self.n_certified = n_features, n_hidden, certify
        self.init_std = init_std if init_std is not None else (2 / (n_hidden + n_features)) ** 0.5
        self.W = torch.nn.Parameter(start.initial_W(self))
        self.b = torch.nn.Parameter(torch.zeros(self.n_instances, n_features))
        self.register_buffer("importance", None)  # of each feature's loss, [feature] or [instance, feature]; None is 1

    def initial_weights(self, seed: int) -> Float[Tensor, "hidden feature"]:
        """The W that an instance of this seed starts from, alone or in any stack."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.n_hidden, self.n_features, generator=generator) * self.init_std

    @property
    def columns(self) -> Float[Tensor, "instance hidden feature"]:
        """Where each feature points in the hidden space: what geometry is about, and what pictures show."""
        return self.W

    @property
    def decoder(self) -> Float[Tensor, "instance hidden feature"]:
        """V, whose columns the hidden vector is read along: W itself, or what an untied variant has."""
        return self.W

    def encode(self, x: Float[Tensor, "*instance batch feature"]) -> Float[Tensor, "instance batch hidden"]:
        """h = W x; x may be sparse if all instances share it."""
        return torch.stack([x @ w.mT for w in self.W]) if x.is_sparse else x @ self.W.mT

    def activate(self, z: Float[Tensor, "instance batch feature"]) -> Float[Tensor, "instance batch feature"]:
        """x' from z, entry by entry."""
        raise NotImplementedError(f"{type(self).__name__} must define activate(z)")

    def decode(self, h: Float[Tensor, "instance batch hidden"]) -> Float[Tensor, "instance batch feature"]:
        """The reconstruction x' = activate(V^T h + b), V being the decoder."""
        return self.activate(h @ self.decoder + self.b.unsqueeze(-2))

    def forward(self, x: Float[Tensor, "*instance batch feature"]) -> Float[Tensor, "instance batch feature"]:
        return self.decode(self.encode(x))

    def target(self, x: Float[Tensor, "*instance batch feature"]) -> Float[Tensor, "*instance batch feature"]:
        """What x' should be, entry by entry: x itself."""
        return x

    def error(
        self, x: Float[Tensor, "*instance batch feature"], reconstruction: Float[Tensor, "instance batch feature"]
    ) -> Float[Tensor, "instance batch feature"]:
        """What a wrong reconstruction of the target x costs, entry by entry: its square."""
        return (x - reconstruction).square()

    def feature_losses(
        self, x: Float[Tensor, "*instance batch feature"], weights: Float[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "instance feature"]:
        """The error of each feature: its mean over the batch, or its sum with `weights`."""
        losses = self.objective.feature_losses(x, weights)  # from these hooks, or the same numbers at speed
        return losses if self.importance is None else self.importance * losses


class ReLUOutputModel(ToyModel):
    """x' = ReLU(W^T W x + b), the model of the post and of "Toy Models of Superposition"."""

    computed_by = ReLUOutput

    def activate(self, z: Float[Tensor, "instance batch feature"]) -> Float[Tensor, "instance batch feature"]:
        return torch.relu(z)
