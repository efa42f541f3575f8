"""Which optimizers and schedules may train a stack: those that treat every instance as it would be treated alone."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from src.errors import ConfigError, require
from src.training.schedules import WarmupCosine

# Optimizers whose step mixes the entries of a parameter, so that an instance would feel its neighbours.
COUPLING_OPTIMIZERS = (torch.optim.LBFGS, torch.optim.Adafactor)


def adamw(parameters: Iterable[Any]) -> torch.optim.AdamW:
    """The optimizer of the Toy Models notebook: lr 1e-3, weight decay 0.01."""
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)


def make_optimizer(make: Callable[[Iterable[Any]], Optimizer], parameters: Iterable[Any]) -> Optimizer:
    """The optimizer from its constructor.

    Raises:
        ConfigError: if torch refuses its settings.
    """
    with refused("model.optimizer"):
        made = make(parameters)
    require(isinstance(made, Optimizer), "model.optimizer", type(made).__name__, "a torch optimizer")
    return made


def refuse_coupling(optimizer: Optimizer, n_instances: int) -> None:
    """Raise a `ConfigError` if the optimizer's step would mix the instances of a stack."""
    if isinstance(optimizer, COUPLING_OPTIMIZERS) and n_instances > 1:
        raise ConfigError(
            f"model.optimizer is {type(optimizer).__name__}, whose step mixes instances; "
            "it must be one that treats every parameter on its own, or model.n_instances must be 1."
        )


REHEARSED = 10_000  # steps of a learning rate's course that are looked at before training


def rehearse(stack: Any, max_steps: int) -> None:
    """Make the optimizer and the learning rate's course of a `Stack` once, of a parameter that is not trained, and
    step them: many a setting is refused only then.

    Raises:
        ConfigError: if torch refuses them, or fails at a step.
    """
    optimizer = make_optimizer(stack.optimizer, [torch.nn.Parameter(torch.zeros(2, 2, 2))])
    refuse_coupling(optimizer, stack.n_instances)
    scheduler = None if stack.lr_scheduler is None else make_scheduler(stack.lr_scheduler, optimizer)
    if isinstance(scheduler, WarmupCosine):
        scheduler.fit_to(max_steps)
    with refused("model.optimizer"):
        step_once(optimizer)
    if scheduler is not None:
        with refused("model.lr_scheduler"):
            for _ in range(min(max_steps, REHEARSED)):
                scheduler.step()


def step_once(optimizer: Optimizer) -> None:
    """One step, at a small gradient."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.01) if parameter.requires_grad else None
    evaluations = iter((4.0, 3.0, 2.0, 1.0))  # an optimizer that asks for more would go on for ever
    with contextlib.suppress(_Enough):
        optimizer.step(lambda: _next_of(evaluations))


def twin_of(optimizer: Optimizer, device: torch.device) -> Optimizer | None:
    """An optimizer of the same class for parameters of the same shapes, to try; None if its class makes none so."""

    def like(parameter: Tensor) -> torch.nn.Parameter:
        return torch.nn.Parameter(torch.zeros_like(parameter, device=device), requires_grad=parameter.requires_grad)

    taken = signature(type(optimizer)).parameters
    settings = {name: value for name, value in optimizer.defaults.items() if name in taken}
    groups = [{**group, "params": [like(one) for one in group["params"]]} for group in optimizer.param_groups]
    try:
        return type(optimizer)(groups, **settings)
    except Exception:  # whatever a user's class raises
        return None


class _Enough(Exception):  # noqa: N818 - no error
    """As much has been seen of an optimizer as is needed."""


def _next_of(losses: Iterator[float]) -> float:
    for loss in losses:
        return loss
    raise _Enough


@contextlib.contextmanager
def refused(field: str) -> Iterator[None]:
    """What torch cannot do with a setting is said of it."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{field} is refused by torch: {reason}") from error


def make_scheduler(make: Callable[[Optimizer], Any], optimizer: Optimizer) -> LRScheduler:
    """The learning rate's course from its constructor.

    Raises:
        ConfigError: if torch refuses its settings, or it would follow the loss of the whole stack.
    """
    with refused("model.lr_scheduler"):
        scheduler: LRScheduler = make(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ConfigError(
            "model.lr_scheduler is ReduceLROnPlateau, which would follow the whole stack's loss; "
            "it must be a function of the step alone."
        )
    return scheduler
