"""Instances whose loss or weights become infinite or not a number: the run stops, or goes on without them."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.optim import Optimizer

from src.errors import NonFiniteError

OnDivergence = Literal["stop", "freeze"]
N_NAMED = 20  # how many instances a message names before it only counts them


class Divergence:
    """What becomes of instances that diverge.

    `stop` ends the run with a `NonFiniteError`. `freeze` puts a diverged instance back to where its loss was last
    finite, at the start of a block of steps, and keeps it there (one that diverges in its first steps after a resume:
    to where the run was resumed). The others never notice, since no step mixes instances. When all have diverged the
    run ends as if its last step had come.

    Attributes:
        steps: of each frozen instance, the optimizer step at which it diverged.
    """

    def __init__(self, freezes: bool) -> None:
        self.freezes = freezes
        self.steps: dict[int, int] = {}
        self._now: list[Tensor] = []  # the parameters as the block began
        self._before: list[Tensor] = []  # and as the one before it did

    @property
    def frozen(self) -> list[int]:
        return sorted(self.steps)

    @torch.no_grad()
    def begin_block(self, stack: Any) -> None:
        if self.freezes:
            self._before, self._now = self._now, [parameter.detach().clone() for parameter in stack.parameters()]

    def still(self, stack: Any) -> None:
        """Before a step: a frozen instance has no gradient."""
        if self.steps:
            for parameter in stack.parameters():
                if parameter.grad is not None:
                    parameter.grad[self.frozen] = 0

    @torch.no_grad()
    def end_block(
        self, stack: Any, optimizer: Optimizer, losses: Float[Tensor, "step instance feature"], first_step: int
    ) -> None:
        """Look at what a block has led to; of a frozen instance the losses become NaN.

        Args:
            losses: at each step of the block; at the run's end also those after its last step.

        Raises:
            NonFiniteError: of a stack that does not freeze, naming the instances and the step.
        """
        if self.freezes and self.steps:
            losses[:, self.frozen] = 0
            self._put_back(stack, self.frozen, self._now)
        if not losses.sum().isfinite() or not _are_finite(stack):
            bad = ~losses.isfinite().all(dim=-1)  # [step, instance]
            instances = (bad.any(dim=0) | self._have_bad_weights(stack)).nonzero().flatten().tolist()
            if instances and not self.freezes:
                raise NonFiniteError(_sentence(bad, instances, first_step, stack.instance_names))
            for i in instances:
                at = bad[:, i].nonzero()
                self.steps[i] = first_step + (int(at[0]) if len(at) else len(losses) - 1)
                began_finite = bool(losses[0, i].isfinite().all()) or not self._before
                self._put_back(stack, [i], self._now if began_finite else self._before)
            self._forget(optimizer)
        if self.steps:
            losses[:, self.frozen] = torch.nan
            if len(self.steps) == stack.n_instances:
                stack.trainer.should_stop = True

    def _have_bad_weights(self, stack: Any) -> Bool[Tensor, " instance"]:
        return torch.stack([~p.isfinite().view(len(p), -1).all(dim=1) for p in stack.parameters()]).any(dim=0)

    @staticmethod
    def _put_back(stack: Any, instances: Sequence[int], kept: Sequence[Tensor]) -> None:
        for parameter, values in zip(stack.parameters(), kept, strict=True):
            parameter[list(instances)] = values[list(instances)]

    def _forget(self, optimizer: Optimizer) -> None:
        """Of a frozen instance the optimizer remembers nothing: its moments are not finite either."""
        for parameter, state in optimizer.state.items():
            for value in state.values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value[self.frozen] = 0


def _are_finite(stack: Any) -> bool:
    return all(bool(parameter.sum().isfinite()) for parameter in stack.parameters())


def _sentence(bad: Bool[Tensor, "step instance"], instances: list[int], first_step: int, names: Sequence[str]) -> str:
    steps = bad.any(dim=1).nonzero()
    step = first_step + (int(steps[0]) if len(steps) else len(bad) - 1)
    others = "" if len(instances) == len(names) else " The others go on with --model.on_divergence freeze."
    return (
        f"The loss became non-finite at step {step}, in instance {named(instances, names)} of {len(names)}; "
        f"the run has stopped, and what it recorded is kept.{others}"
    )


def named(instances: Sequence[int], names: Sequence[str]) -> str:
    """`3 (seed 14), 5 (seed 16) and 7 more`."""
    more = f" and {len(instances) - N_NAMED} more" if len(instances) > N_NAMED else ""
    return ", ".join(f"{i} ({names[i]})" for i in instances[:N_NAMED]) + more
