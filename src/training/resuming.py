"""What a checkpoint says of its run: to go on only with the same, and to load a model without a configuration."""

import copy
from collections.abc import Collection, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.errors import require
from src.training.optimizers import refused, step_once, twin_of

HYPER_PARAMETERS = "hyper_parameters"  # what Lightning's `load_from_checkpoint` calls the constructor with
# What a fit began with; training may change the model's own attributes and the optimizer's settings.
ARGUMENTS, SETTINGS = "arguments_at_start", "optimizer_at_start"
# The seeds say who there is; what becomes of one that diverges may change when a run goes on.
NOT_KEPT = ("optimizer", "lr_scheduler", "start", "n_instances", "first_seed", "on_divergence")
COUNTS = "epoch_loop.manual_optimization.optim_step_progress"  # where Lightning's loops count optimizer steps
ONLY_SPEED = ("block_size", "validation_size")  # what data may have otherwise than before: no step sees it
HOW_ALONE = ("params", "fused", "foreach", "capturable", "initial_lr")  # says how an optimizer computes, not what


def describe_run(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Write into a checkpoint what the run was made from: its optimizer, and the arguments that make the model anew."""
    trainer = stack.trainer
    checkpoint.update(_classes(trainer.optimizers, [own.scheduler for own in trainer.lr_scheduler_configs]))
    checkpoint.update(stack.began_with)
    of_the_users = {name: value for name, value in checkpoint.get(HYPER_PARAMETERS, {}).items() if _is_plain(value)}
    checkpoint[HYPER_PARAMETERS] = {**of_the_users, **arguments_of(stack), "seeds": list(stack.seeds)}
    checkpoint["model_class"] = type(stack).__name__
    checkpoint["data"] = describe_data(trainer.datamodule)
    checkpoint["instance_names"] = list(stack.instance_names)
    checkpoint["instance_columns"] = stack.instance_columns


def _classes(optimizers: Sequence[Optimizer], schedulers: Sequence[Any]) -> dict[str, Any]:
    names, of_schedulers = ([type(own).__name__ for own in made] for made in (optimizers, schedulers))
    return {"optimizer": ", ".join(names), "lr_scheduler": of_schedulers}


def settings_of(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What an optimizer that has just been made was made with, in each group of parameters."""
    groups = [{name: value for name, value in group.items() if _is_plain(value)} for group in optimizer.param_groups]
    # The rate is the one before a schedule changed it.
    return [{**group, "lr": group.get("initial_lr", group.get("lr"))} for group in groups]


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
        _refuse_another_tensor(name, parameter, saved)
    n = stack.n_instances
    for i in checkpoint.get("diverged", ()):
        require(0 <= i < n, "an instance that diverged", f"{i} in the checkpoint", f"from 0 to {n - 1}")
    columns = {"instance_names": checkpoint.get("instance_names", [""] * n), **checkpoint.get("instance_columns", {})}
    for name, column in columns.items():
        require(len(column) == n, name, f"of {len(column)} instances in the checkpoint", f"of {n}, as configured")


def _refuse_another_tensor(name: str, own: Tensor, saved: object) -> None:
    """Raise a `ConfigError` if what is saved is no tensor of the same shape."""
    found, wanted = (
        " x ".join(map(str, of.shape)) or "one number" if isinstance(of, Tensor) else f"a {type(of).__name__}"
        for of in (saved, own)
    )
    require(found == wanted, name, f"{found} in the checkpoint", f"{wanted}, as configured")


def refuse_another_model(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Raise a `ConfigError` if the checkpoint is of another class, of other arguments or of other seeds."""
    kind = type(stack).__name__
    saved_kind = checkpoint.get("model_class", kind)
    require(kind == saved_kind, "model", kind, f"{saved_kind}, as in the checkpoint")
    saved = checkpoint.get(HYPER_PARAMETERS, {})
    for i, (own, theirs) in enumerate(zip(stack.seeds, saved.get("seeds", ()), strict=False)):
        require(own == theirs, f"the seed of instance {i}", own, f"{theirs}, as in the checkpoint")
    own = stack.began_with.get(ARGUMENTS, arguments_of(stack))
    refuse_others("model", own, checkpoint.get(ARGUMENTS, saved), but=("seeds",))


def refuse_another_run(stack: Any, checkpoint: dict[str, Any]) -> None:
    """Raise a `ConfigError` if training cannot go on from the checkpoint: it is beyond the last step, holds weights
    alone, or the start or the data are others.
    """
    for name in ("optimizer_states", "lr_schedulers", "loops"):
        whole = f"the checkpoint of a whole run, to go on training: this one has no {name}"
        require(name in checkpoint, "ckpt_path", stack.trainer.ckpt_path, whole)
    step, max_steps = checkpoint["global_step"], stack.trainer.max_steps
    counted = checkpoint["loops"]["fit_loop"][COUNTS]["total"]["completed"]
    require(counted == step, "the steps of the checkpoint's loops", counted, f"{step}, as its global_step")
    for state in checkpoint.get("gradient_norms", ()):
        n, n_totals = len(state["n_steps"]), len(state["totals"])
        require(n == n_totals, "gradient_norms", f"{n_totals} totals in the checkpoint", f"{n}, as the counts of steps")
    require(step <= max_steps, "trainer.max_steps", max_steps, f"at least {step}, the step of the checkpoint")
    for own, saved in zip(stack.instance_names, checkpoint.get("instance_names", ()), strict=False):
        require(own == saved, "an instance", own, f"{saved}, as in the checkpoint")
    refuse_others("data", describe_data(stack.trainer.datamodule), checkpoint.get("data", {}))


def keep_arguments(stack: Any, checkpoint: Mapping[str, Any]) -> None:
    """Remember what the fit began with that is about to start, or that the checkpoint is of."""
    stack.began_with[ARGUMENTS] = copy.deepcopy(checkpoint.get(ARGUMENTS, arguments_of(stack)))


def begin(stack: Any) -> None:
    """When a fit has made its optimizer, and before a checkpoint's state goes into it."""
    trainer = stack.trainer
    if trainer.ckpt_path is None:
        keep_arguments(stack, {})
    else:  # a model may make its optimizer by itself, and has only now
        schedulers = [own.scheduler for own in trainer.lr_scheduler_configs]
        checkpoint = trainer._checkpoint_connector._loaded_checkpoint
        refuse_another_optimizer(stack, checkpoint, trainer.optimizers, schedulers)


def refuse_another_optimizer(
    stack: Any, checkpoint: dict[str, Any], optimizers: Sequence[Optimizer], schedulers: Sequence[Any]
) -> None:
    """Raise a `ConfigError` if these, which have just been made, cannot go on from the checkpoint, or are others."""
    for name, own in _classes(optimizers, schedulers).items():
        saved = checkpoint.get(name, own)
        require(own == saved, f"model.{name}", _or_null(own), f"{_or_null(saved)}, as in the checkpoint")
    own_groups, groups = (of.get(SETTINGS, ()) for of in (stack.began_with, checkpoint))
    for own, saved in zip(own_groups, groups, strict=False):
        refuse_others("model.optimizer", own, saved, but=HOW_ALONE)
    for kind, made in (("optimizer_states", optimizers), ("lr_schedulers", schedulers)):
        count = len(checkpoint[kind])
        require(count == len(made), kind, f"{count} in the checkpoint", f"{len(made)}, as configured")
    for i, own in enumerate(optimizers):
        _refuse_another_state(stack, f"optimizer_states[{i}]", own, checkpoint["optimizer_states"][i])
    for i, own in enumerate(schedulers):
        _refuse_another_form(f"lr_schedulers[{i}]", own.state_dict(), checkpoint["lr_schedulers"][i])


def _refuse_another_state(stack: Any, field: str, optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Raise a `ConfigError` if the optimizer could not go on from what is saved.

    Another like it tries. The shapes are looked at before, since a fused step looks at none and would write beyond a
    tensor that is too small.
    """
    own, theirs = ([group["params"] for group in of["param_groups"]] for of in (optimizer.state_dict(), saved))
    require(own == theirs, f"{field}.param_groups", f"of parameters {theirs} in the checkpoint", f"of {own}")
    twin = twin_of(optimizer, stack.trainer.strategy.root_device)
    if twin is None:
        return
    with refused(field):
        twin.load_state_dict({**saved, "state": {}})
        step_once(twin)
    states, known = saved["state"], twin.state_dict()["state"]
    unknown = [key for key in states if key not in known and not any(key in group for group in own)]
    require(not unknown, f"{field}.state", f"of {unknown} in the checkpoint", f"of parameters {own}")
    for key, state in known.items():
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor) and states.get(key)}
        for name, value in tensors.items():
            at, other = f"{field}.state[{key}].{name}", states[key].get(name)
            _refuse_another_tensor(at, value, other)
            is_dense = other.layout == torch.strided and other.is_contiguous() >= value.is_contiguous()
            require(is_dense, at, "no dense tensor in the checkpoint", "one")
    with refused(field):
        twin.load_state_dict(copy.deepcopy(saved))  # a step changes what is loaded
        step_once(twin)


def refuse_other_loops(trainer: Any, checkpoint: dict[str, Any]) -> None:
    """Raise a `ConfigError` if what counts steps and epochs cannot go on from the checkpoint."""
    name = f"{trainer.state.fn.value}_loop"
    own = getattr(trainer, name).state_dict()
    own.update({key: {} for key in own if key.endswith("state_dict")})  # what loaders say, which may be others
    if checkpoint.get("loops") is not None:
        _refuse_another_form("loops", {name: own}, checkpoint["loops"])


def _refuse_another_form(field: str, own: Any, saved: Any) -> None:
    """Raise a `ConfigError` where the checkpoint has no number for a number, and so on. What is private may be missing:
    it comes and goes with the version of a library.
    """
    kinds: tuple[Any, ...] = (bool, int | float | Tensor, str, dict, list | tuple)
    is_alike = isinstance(saved, next((kind for kind in kinds if isinstance(own, kind)), object))
    if isinstance(own, int | float):
        is_alike = is_alike and isinstance(own, bool) == isinstance(saved, bool)
    elif isinstance(own, list | tuple):
        is_alike = is_alike and len(own) == len(saved)
    found, wanted = (" ".join(repr(of).split())[:80] for of in (saved, own))
    require(is_alike, field, f"{found} in the checkpoint", f"such as {wanted}")
    if isinstance(own, dict):
        for name in own:
            if isinstance(name, str) and (name in saved or not name.startswith("_")):
                _refuse_another_form(f"{field}.{name}", own[name], saved.get(name))
    elif isinstance(own, list | tuple):
        for i, (one, other) in enumerate(zip(own, saved, strict=True)):
            _refuse_another_form(f"{field}[{i}]", one, other)


def refuse_others(of: str, own: Mapping[str, Any], saved: Mapping[str, Any], but: Collection[str] = ()) -> None:
    """Raise a `ConfigError` at a setting that both have, and that is another in the checkpoint."""
    for name in sorted((own.keys() & saved.keys()) - set(but)):
        require(own[name] == saved[name], f"{of}.{name}", own[name], f"{saved[name]}, as in the checkpoint")


def _or_null(names: str | list[str]) -> str:
    return (names if isinstance(names, str) else ", ".join(names)) or "null"
