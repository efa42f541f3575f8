"""Stacks of toy models of superposition as LightningModules.

`ToyModel` owns what every variant shares: the weights of all instances, their seeds, the optimizer, and the loop that
takes one Lightning batch through many optimizer steps. A variant overrides `encode`, `decode` or `feature_losses`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from inspect import Parameter, signature
from typing import Any

import torch
from jaxtyping import Float
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from src import fused, objective
from src.closed_form import relu_losses
from src.draws import N_SEEDS
from src.errors import ConfigError, NonFiniteError, require
from src.memory import require_memory
from src.metrics import PopulationLoss
from src.population import Chunk, PopulationLosses, Sample, SparseDistribution, integrate
from src.schedules import WarmupCosine
from src.streams import Repeated

# Optimizers whose step mixes the entries of a parameter, so that an instance would feel its neighbours.
COUPLING_OPTIMIZERS = (torch.optim.LBFGS, torch.optim.Adafactor)
HOOKS = ("encode", "decode", "forward", "feature_losses")  # the methods that make a variant's loss
MAX_ENTRIES = 2**18  # of x' at a time when a whole distribution is evaluated: 1 MiB of float32, which stays in cache
MIN_EXAMPLES = 32  # below this a part of a distribution costs more to start than to compute
STATE_COPIES = 6  # of the parameters: themselves, gradients, two moments of Adam, and temporaries of a step
BYTES_OF_A_ROW = 6 * 1024  # Python's for one instance: its name, seed and row of the census
N_NAMED = 5  # how many instances an error message names before it only counts them


def adamw(parameters: Iterable[Any]) -> torch.optim.AdamW:
    """The optimizer of the Toy Models notebook: lr 1e-3, weight decay 0.01."""
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)


@contextmanager
def _in_float64(module: torch.nn.Module) -> Iterator[None]:
    """The module's parameters and buffers in double precision for a while."""
    tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    saved = [t.data for t in tensors]
    try:
        for t in tensors:
            t.data = t.data.double()
        yield
    finally:
        for t, data in zip(tensors, saved, strict=True):
            t.data = data


def _or_null(names: str | list[str]) -> str:
    return names if isinstance(names, str) else ", ".join(names) or "null"


class ToyModel(LightningModule):
    """A stack of independent models that compress `feature` numbers into `hidden` ones and reconstruct them.

    A Lightning batch is a block of batches, one per optimizer step. `trainer.global_step` counts optimizer steps.
    Lightning's hooks run once a block, those around the optimizer at its first step; `data.block_size` 1 is every step.
    The loss is the mean over batch and features, summed over instances: each instance's gradient is what it would be
    alone. Instance i is initialised from its own seed, W normal and b zero. The first axis of every parameter is the
    instance, in a variant too.

    Args:
        n_features: entries of an example.
        n_hidden: dimensions of the hidden space.
        n_instances: models in the stack.
        first_seed: seed of instance 0; instance i has `first_seed` + i.
        init_std: standard deviation of the initial W; None is Xavier's for an m x n matrix, sqrt(2 / (m + n)).
        seeds: a seed for each instance, in place of consecutive ones.
        optimizer: makes any torch optimizer that treats every entry of a parameter on its own.
        lr_scheduler: makes a torch scheduler, stepped once per optimizer step.

    Raises:
        ConfigError: if a size is not positive, a seed negative, or `seeds` contradicts `n_instances`.
    """

    def __init__(
        self,
        n_features: int,
        n_hidden: int = 2,
        n_instances: int = 1,
        first_seed: int = 0,
        init_std: float | None = None,
        seeds: list[int] | None = None,
        optimizer: OptimizerCallable = adamw,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        require(n_features >= 1, "model.n_features", n_features, "at least 1")
        require(n_hidden >= 1, "model.n_hidden", n_hidden, "at least 1")
        require(n_instances >= 1, "model.n_instances", n_instances, "at least 1")
        field, count = (
            ("model.n_instances", n_instances) if seeds is None else ("the length of model.seeds", len(seeds))
        )
        parameters = 4 * n_features * (n_hidden + 1)
        require_memory(field, count, STATE_COPIES * parameters + BYTES_OF_A_ROW)
        last = N_SEEDS - n_instances
        require(0 <= first_seed <= last, "model.first_seed", first_seed, f"from 0 to {last}")
        require(init_std is None or init_std > 0, "model.init_std", init_std, "positive, or null for Xavier's")
        if seeds is not None:
            exist = all(0 <= seed < N_SEEDS for seed in seeds)
            require(len(seeds) > 0 and exist, "model.seeds", seeds, f"a list of numbers from 0 to {N_SEEDS - 1}")
            require(n_instances in (1, len(seeds)), "model.n_instances", n_instances, f"{len(seeds)}, as model.seeds")
        self.seeds = seeds if seeds is not None else list(range(first_seed, first_seed + n_instances))
        self.instance_names = [f"seed {seed}" for seed in self.seeds]
        self.instance_columns: dict[str, list[Any]] = {}  # what else the census should say of each instance, by name
        self.n_features = n_features
        self.n_hidden = n_hidden
        self.n_instances = len(self.seeds)
        self.init_std = init_std if init_std is not None else (2 / (n_hidden + n_features)) ** 0.5
        self.W = torch.nn.Parameter(torch.stack([self.initial_weights(seed) for seed in self.seeds]))
        self.b = torch.nn.Parameter(torch.zeros(self.n_instances, n_features))
        self._optimizer = optimizer
        self._lr_scheduler = lr_scheduler
        self._recorded: tuple[tuple[int, ...], Tensor] | None = None
        self._recording_sample: Chunk | None = None

    def initial_weights(self, seed: int) -> Float[Tensor, "hidden feature"]:
        """The W that an instance of this seed starts from, alone or in any stack."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.n_hidden, self.n_features, generator=generator) * self.init_std

    # What a variant overrides.

    def encode(self, x: Float[Tensor, "*instance batch feature"]) -> Float[Tensor, "instance batch hidden"]:
        """h = W x; x may be sparse if all instances share it."""
        return torch.stack([x @ w.mT for w in self.W]) if x.is_sparse else x @ self.W.mT

    def decode(self, h: Float[Tensor, "instance batch hidden"]) -> Float[Tensor, "instance batch feature"]:
        """The reconstruction x' from the hidden vectors."""
        raise NotImplementedError(f"{type(self).__name__} must define decode(h)")

    def feature_losses(
        self, x: Float[Tensor, "*instance batch feature"], weights: Float[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "instance feature"]:
        """Squared error of each feature: the mean over the batch, or the sum with `weights`."""
        errors = (x - self(x)).square()
        return errors.mean(dim=-2) if weights is None else torch.einsum("b,ibf->if", weights, errors)

    # What variants share.

    @property
    def is_fused(self) -> bool:
        """Whether training calls the fused objective, which has threads of its own."""
        return False

    def forward(self, x: Float[Tensor, "*instance batch feature"]) -> Float[Tensor, "instance batch feature"]:
        return self.decode(self.encode(x))

    def _make_optimizer(self) -> torch.optim.Optimizer:
        try:
            return self._optimizer(self.parameters())
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"model.optimizer is refused by torch: {error}") from error

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer()
        if isinstance(optimizer, COUPLING_OPTIMIZERS) and self.n_instances > 1:
            raise ConfigError(
                f"model.optimizer is {type(optimizer).__name__}, whose step mixes instances; "
                "it must be one that treats every parameter on its own, or model.n_instances must be 1."
            )
        if self._lr_scheduler is None:
            return optimizer
        scheduler = self._lr_scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ConfigError(
                "model.lr_scheduler is ReduceLROnPlateau, which would follow the whole stack's loss; "
                "it must be a function of the step alone."
            )
        return [optimizer], [scheduler]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["optimizer"] = type(self.trainer.optimizers[0]).__name__
        checkpoint["lr_scheduler"] = [type(own.scheduler).__name__ for own in self.trainer.lr_scheduler_configs]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name, parameter in self.named_parameters():
            saved = checkpoint["state_dict"].get(name, torch.empty(0))
            shape, wanted = (" x ".join(map(str, tensor.shape)) for tensor in (saved, parameter))
            require(shape == wanted, name, f"{shape} in the checkpoint", f"{wanted}, as configured")
        if self.trainer.state.fn == "fit":
            step, max_steps = checkpoint["global_step"], self.trainer.max_steps
            require(step < max_steps, "trainer.max_steps", max_steps, f"more than {step}, the step of the checkpoint")
            made = self._make_optimizer()
            schedulers = [] if self._lr_scheduler is None else [type(self._lr_scheduler(made)).__name__]
            for name, own in (("optimizer", type(made).__name__), ("lr_scheduler", schedulers)):
                saved = checkpoint.get(name, own)
                require(own == saved, f"model.{name}", _or_null(own), f"{_or_null(saved)}, as in the checkpoint")

    def on_fit_start(self) -> None:
        self.refuse_trainer(self.trainer)
        self._recorded = self._recording_sample = None

    def on_train_start(self) -> None:
        scheduler = self.lr_schedulers() if self._lr_scheduler is not None else None
        if isinstance(scheduler, WarmupCosine):
            scheduler.fit_to(self.trainer.max_steps)

    @staticmethod
    def refuse_trainer(trainer: Trainer) -> None:
        """Raise a `ConfigError` if these models cannot be trained with the trainer's settings."""
        require(trainer.max_steps >= 1, "trainer.max_steps", trainer.max_steps, "at least 1")
        allowed = "32-true or 64-true"
        require(not trainer.precision.endswith("-mixed"), "trainer.precision", trainer.precision, allowed)

    def training_step(self, block: Tensor | Chunk | list[Tensor] | Repeated, batch_idx: int) -> dict[str, Tensor]:
        """One optimizer step for each batch of the block.

        Args:
            block: [step, batch, feature], or [step, instance, batch, feature] when each instance has its own data; with
                weights [batch] that sum to 1 if it is a `Chunk`; or a sparse [batch, feature] for each step.

        Returns: `feature_losses` [step, instance, feature], each before its step's update.

        Raises:
            NonFiniteError: if a loss of the block is infinite or not a number.
        """
        optimizer, first_step = self.optimizers(), self.global_step
        assert isinstance(optimizer, LightningOptimizer)
        schedulers = self.lr_schedulers() if self._lr_scheduler is not None else None
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        argument = signature(optimizer.optimizer.step).parameters.get("closure")
        needs_closure = argument is not None and argument.default is Parameter.empty
        batches, weights = block if isinstance(block, Chunk) else (block, None)
        batches = [block.x] * block.n_steps if isinstance(block, Repeated) else batches
        feature_losses = self.b.new_empty(len(batches), *self.b.shape)
        for k, (x, losses) in enumerate(zip(batches, feature_losses, strict=True)):
            first_only = iter([losses])  # an optimizer may evaluate again, at other weights

            def closure(x: Tensor = x, out: Iterator[Tensor] = first_only) -> Tensor:
                return self.set_gradients(x, next(out, None), weights).mean(dim=-1).sum()

            if k == 0:
                optimizer.step(closure=closure)  # with Lightning's hooks, and counted by it
            else:
                progress.increment_ready()
                if needs_closure:
                    optimizer.optimizer.step(closure=closure)  # type: ignore[arg-type]
                else:
                    self.set_gradients(x, losses, weights)
                    optimizer.optimizer.step()
                progress.increment_completed()
            if schedulers is not None:
                schedulers.step()  # type: ignore[union-attr]
        self._refuse_non_finite(feature_losses, first_step)
        return {"feature_losses": feature_losses}

    def set_gradients(
        self,
        x: Float[Tensor, "*instance batch feature"],
        out: Float[Tensor, "instance feature"] | None = None,
        weights: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        """Set all parameters' `grad` to that of the loss on one batch; return the feature losses, in `out` if given."""
        self.zero_grad()
        total = torch.zeros_like(self.b) if out is None else out.zero_()
        for share, part in self._dense_parts(x, weights) if x.is_sparse else [(1, (x, weights))]:
            feature_losses = share * self.feature_losses(*part)
            # Not `manual_backward`: its three rounds of hooks would cost a fifth of a small model's step.
            feature_losses.mean(dim=-1).sum().backward()  # type: ignore[no-untyped-call]
            total += feature_losses.detach()
        return total

    def _refuse_non_finite(self, feature_losses: Tensor, first_step: int) -> None:
        if feature_losses.sum().isfinite():
            return
        bad = ~feature_losses.isfinite().all(dim=-1)  # [step, instance]
        if not bad.any():  # only their sum is too large
            return
        instances = bad.any(dim=0).nonzero().flatten().tolist()
        step = first_step + int(bad.any(dim=1).nonzero()[0])
        names = ", ".join(f"{i} ({self.instance_names[i]})" for i in instances[:N_NAMED])
        more = f" and {len(instances) - N_NAMED} more" if len(instances) > N_NAMED else ""
        raise NonFiniteError(
            f"The loss became non-finite at step {step}, in instance {names}{more} of {self.n_instances}; "
            "the run has stopped, and what it recorded is kept."
        )

    def validation_step(self, population: SparseDistribution | Sample, batch_idx: int) -> None:
        value = self.losses_over(population)
        logged = {"val_loss": value.loss.mean(), "val_loss_error": value.error.mean()}
        self.log_dict(logged, on_epoch=True, batch_size=1)

    def test_step(self, population: SparseDistribution | Sample, batch_idx: int) -> None:
        """Nothing: what `test` finds out is a callback's."""

    @torch.no_grad()
    def losses_over(self, population: SparseDistribution | Sample) -> PopulationLosses:
        """The loss over a whole distribution, such as a data module's `population`, at the present weights.

        An enumerated distribution is integrated in float64, with a relative error of 1e-6 where that many nodes allow
        it; a sample's loss has a standard error.
        """
        if not isinstance(population, Sample):
            with _in_float64(self):
                return integrate(lambda x, weights: self.weighted_losses(x.to(self.W), weights.to(self.W)), population)
        metric = PopulationLoss(self.n_instances, self.n_features).to(self.device)
        for chunk in population.chunks:
            weights = chunk.weights.to(self.W)
            metric.update(self.weighted_losses(chunk.x.to(self.W), weights), weights.sum())
        return metric.value()

    @torch.no_grad()
    def weighted_losses(
        self,
        x: Float[Tensor, "batch feature"],
        weights: Float[Tensor, " batch"] | None = None,
        instances: list[int] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        """`feature_losses` of these instances, or all, without a graph, in bounded memory; x may be sparse.

        A variant may hold more with an instance axis than its parameters, so the whole stack is computed here.
        """
        losses = torch.zeros_like(self.b)
        for share, part in self._dense_parts(x, weights):
            losses += share * self.feature_losses(*part)
        return losses if instances is None else losses[instances]

    def _dense_parts(self, x: Tensor, weights: Tensor | None) -> Iterator[tuple[Tensor, Chunk]]:
        """As many examples at a time as stay in cache: their share of the weights, and they with weights that sum to 1.

        So a term of a variant's loss that does not depend on the examples counts once, whatever the number of parts.
        """
        size = max(MIN_EXAMPLES, MAX_ENTRIES // (self.n_instances * self.n_features))
        weights = self.b.new_full((x.shape[0],), 1 / x.shape[0]) if weights is None else weights
        for part in Chunk(x, weights).dense_parts(size):
            share = part.weights.sum()
            if share > 0:
                yield share, Chunk(part.x, part.weights / share)

    @torch.no_grad()
    def hidden_vectors(self, x: Float[Tensor, "batch feature"]) -> Float[Tensor, "instance hidden batch"]:
        """Where each example lies in the hidden space; x may be sparse."""
        is_own = type(self).encode is not ToyModel.encode
        parts = [part.x for _, part in self._dense_parts(x, None)] if is_own else [x]
        return torch.cat([self.encode(part).mT for part in parts], dim=-1)

    @torch.no_grad()
    def recorded_feature_losses(self, instances: list[int]) -> Float[Tensor, "instance feature"]:
        """These instances' losses on the distribution's `summary`; computed once a step, whoever asks."""
        key = (self.global_step, *instances, *(parameter._version for parameter in self.parameters()))
        if self._recorded is None or self._recorded[0] != key:
            if self._recording_sample is None:
                datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
                require(datamodule is not None, "the data module", None, "given to fit, for the loss at recorded steps")
                x, weights = datamodule.population.summary()
                self._recording_sample = Chunk(x.to(self.W), weights.to(self.W))
            self._recorded = (key, self.weighted_losses(*self._recording_sample, instances))
        return self._recorded[1]


class ReLUOutputModel(ToyModel):
    """x' = ReLU(W^T W x + b), the model of the post and of "Toy Models of Superposition"."""

    def decode(self, h: Float[Tensor, "instance batch hidden"]) -> Float[Tensor, "instance batch feature"]:
        return torch.relu(h @ self.W + self.b.unsqueeze(-2))

    def feature_losses(
        self, x: Float[Tensor, "*instance batch feature"], weights: Float[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "instance feature"]:
        if not self._has_own("encode", "decode", "forward"):
            return super().feature_losses(x, weights)
        return objective.feature_losses(self.W, self.b, x, weights)

    def _has_own(self, *hooks: str) -> bool:
        """Whether these methods are the ones of this class, which the fused objective computes."""
        return all(getattr(type(self), hook) is getattr(ReLUOutputModel, hook) for hook in hooks)

    @property
    def is_fused(self) -> bool:
        return self.is_unmodified and fused.serves(self.W)

    def losses_over(self, population: SparseDistribution | Sample) -> PopulationLosses:
        if isinstance(population, Sample) or not self.is_unmodified:
            return super().losses_over(population)
        return relu_losses(self.W, self.b, population)

    @cached_property
    def is_unmodified(self) -> bool:
        """Whether the loss is that of this class, for which there are closed forms."""
        return self._has_own(*HOOKS)

    def weighted_losses(
        self,
        x: Float[Tensor, "batch feature"],
        weights: Float[Tensor, " batch"] | None = None,
        instances: list[int] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        if not self.is_unmodified:
            return super().weighted_losses(x, weights, instances)
        chosen = slice(None) if instances is None else instances
        return objective.losses_alone(self.W[chosen], self.b[chosen], x, weights)

    def set_gradients(
        self,
        x: Float[Tensor, "*instance batch feature"],
        out: Float[Tensor, "instance feature"] | None = None,
        weights: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        if not self.is_unmodified:
            return super().set_gradients(x, out, weights)
        losses, self.W.grad, self.b.grad = objective.losses_and_gradients(self.W, self.b, x, weights, out=out)
        return losses
