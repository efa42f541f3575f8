"""Which optimizers and schedules may train a stack: those that treat every instance as it would be treated alone."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from src.errors import ConfigError

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
    try:
        return make(parameters)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"model.optimizer is refused by torch: {error}") from error


def refuse_coupling(optimizer: Optimizer, n_instances: int) -> None:
    """Raise a `ConfigError` if the optimizer's step would mix the instances of a stack."""
    if isinstance(optimizer, COUPLING_OPTIMIZERS) and n_instances > 1:
        raise ConfigError(
            f"model.optimizer is {type(optimizer).__name__}, whose step mixes instances; "
            "it must be one that treats every parameter on its own, or model.n_instances must be 1."
        )


def make_scheduler(make: Callable[[Optimizer], Any], optimizer: Optimizer) -> LRScheduler:
    """The learning rate's course from its constructor.

    Raises:
        ConfigError: if it would follow the loss of the whole stack.
    """
    scheduler: LRScheduler = make(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ConfigError(
            "model.lr_scheduler is ReduceLROnPlateau, which would follow the whole stack's loss; "
            "it must be a function of the step alone."
        )
    return scheduler
