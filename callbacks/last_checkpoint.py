"""Keep the latest state on disk, so that a run can be stopped or killed at any time and resumed to the same bits."""

import math
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

from src.errors import require
from src.runs.checkpoints import WholeFiles, keep_previous
from src.runs.folder import CHECKPOINT, FolderGoneError, run_folder
from src.stopping import AT_ONCE, STOPPING, Stopped

STOPS = (KeyboardInterrupt, SIGTERMException, Stopped)


class LastCheckpoint(Checkpoint):
    """Saves `checkpoints/last.ckpt` at the first block's end after every n optimizer steps, and after the last.

    The file is replaced whole, and the one before is kept as `previous.ckpt`: a kill while saving, or a full disk,
    leaves a good one. Ctrl-C, SIGTERM and SIGHUP finish the block, save, and stop; a second Ctrl-C stops at once, with
    the file as it was last saved. Signals within `AT_ONCE` of the first are the same one.

    Args:
        every_n_steps: optimizer steps between saves.
    """

    def __init__(self, every_n_steps: int = 1000) -> None:
        require(every_n_steps >= 1, "LastCheckpoint.every_n_steps", every_n_steps, "at least 1")
        self.every_n_steps = every_n_steps
        self._saved_step = 0
        self._asked: int | None = None  # the signal that asked to stop, and
        self._asked_at = -math.inf  # when
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeFiles()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step = trainer.global_step
        self._asked = None
        if threading.current_thread() is threading.main_thread():  # the only one that may set handlers
            heeded = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
            self._handlers = {number: signal.signal(number, self._ask_to_stop) for number in heeded}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        is_due = step // self.every_n_steps > self._saved_step // self.every_n_steps
        if is_due or self._asked is not None or step == trainer.max_steps:
            self._save(trainer)
        if self._asked is not None:
            raise Stopped(self._asked)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore_handlers()
        if trainer.global_step > self._saved_step:  # stopped early, by what a callback found
            self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._handlers:  # the twin of the signal that asked may still come
            time.sleep(max(0.0, self._asked_at + AT_ONCE - time.monotonic()))
        self._restore_handlers()
        if isinstance(exception, (*STOPS, OSError)) and self._saved_step > 0:
            with suppress(OSError):  # the terminal may be what has gone
                Console().print(
                    f"Stopped at step {trainer.global_step:,}. Resume from step {self._saved_step:,} with the same "
                    f"command and  --ckpt_path {self._path(trainer)}",
                    soft_wrap=True,
                    markup=False,
                )

    def _save(self, trainer: Trainer) -> None:
        path = self._path(trainer)
        try:
            run_folder(trainer)
        except FolderGoneError:  # the run cannot go on, but what it has learned is saved where it was
            trainer.save_checkpoint(path)
            self._saved_step = trainer.global_step
            raise
        keep_previous(path)
        trainer.save_checkpoint(path)
        self._saved_step = trainer.global_step

    @staticmethod
    def _path(trainer: Trainer) -> Path:
        return Path(trainer.log_dir or trainer.default_root_dir) / CHECKPOINT

    def _ask_to_stop(self, signum: int, frame: Any) -> None:
        if self._asked is None:
            self._asked, self._asked_at = signum, time.monotonic()
        elif time.monotonic() - self._asked_at > AT_ONCE:
            self._restore_handlers()
            signal.raise_signal(signum)

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
