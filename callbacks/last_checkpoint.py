"""Keep the latest state on disk, so that a run can be killed at any time and resumed to the same bits."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from src.errors import require
from src.runs import CHECKPOINT, run_folder


class LastCheckpoint(Checkpoint):
    """Saves `checkpoints/last.ckpt` at the first block's end after every n optimizer steps, and after the last.

    The file is replaced whole: a kill while saving leaves the one before.

    Args:
        every_n_steps: optimizer steps between saves.
    """

    def __init__(self, every_n_steps: int = 1000) -> None:
        require(every_n_steps >= 1, "LastCheckpoint.every_n_steps", every_n_steps, "at least 1")
        self.every_n_steps = every_n_steps
        self._saved_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        is_due = step // self.every_n_steps > self._saved_step // self.every_n_steps
        if is_due or step == trainer.max_steps:
            trainer.save_checkpoint(run_folder(trainer) / CHECKPOINT)
            self._saved_step = step
