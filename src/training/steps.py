"""Lightning counts batches, which are blocks of steps here; what its user sets and sees counts optimizer steps."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar


def count_steps(trainer: Trainer) -> None:
    """Make a trainer's intervals and its stock progress bar count optimizer steps, to the nearest whole block.

    Called when training starts, once the trainer has read its settings.
    """
    block_size = getattr(trainer.datamodule, "block_size", 1)  # type: ignore[attr-defined]
    interval: Any = getattr(trainer, "val_check_interval", None)  # none where validation is timed
    if isinstance(interval, int):
        trainer.val_check_batch = max(1, round(interval / block_size))
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    if every:
        trainer.log_every_n_steps = block_size * max(1, round(every / block_size))  # type: ignore[attr-defined]
    bar = trainer.progress_bar_callback
    if bar is not None and not isinstance(bar, _InSteps):
        bar.__class__ = type(type(bar).__name__, (_InSteps, type(bar)), {})


def count_block(trainer: Trainer) -> None:
    """Tell Lightning's loop, which is about to count a batch, under which step it logs."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step - 1


class _InSteps(ProgressBar):
    """Before a progress bar's own class: its total is `max_steps`, and a batch ends where its last step does."""

    @property
    def total_train_batches(self) -> int | float:
        return self.trainer.max_steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, trainer.global_step - 1)
