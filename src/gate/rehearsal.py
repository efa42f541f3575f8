"""What has been made from a configuration is tried before the run has a folder."""

from importlib.util import find_spec
from typing import Any

import torch
from lightning import LightningDataModule, Trainer
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
    StochasticWeightAveraging,
    ThroughputMonitor,
)
from lightning.pytorch.callbacks.spike import SpikeDetection
from lightning.pytorch.loggers import TensorBoardLogger

from callbacks.metric import Metric
from src.data.endless import SparseFeatures
from src.errors import ConfigError, require
from src.gate.nulls import class_at, said
from src.gate.sentences import where_raised
from src.model import ToyModel
from src.objective.choice import refuse_shapes
from src.training.optimizers import rehearse

# Callbacks that train in a way of their own, or change what is trained.
OTHER_WAYS = (
    BaseFinetuning, BatchSizeFinder, GradientAccumulationScheduler, LearningRateFinder, ModelPruning,
    StochasticWeightAveraging, ThroughputMonitor, SpikeDetection,
)  # fmt: skip
LOADERS = {"fit": "train_dataloader", "validate": "val_dataloader", "test": "test_dataloader"}  # that data must have
LOGGED = ("val_loss", "val_loss_error")
WRITERS: dict[str, Any] = {"max_queue": int, "flush_secs": int | float, "filename_suffix": str}  # TensorBoard's


def refuse_unmade(config: Any, subcommand: str) -> None:
    """Raise a `ConfigError` at what cannot be made, or not be used once it is made: before anything is."""
    profiler = config.trainer.profiler
    is_xla = "xla" in str(getattr(profiler, "class_path", profiler)).lower()
    require(
        not is_xla or find_spec("torch_xla") is not None, "trainer.profiler", "xla", "another: no torch_xla is there"
    )
    kind = class_at(config.data.class_path)  # or a function that makes one
    loader = LOADERS[subcommand]
    says = getattr(kind, loader, None) is not getattr(LightningDataModule, loader)
    require(says, "data", kind.__name__, f"a class with a {loader}, and n_features")


def refuse_unusable(trainer: Trainer, model: ToyModel, datamodule: LightningDataModule | None) -> None:
    """Raise a `ConfigError` at what would be refused later, when the run has a folder, or would fail there.

    The optimizer and the learning rate's course are made once and stepped, the model answers one example.
    """
    model.refuse_trainer(trainer)
    _refuse_callbacks(trainer, model)
    for logger in trainer.loggers:
        for name, value in logger._kwargs.items() if isinstance(logger, TensorBoardLogger) else ():
            kind = WRITERS.get(name, object)
            require(isinstance(value, kind), f"trainer.logger.{name}", repr(value), f"of another type: {said(kind)}")
    if isinstance(datamodule, SparseFeatures):
        datamodule.refuse_stack(model.n_instances)
    model.trainer = trainer  # as it will be: a model may ask it for the step
    _rehearse_hooks(model)
    _rehearse_metrics(trainer, model)
    rehearse(model, trainer.max_steps)


def _rehearse_hooks(model: ToyModel) -> None:
    """Two examples, since what a hook of the user's own gets wrong is a mistake in the setting `model`."""
    refuse_shapes(model)
    name = type(model).__name__
    x, weights = torch.zeros(2, model.n_features), torch.full((2,), 0.5)
    x[1] = torch.rand(model.n_features, generator=torch.Generator().manual_seed(0))
    whole, each = (model.n_instances, *x.shape), (model.n_instances, model.n_features)

    def tried(hook: str, shape: tuple[int, ...], *given: Any) -> Any:
        try:
            found = getattr(model, hook)(*given)
        except NotImplementedError as error:
            raise ConfigError(f"model is {name}; it must be one that is complete: {error}.") from None
        except Exception as error:
            raise ConfigError(f"model is {name}; it must be one that runs: {where_raised(error)}.") from error
        is_right = isinstance(found, torch.Tensor) and tuple(found.shape) == shape
        axes = "[instance, batch, feature]" if len(shape) == 3 else "[instance, feature]"
        returned = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        require(is_right, f"what {name}.{hook} returns", returned, f"{list(shape)}, {axes}")
        return found

    if {type(model).decode, type(model).forward} <= {ToyModel.decode, ToyModel.forward}:
        tried("activate", whole, x.expand(whole))
    if type(model).feature_losses is ToyModel.feature_losses:
        reconstruction = tried("forward", whole, x)
        target = tried("target", whole, x.expand(whole))
        tried("error", whole, target, reconstruction)
    else:
        tried("feature_losses", each, x, weights)


def _rehearse_metrics(trainer: Trainer, model: ToyModel) -> None:
    metrics = [callback for callback in trainer.callbacks if isinstance(callback, Metric)]  # type: ignore[attr-defined]
    names = [metric.name for metric in metrics]
    for metric in metrics:
        allowed = f"another than that of another metric: {type(metric).__name__}.name"
        require(names.count(metric.name) == 1, "the name of a metric", metric.name, allowed)
        try:
            metric.measured(model)
        except ConfigError:
            raise
        except Exception as error:
            kind = type(metric).__name__
            raise ConfigError(f"a callback is {kind}; it must be one that runs: {where_raised(error)}.") from error


def _refuse_callbacks(trainer: Trainer, model: ToyModel) -> None:
    """Those that train in another way, or watch what nothing here logs; code of the user's may log anything."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    rooms = {type(made).__module__.split(".")[0] for made in (model, *callbacks)}
    for callback in callbacks:
        kind, watched = type(callback).__name__, getattr(callback, "monitor", None)
        is_fit = not isinstance(callback, OTHER_WAYS)
        require(is_fit, "trainer.callbacks", kind, "callbacks that leave training, and how it is logged, as they are")
        is_logged = watched in (None, *LOGGED) or not getattr(callback, "strict", True)
        if isinstance(callback, ModelCheckpoint):
            _refuse_filename(callback)
        may_be_logged = is_logged or not rooms <= {"src", "callbacks", "lightning"}
        require(may_be_logged, f"{kind}.monitor", repr(watched), f"{' or '.join(LOGGED)}, which validation logs")


def _refuse_filename(callback: ModelCheckpoint) -> None:
    try:
        callback.format_checkpoint_name({})
    except (ValueError, LookupError) as error:
        wanted = f"a format of names and metrics: {error}"
        raise ConfigError(f"ModelCheckpoint.filename is {callback.filename!r}; it must be {wanted}.") from None
