"""A stack of models that train side by side in one Lightning fit: everything but what they compute."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import torch
from jaxtyping import Float
from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.strategies import SingleDeviceStrategy
from rich.console import Console
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from src.distributions.per_instance import Population
from src.errors import require
from src.geometry.polygons import Polygons, find_polygons
from src.objective import Autograd, objective_of
from src.population.losses import PopulationLosses
from src.population.per_instance import Part, losses_on, over_each, summaries
from src.runs.folder import forget_folder
from src.runs.moved import states_as_today
from src.starts.start import Start, drawn_after
from src.training import resuming
from src.training.agreement import refuse_other_examples
from src.training.block import Block, train_block
from src.training.divergence import Divergence, OnDivergence
from src.training.gradient_norms import GradientNormSums, MeanGradientNorm
from src.training.optimizers import make_optimizer, make_scheduler, refuse_coupling
from src.training.properties import OpenProperties
from src.training.schedules import WarmupCosine
from src.training.steps import count_block, count_steps


class Stack(OpenProperties):
    """Trains, validates and resumes what `ToyModel` defines.

    A Lightning batch is a block of batches, one per optimizer step. `trainer.global_step` counts optimizer steps.
    Lightning's hooks run once a block, those around the optimizer at its first step; `data.block_size` 1 is every step.
    The loss is the mean over batch and features, summed over instances: each instance's gradient is what it would be
    alone. The first axis of every parameter is the instance, in a variant too.

    Args:
        seeds: of each instance.
        start: what the seeds' W are changed into.
        optimizer: makes any torch optimizer that treats every entry of a parameter on its own.
        lr_scheduler: makes a torch scheduler, stepped once per optimizer step.
        on_divergence: what becomes of an instance that diverges: see `src.training.divergence`.
    """

    W: Float[torch.nn.Parameter, "instance hidden feature"]
    b: Float[torch.nn.Parameter, "instance feature"]
    importance: Float[Tensor, "*instance feature"] | None
    n_features: int

    def __init__(
        self,
        seeds: Sequence[int],
        start: Start,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None,
        on_divergence: OnDivergence = "stop",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.seeds = list(seeds)
        self.n_instances = len(self.seeds)
        self.start = start
        self.instance_names = start.names(self.seeds)
        self.instance_columns = start.census_columns()  # what else the census should say of each instance, by name
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        allowed = get_args(OnDivergence)
        require(on_divergence in allowed, "model.on_divergence", repr(on_divergence), " or ".join(allowed))
        self.began_with: dict[str, Any] = {}  # what `resuming` writes into checkpoints of how the fit began
        self.divergence = Divergence(freezes=on_divergence == "freeze")
        self.gradient_norms: dict[Any, GradientNormSums] = {}  # summed at every step, for who asked
        self._objective: Autograd | None = None
        self._recorded: tuple[tuple[int, ...], Tensor] | None = None
        self._recorded_on: list[Part] | None = None

    @property
    def objective(self) -> Autograd:
        """What computes losses and gradients: see `src.objective`."""
        if self._objective is None:
            self._objective = objective_of(self)
        elif self._objective.is_stale:
            before, self._objective = self._objective, objective_of(self)
            is_training = self._trainer is not None and self._trainer.training
            if is_training and before.text != self._objective.text:  # it would be compiled again and again
                self.leave_to_autograd()
        return self._objective

    def leave_to_autograd(self) -> None:
        self._objective = Autograd(self, "a number of the model's changes as it trains")
        self.say_how_computed()

    def say_how_computed(self) -> None:
        Console().print(f"computed by: {self.objective.description}", soft_wrap=True, highlight=False, markup=False)

    def losses_over(self, population: Population) -> PopulationLosses:
        """The loss over a whole distribution, such as a data module's `population`, at the present weights.

        An enumerated distribution's is exact, by its closed form or integrated in float64 with an estimate of the
        error; a sample's has a standard error.
        """
        return over_each(self.objective.losses_over, population)  # type: ignore[arg-type]

    def drawn(self, *shapes: tuple[int, ...]) -> list[Tensor]:
        """Standard normal numbers for a variant's further parameters, [instance, *shape]: each seed's, after its W."""
        return drawn_after(self.seeds, tuple(self.W.shape[1:]), shapes)

    @property
    def further_parameters(self) -> dict[str, torch.nn.Parameter]:
        """A variant's own parameters by name: all but W and b."""
        return {name: own for name, own in self.named_parameters() if name not in ("W", "b")}

    def polygons(self) -> Polygons:
        """What the columns of each instance form."""
        return replace(find_polygons(self.columns.detach().cpu()), diverged=self.divergence.steps.keys())

    @torch.no_grad()
    def recorded_feature_losses(self, instances: list[int]) -> Float[Tensor, "instance feature"]:
        """These instances' losses on a summary of the data's population; computed once a step, whoever asks."""
        key = (self.global_step, *instances, *(parameter._version for parameter in self.parameters()))
        if self._recorded is None or self._recorded[0] != key:
            if self._recorded_on is None:
                datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
                require(datamodule is not None, "the data module", None, "given to fit, for the loss at recorded steps")
                self._recorded_on = summaries(datamodule.population, self.W)
            self._recorded = (key, losses_on(self.objective.losses, self._recorded_on, instances))
        return self._recorded[1]

    def mean_gradient_norm(self, instances: list[int] | None, parameter: str = "W") -> MeanGradientNorm:
        """What from now on knows the mean gradient norm of W's columns, or for None of each whole W, between records.

        Every step then costs a norm more, for None every tenth step of a block. Ask before training starts; asking for
        the same shares the work.
        """
        key = parameter, None if instances is None else tuple(instances)
        return MeanGradientNorm(self.gradient_norms.setdefault(key, GradientNormSums(instances, parameter)))

    def make_optimizers(self) -> tuple[Optimizer, list[LRScheduler]]:
        optimizer = make_optimizer(self.optimizer, self.parameters())
        return optimizer, [] if self.lr_scheduler is None else [make_scheduler(self.lr_scheduler, optimizer)]

    def configure_optimizers(self) -> Any:
        optimizer, schedulers = self.make_optimizers()
        refuse_coupling(optimizer, self.n_instances)
        self.began_with[resuming.SETTINGS] = resuming.settings_of(optimizer)
        return [optimizer], schedulers

    @staticmethod
    def refuse_trainer(trainer: Trainer) -> None:
        """Raise a `ConfigError` if these models cannot be trained with the trainer's settings."""
        require(trainer.max_steps >= 1, "trainer.max_steps", trainer.max_steps, "at least 1")
        kind = type(trainer.strategy).__name__
        why = "auto: a stack trains on one device, and a sweep on many"
        for name, value in (("devices", trainer.num_devices), ("num_nodes", trainer.num_nodes)):
            require(value == 1, f"trainer.{name}", value, why.replace("auto", "1"))
        require(isinstance(trainer.strategy, SingleDeviceStrategy), "trainer.strategy", kind, why)
        for name in ("limit_train_batches", "val_check_interval", "check_val_every_n_epoch"):
            given = getattr(trainer, name, None)
            require(given is None or given != 0, f"trainer.{name}", given, "positive")
        stops = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]  # type: ignore[attr-defined]
        interval: Any = getattr(trainer, "val_check_interval", None)  # none of its own where validation is timed
        steps = "a number of optimizer steps, for EarlyStopping"
        is_checked = isinstance(interval, int) or not any(stop.monitor.startswith("val_") for stop in stops)
        require(is_checked, "trainer.val_check_interval", interval, steps)
        precision, clipping = trainer.precision, trainer.gradient_clip_val
        require(precision in ("32-true", "64-true"), "trainer.precision", precision, "32-true or 64-true")
        why = "null: a stack's gradients are many models', and one norm of all of them would tie them together"
        require(not clipping, "trainer.gradient_clip_val", clipping, why)

    def setup(self, stage: str) -> None:
        forget_folder(self.trainer)
        if stage == "fit":  # a checkpoint to go on from, which is loaded after this, has its own
            self.divergence.steps = {}

    def on_fit_start(self) -> None:
        self.refuse_trainer(self.trainer)
        n_features = getattr(self.trainer.datamodule, "n_features", self.n_features)  # type: ignore[attr-defined]
        require(n_features == self.n_features, "model.n_features", self.n_features, f"{n_features}, as the data's")
        self._objective = None  # of today's hooks and numbers
        self.say_how_computed()
        resuming.begin(self)
        self._recorded = self._recorded_on = None
        self.has_trained = False

    def on_train_start(self) -> None:
        count_steps(self.trainer)
        scheduler = self.lr_schedulers() if self.lr_scheduler is not None else None
        if isinstance(scheduler, WarmupCosine):
            scheduler.fit_to(self.trainer.max_steps)

    def training_step(self, block: Block, batch_idx: int) -> dict[str, Tensor]:
        """One optimizer step for each batch of the block; `feature_losses` [step, instance, feature] of each."""
        refuse_other_examples(self, block)
        self.has_trained = True
        feature_losses = train_block(self, block)
        count_block(self.trainer)
        return {"feature_losses": feature_losses}

    def validation_step(self, population: Any, batch_idx: int) -> None:
        kind, allowed = type(population).__name__, "a data module's `population`, of which the loss is taken"
        require(isinstance(population, Population), "what is validated on", kind, allowed)
        value = self.losses_over(population)
        sound = [i for i in range(self.n_instances) if i not in self.divergence.steps]
        logged = {"val_loss": value.loss[sound].mean(), "val_loss_error": value.error[sound].mean()}
        self.log_dict(logged, on_epoch=True, batch_size=1)

    def on_fit_end(self) -> None:
        """A run that was resumed at its last step, because what follows the steps had failed: do that again."""
        if not self.has_trained:
            for hook in ("on_train_start", "on_train_end"):
                for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
                    getattr(callback, hook)(self.trainer, self)

    def test_step(self, population: Population, batch_idx: int) -> None:
        """Nothing: what `test` finds out is a callback's."""

    def teardown(self, stage: str) -> None:
        self.gradient_norms.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        resuming.describe_run(self, checkpoint)
        checkpoint["diverged"] = self.divergence.steps
        checkpoint["gradient_norms"] = [sums.state() for sums in self.gradient_norms.values()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        resuming.refuse_another_shape(self, checkpoint)
        checkpoint["callbacks"] = states_as_today(checkpoint.get("callbacks", {}))
        self.divergence.steps = checkpoint.get("diverged", {})
        if self._trainer is None:  # `load_from_checkpoint`: a start is not made again
            resuming.keep_arguments(self, checkpoint)
            self.instance_names = checkpoint.get("instance_names", self.instance_names)
            self.instance_columns = checkpoint.get("instance_columns", self.instance_columns)
            return
        resuming.refuse_another_model(self, checkpoint)
        resuming.refuse_other_loops(self.trainer, checkpoint)
        if self.trainer.state.fn == "fit":
            resuming.refuse_another_run(self, checkpoint)
            if type(self).configure_optimizers is Stack.configure_optimizers:
                resuming.refuse_another_optimizer(self, checkpoint, *self.configure_optimizers())
            resuming.keep_arguments(self, checkpoint)
            for sums, state in zip(self.gradient_norms.values(), checkpoint.get("gradient_norms", ()), strict=False):
                sums.restore(state)
