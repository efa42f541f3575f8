"""What a checkpoint says of its run: to go on only with the same, and to load a model without a configuration."""

from inspect import Parameter, signature
from typing import Any

import torch

from src.errors import require

HYPER_PARAMETERS = "hyper_parameters"  # what Lightning's `load_from_checkpoint` calls the constructor with
NOT_KEPT = ("optimizer", "lr_scheduler", "start", "n_instances", "first_seed")  # the seeds say who there is


def describe_run(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Write into a checkpoint what the run was made from: its optimizer, and the arguments that make the model anew."""
    checkpoint["optimizer"] = type(stack.trainer.optimizers[0]).__name__
    checkpoint["lr_scheduler"] = [type(own.scheduler).__name__ for own in stack.trainer.lr_scheduler_configs]
    of_the_users = {name: value for name, value in checkpoint.get(HYPER_PARAMETERS, {}).items() if _is_plain(value)}
    checkpoint[HYPER_PARAMETERS] = {**of_the_users, **arguments_of(stack), "seeds": list(stack.seeds)}
    checkpoint["instance_names"] = list(stack.instance_names)
    checkpoint["instance_columns"] = stack.instance_columns


def arguments_of(stack: Any) -> dict[str, Any]:
    """What the constructor can make the model from anew: the arguments that the model keeps under their own names."""
    names: list[str] = []
    for kind in type(stack).__mro__:
        if "__init__" in vars(kind):
            parameters = signature(vars(kind)["__init__"]).parameters
            names += parameters
            if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
                break  # it passes nothing on that is not its own
    kept = {name: getattr(stack, name) for name in names if name not in NOT_KEPT and hasattr(stack, name)}
    return {name: value for name, value in kept.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    """Whether a checkpoint may hold the value, which is loaded as tensors only, never as pickled code."""
    if isinstance(value, dict):
        return all(_is_plain(part) for part in (*value.keys(), *value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def refuse_another_shape(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Raise a `ConfigError` if the checkpoint's parameters are of other shapes."""
    for name, parameter in stack.named_parameters():
        saved = checkpoint["state_dict"].get(name, torch.empty(0))
        shape, wanted = (" x ".join(map(str, tensor.shape)) for tensor in (saved, parameter))
        require(shape == wanted, name, f"{shape} in the checkpoint", f"{wanted}, as configured")


def refuse_another_run(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Raise a `ConfigError` if training cannot go on from the checkpoint: no steps to go, or another optimizer."""
    step, max_steps = checkpoint["global_step"], stack.trainer.max_steps
    require(step < max_steps, "trainer.max_steps", max_steps, f"more than {step}, the step of the checkpoint")
    made, schedulers = stack.make_optimizers()
    for name, own in (
        ("optimizer", type(made).__name__),
        ("lr_scheduler", [type(scheduler).__name__ for scheduler in schedulers]),
    ):
        saved = checkpoint.get(name, own)
        require(own == saved, f"model.{name}", _or_null(own), f"{_or_null(saved)}, as in the checkpoint")


def _or_null(names: str | list[str]) -> str:
    return names if isinstance(names, str) else ", ".join(names) or "null"
