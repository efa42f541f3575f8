"""Keep the latest state on disk, so that a run can be stopped or killed at any time and resumed to the same bits."""

import signal
import threading
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

from src.errors import require
from src.runs.folder import CHECKPOINT, run_folder


class LastCheckpoint(Checkpoint):
    """Saves `checkpoints/last.ckpt` at the first block's end after every n optimizer steps, and after the last.

    The file is replaced whole: a kill while saving leaves the one before. Ctrl-C and SIGTERM finish the block, save,
    and stop; a second Ctrl-C stops at once, with the file as it was last saved.

    Args:
        every_n_steps: optimizer steps between saves.
    """

    def __init__(self, every_n_steps: int = 1000) -> None:
        require(every_n_steps >= 1, "LastCheckpoint.every_n_steps", every_n_steps, "at least 1")
        self.every_n_steps = every_n_steps
        self._saved_step = 0
        self._stop_asked = False
        self._handler: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step = trainer.global_step
        self._stop_asked = False
        if threading.current_thread() is threading.main_thread():  # the only one that may set handlers
            self._handler = signal.signal(signal.SIGINT, self._ask_to_stop)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        is_due = step // self.every_n_steps > self._saved_step // self.every_n_steps
        if is_due or self._stop_asked or step == trainer.max_steps:
            self._save(trainer)
        if self._stop_asked:
            raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore_handler()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore_handler()
        if isinstance(exception, SIGTERMException):  # Lightning raises it at a block's end
            self._save(trainer)
        if isinstance(exception, KeyboardInterrupt | SIGTERMException) and self._saved_step > 0:
            Console().print(
                f"Stopped at step {trainer.global_step:,}. Resume from step {self._saved_step:,} with the same command "
                f"and  --ckpt_path {run_folder(trainer) / CHECKPOINT}",
                soft_wrap=True,
                markup=False,
            )

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(run_folder(trainer) / CHECKPOINT)
        self._saved_step = trainer.global_step

    def _ask_to_stop(self, signum: int, frame: Any) -> None:
        self._stop_asked = True
        self._restore_handler()

    def _restore_handler(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None
