"""What a checkpoint says of its run: to go on only with the same, and to load a model without a configuration."""

from collections.abc import Collection, Mapping
from inspect import Parameter, signature
from typing import Any

import torch

from src.errors import require

HYPER_PARAMETERS = "hyper_parameters"  # what Lightning's `load_from_checkpoint` calls the constructor with
# The seeds say who there is; what becomes of one that diverges may change when a run goes on.
NOT_KEPT = ("optimizer", "lr_scheduler", "start", "n_instances", "first_seed", "on_divergence")
ONLY_SPEED = ("block_size", "validation_size")  # what data may have otherwise than before: no step sees it
HOW_ALONE = ("params", "fused", "foreach", "capturable", "initial_lr")  # says how an optimizer computes, not what


def describe_run(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Write into a checkpoint what the run was made from: its optimizer, and the arguments that make the model anew."""
    checkpoint["optimizer"] = type(stack.trainer.optimizers[0]).__name__
    checkpoint["lr_scheduler"] = [type(own.scheduler).__name__ for own in stack.trainer.lr_scheduler_configs]
    of_the_users = {name: value for name, value in checkpoint.get(HYPER_PARAMETERS, {}).items() if _is_plain(value)}
    checkpoint[HYPER_PARAMETERS] = {**of_the_users, **arguments_of(stack), "seeds": list(stack.seeds)}
    checkpoint["model_class"] = type(stack).__name__
    checkpoint["data"] = describe_data(stack.trainer.datamodule)
    checkpoint["instance_names"] = list(stack.instance_names)
    checkpoint["instance_columns"] = stack.instance_columns


def describe_data(module: Any) -> dict[str, Any]:
    """What a data module's examples depend on; nothing of plain loaders."""
    if module is None:
        return {}
    law = {"distribution": str(module.distribution)} if hasattr(module, "distribution") else {}
    kept = {name: value for name, value in arguments_of(module).items() if name not in ONLY_SPEED}
    return {"class": type(module).__name__, **kept, **law}


def arguments_of(made: Any) -> dict[str, Any]:
    """What its constructor can make something from anew: the plain arguments that it keeps under their own names."""
    names: list[str] = []
    for kind in type(made).__mro__:
        if "__init__" in vars(kind):
            parameters = signature(vars(kind)["__init__"]).parameters
            names += parameters
            if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
                break  # it passes nothing on that is not its own
    kept = {name: getattr(made, name) for name in names if name not in NOT_KEPT and hasattr(made, name)}
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


def refuse_another_model(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Raise a `ConfigError` if the checkpoint is of another class, of other arguments or of other seeds."""
    kind = type(stack).__name__
    saved_kind = checkpoint.get("model_class", kind)
    require(kind == saved_kind, "model", kind, f"{saved_kind}, as in the checkpoint")
    saved = checkpoint.get(HYPER_PARAMETERS, {})
    for i, (own, theirs) in enumerate(zip(stack.seeds, saved.get("seeds", ()), strict=False)):
        require(own == theirs, f"the seed of instance {i}", own, f"{theirs}, as in the checkpoint")
    refuse_others("model", arguments_of(stack), saved, but=("seeds",))


def refuse_another_run(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Raise a `ConfigError` if training cannot go on from the checkpoint: it is beyond the last step, or the start, the
    data or the optimizer are others.
    """
    step, max_steps = checkpoint["global_step"], stack.trainer.max_steps
    require(step <= max_steps, "trainer.max_steps", max_steps, f"at least {step}, the step of the checkpoint")
    for own, saved in zip(stack.instance_names, checkpoint.get("instance_names", ()), strict=False):
        require(own == saved, "an instance", own, f"{saved}, as in the checkpoint")
    refuse_others("data", describe_data(stack.trainer.datamodule), checkpoint.get("data", {}))
    made, schedulers = stack.make_optimizers()
    for name, own in (
        ("optimizer", type(made).__name__),
        ("lr_scheduler", [type(scheduler).__name__ for scheduler in schedulers]),
    ):
        saved = checkpoint.get(name, own)
        require(own == saved, f"model.{name}", _or_null(own), f"{_or_null(saved)}, as in the checkpoint")
    (groups,) = (state["param_groups"] for state in checkpoint["optimizer_states"])
    for own, saved in zip(made.param_groups, groups, strict=True):
        first, last = ({**group, "lr": group.get("initial_lr", group.get("lr"))} for group in (own, saved))
        refuse_others("model.optimizer", first, last, but=HOW_ALONE)  # before a schedule changed the rate


def refuse_others(of: str, own: Mapping[str, Any], saved: Mapping[str, Any], but: Collection[str] = ()) -> None:
    """Raise a `ConfigError` at a setting that both have, and that is another in the checkpoint."""
    for name in sorted((own.keys() & saved.keys()) - set(but)):
        require(own[name] == saved[name], f"{of}.{name}", own[name], f"{saved[name]}, as in the checkpoint")


def _or_null(names: str | list[str]) -> str:
    return names if isinstance(names, str) else ", ".join(names) or "null"
