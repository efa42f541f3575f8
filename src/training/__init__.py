"""How a stack trains: blocks of optimizer steps, optimizers, schedules, resuming."""

from src.training.schedules import WarmupCosine

__all__ = ["WarmupCosine"]
