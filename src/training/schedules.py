"""Learning rates that change while a model trains."""

import math
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from src.errors import require


class WarmupCosine(LRScheduler):
    """Linear warm-up, then half a cosine down to zero (Henighan et al. 2023).

    Args:
        optimizer: its learning rate is the highest, reached after the warm-up.
        warmup_steps: optimizer steps until then.
        total_steps: optimizer steps until zero; None is the trainer's `max_steps`.
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int, total_steps: int | None = None) -> None:
        require(warmup_steps >= 0, "lr_scheduler.warmup_steps", warmup_steps, "at least 0")
        allowed = f"more than warmup_steps, {warmup_steps}, or null for trainer.max_steps"
        require(total_steps is None or total_steps > warmup_steps, "lr_scheduler.total_steps", total_steps, allowed)
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.has_end = total_steps is not None
        super().__init__(optimizer)

    def fit_to(self, max_steps: int) -> None:
        """End with the run, if no end was given.

        Raises:
            ConfigError: if the run ends during the warm-up, or not where the schedule does.
        """
        after = f"more than {self.warmup_steps}, lr_scheduler.warmup_steps"
        require(max_steps > self.warmup_steps, "trainer.max_steps", max_steps, after)
        if self.total_steps is None:
            self.total_steps = max_steps
        fits = max_steps == self.total_steps or (self.has_end and max_steps < self.total_steps)
        end = f"{'at most ' if self.has_end else ''}{self.total_steps}, where the learning rate's course ends"
        require(fits, "trainer.max_steps", max_steps, end)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in ("warmup_steps", "total_steps"):
            own, saved = getattr(self, name), state_dict[name]
            require(own in (None, saved), f"lr_scheduler.{name}", own, f"{saved}, as in the checkpoint")
        super().load_state_dict({**state_dict, "has_end": self.has_end})

    def share(self, step: int) -> float:
        """Of the highest learning rate, at a step counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.total_steps is None:
            return 1.0
        course = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return (1 + math.cos(math.pi * min(1.0, course))) / 2

    def get_lr(self) -> list[float | Tensor]:
        return [highest * self.share(self.last_epoch) for highest in self.base_lrs]
