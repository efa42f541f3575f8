"""Between a configuration and the first file of its run: what cannot be used is refused here, in one sentence."""

import contextlib
import sysconfig
import types
from collections.abc import Iterator, Mapping
from inspect import Parameter, signature
from traceback import walk_tb
from typing import Any, get_args, get_type_hints

import torch
from jsonargparse import Namespace
from lightning import LightningDataModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException

from src.data.endless import SparseFeatures
from src.errors import ConfigError, NonFiniteError, essence, require
from src.model import ToyModel
from src.training.optimizers import rehearse

LONGEST = 400  # characters of a library's own words
LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), "<frozen")
LOGGED = ("val_loss", "val_loss_error")
LINKED = ("model.n_features",)  # null until the data are made, which say it
CALLERS = ("__main__", "src.cli", "src.gate", "src.sweep.cells")  # they only pass settings on


@contextlib.contextmanager
def in_a_sentence() -> Iterator[None]:
    """What torch, Lightning or the parser raise at a setting becomes a `ConfigError`.

    An error in this project's code or in a user's, deeper than the calls that pass settings on, is left as it is.
    """
    try:
        yield
    except (ConfigError, NonFiniteError, OSError):
        raise
    except Exception as error:
        if ConfigError.latest is not None and str(ConfigError.latest) in str(error):  # as the parser folds it
            raise ConfigError.latest from None
        if isinstance(error, MisconfigurationException) or is_a_librarys(error):
            raise ConfigError(_sentence(error)) from error
        raise


def is_a_librarys(error: Exception) -> bool:
    """Whether no code of ours or of the user's but the callers' was at work where the error was raised."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(LIBRARIES)]
    return own[-1].f_globals.get("__name__") in CALLERS


def _sentence(error: Exception) -> str:
    """Whose words these are, where a constructor said them, and the words."""
    words = " ".join(essence(str(error)).split()) or type(error).__name__
    makers = [
        type(frame.f_locals["self"]).__name__
        for frame, _ in walk_tb(error.__traceback__)
        if frame.f_code.co_name == "__init__" and "self" in frame.f_locals
    ]
    kind = "" if isinstance(error, MisconfigurationException | ValueError) else f"{type(error).__name__}: "
    maker = f"{makers[-1]} refuses its settings: " if makers and makers[-1] != "ToyCLI" else ""
    return f"{maker}{kind}{words}"[:LONGEST]


def refuse_nulls(config: Any, key: str = "") -> None:
    """Raise a `ConfigError` at a null where its class asks for a value: the parser takes it for "not given"."""
    if isinstance(config, list):
        for k, part in enumerate(config):
            refuse_nulls(part, f"{key}[{k}]")
    if not isinstance(config, Namespace | Mapping):
        return
    settings = dict(vars(config) if isinstance(config, Namespace) else config)
    if isinstance(settings.get("class_path"), str):
        refuse_null_arguments(_class(settings["class_path"]), settings.get("init_args"), key)
    for name, value in settings.items():
        refuse_nulls(value, f"{key}.{name}".removeprefix(".").replace(".init_args", ""))


def refuse_null_arguments(made: Any, arguments: Any, key: str) -> None:
    """The same for the arguments of one class."""
    arguments = vars(arguments) if isinstance(arguments, Namespace) else arguments or {}
    kinds = made.__mro__ if isinstance(made, type) else [made]
    for name in [name for name, value in arguments.items() if value is None]:
        for kind in kinds:
            function = vars(kind).get("__init__") if isinstance(kind, type) else kind
            parameter = signature(function).parameters.get(name) if function is not None else None
            if parameter is not None:
                hint = _hint(function, name)
                is_asked_for = hint is not None and not _takes_none(hint) and parameter.default is not None
                is_asked_for &= f"{key}.{name}" not in LINKED
                require(not is_asked_for, f"{key}.{name}", "null", f"given: {_said(hint)}")
                break


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)


def _hint(function: Any, name: str) -> Any:
    try:
        return get_type_hints(function).get(name)
    except (NameError, TypeError, AttributeError):
        return None


def _takes_none(hint: Any) -> bool:
    return hint in (Any, None, object, Parameter.empty, types.NoneType) or any(map(_takes_none, get_args(hint)))


def _said(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def refuse_data_without_examples(config: Any) -> None:
    """Raise a `ConfigError` if the class of the data module does not say what a step trains on."""
    kind = _class(config.class_path)
    says = kind.train_dataloader is not LightningDataModule.train_dataloader
    require(says, "data", kind.__name__, "a class with a train_dataloader, and n_features")


def refuse_unknown_metrics(trainer: Trainer, model: ToyModel) -> None:
    """Raise a `ConfigError` if a callback watches what nothing here logs; code of the user's may log anything."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    rooms = {type(made).__module__.split(".")[0] for made in (model, *callbacks)}
    for callback in callbacks if rooms <= {"src", "callbacks", "lightning"} else ():
        field, watched = f"{type(callback).__name__}.monitor", getattr(callback, "monitor", None)
        is_logged = watched in (None, *LOGGED) or not getattr(callback, "strict", True)
        require(is_logged, field, repr(watched), f"{' or '.join(LOGGED)}, which validation logs")


def refuse_unusable(trainer: Trainer, model: ToyModel, datamodule: LightningDataModule | None) -> None:
    """Raise a `ConfigError` at what would be refused later, when the run has a folder, or would fail there.

    The optimizer and the learning rate's course are made once and stepped, the model answers one example.
    """
    model.refuse_trainer(trainer)
    refuse_unknown_metrics(trainer, model)
    if isinstance(datamodule, SparseFeatures):
        datamodule.refuse_stack(model.n_instances)
    if type(model).feature_losses is ToyModel.feature_losses:
        try:
            model(torch.zeros(1, model.n_features))
        except NotImplementedError as error:
            raise ConfigError(f"model is {type(model).__name__}; it must be one that is complete: {error}.") from None
    rehearse(model, trainer.max_steps)
