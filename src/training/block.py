"""One Lightning batch: a block of optimizer steps, taken without Lightning's work between them."""

from collections.abc import Iterator, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from src.distributions.examples import Chunk
from src.errors import ConfigError
from src.objective.choice import agrees

SEVERAL = 10  # steps, of which the norm of every instance's gradient is taken at one: it costs a twentieth of a step


class Repeated(NamedTuple):
    """The same batch at each of so many steps."""

    x: Tensor
    n_steps: int


# [step, batch, feature], or [step, instance, batch, feature] when each instance has its own data; with weights [batch]
# that sum to 1 if it is a `Chunk`; a batch [batch, feature] for each step, dense or sparse; or one for a single step.
Block = Tensor | Chunk | Sequence[Tensor] | Repeated


def batches_of(block: Block, n_features: int, dtype: torch.dtype) -> tuple[Sequence[Tensor] | Tensor, Tensor | None]:
    """The batch of each step, and the weights of the examples where they have some.

    Raises:
        ConfigError: if the block, which a loader of the user's own may have made, holds something else.
    """
    if isinstance(block, Repeated):
        return [block.x] * block.n_steps, None
    if isinstance(block, Chunk):
        return block.x, block.weights
    batches = [block.to(dtype)] if isinstance(block, Tensor) and block.dim() == 2 else block  # of a plain DataLoader
    parts = [batches] if isinstance(batches, Tensor) else list(batches)
    if not all(isinstance(x, Tensor) and x.dim() >= 2 and x.shape[-1] == n_features for x in parts):
        kinds = [" x ".join(map(str, x.shape)) if isinstance(x, Tensor) else type(x).__name__ for x in parts]
        allowed = f"examples, [batch, feature] with {n_features} features"
        raise ConfigError(f"a training batch is {' and '.join(kinds)}; it must be {allowed}.")
    return batches, None


def train_block(stack: Any, block: Block) -> Float[Tensor, "step instance feature"]:
    """One optimizer step of a `Stack` for each batch; returns the feature losses, each before its step's update.

    Lightning's hooks run around the first step, and `trainer.global_step` counts every one.

    Raises:
        NonFiniteError: if a loss of the block is infinite or not a number, and the stack does not freeze.
    """
    optimizer, first_step = stack.optimizers(), stack.global_step
    assert isinstance(optimizer, LightningOptimizer)
    schedulers = stack.lr_schedulers() if stack.lr_scheduler is not None else None
    progress = stack.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    argument = signature(optimizer.optimizer.step).parameters.get("closure")
    needs_closure = argument is not None and argument.default is Parameter.empty
    norms = [(of, stack.get_parameter(of.parameter)) for of in stack.gradient_norms.values()]
    norms_of_few = [pair for pair in norms if pair[0].instances is not None]
    k = 0
    batches, weights = batches_of(block, stack.n_features, stack.W.dtype)
    feature_losses = stack.b.new_empty(len(batches), *stack.b.shape)
    stack.divergence.begin_block(stack)
    if not agrees(stack.objective):
        stack.leave_to_autograd()

    def set_gradients(x: Tensor, out: Tensor | None) -> Tensor:
        losses: Tensor = stack.objective.set_gradients(x, out, weights)
        stack.divergence.still(stack)
        if out is not None:
            for of, parameter in norms if k % SEVERAL == 0 else norms_of_few:
                if parameter.grad is not None:
                    of.add(parameter.grad, parameter.shape[1:] == stack.W.shape[1:])
        return losses

    def loss_of(x: Tensor, out: Iterator[Tensor]) -> Tensor:
        return set_gradients(x, next(out, None)).mean(dim=-1).sum()

    for k, (x, losses) in enumerate(zip(batches, feature_losses, strict=True)):
        closure = partial(loss_of, x, iter([losses]))  # an optimizer may evaluate again, at other weights
        if k == 0:
            optimizer.step(closure=closure)  # with Lightning's hooks, and counted by it
        else:
            progress.increment_ready()
            if needs_closure:
                optimizer.optimizer.step(closure=closure)  # type: ignore[arg-type]
            else:
                set_gradients(x, losses)
                optimizer.optimizer.step()
            progress.increment_completed()
        if schedulers is not None:
            schedulers.step()
    led_to = feature_losses
    if first_step + len(batches) >= stack.trainer.max_steps:  # no later step would notice what the last one has led to
        led_to = torch.cat([feature_losses, _losses_now(stack, x, weights)[None]])
    stack.divergence.end_block(stack, optimizer.optimizer, led_to, first_step)
    return led_to[: len(feature_losses)]


def _losses_now(stack: Any, x: Tensor, weights: Tensor | None) -> Float[Tensor, "instance feature"]:
    """The feature losses at the present weights; the gradients stay those of the last step."""
    gradients = [None if parameter.grad is None else parameter.grad.clone() for parameter in stack.parameters()]
    losses: Tensor = stack.objective.set_gradients(x, None, weights)
    for parameter, gradient in zip(stack.parameters(), gradients, strict=True):
        parameter.grad = gradient
    return losses
