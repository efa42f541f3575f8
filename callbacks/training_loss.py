"""Loss on the batches trained on, beside the held-out one."""

from typing import Any

from lightning import LightningModule, Trainer

from callbacks.recorder import Recorder
from src.model import ToyModel
from src.runs.charts import charts_of


class TrainingLoss(Recorder):
    """Line `training` of the chart `loss`, whose other line, the run itself, is the held-out loss of `FeatureLosses`.

    It is the mean over the block of steps that was trained on: of a finite training set, the loss on all of it.
    """

    def __init__(self, n_records: int | None = None, instances: list[int] | None = None) -> None:
        super().__init__(n_records, instances)
        self._is_due = False

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        self._is_due = not after_last

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._is_due:
            assert isinstance(pl_module, ToyModel)
            self._is_due = False
            losses = outputs["feature_losses"].mean(dim=0).mean(dim=1)[self.followed].tolist()
            for label, loss in zip(self.labels(pl_module), losses, strict=True):
                charts_of(trainer).add_lines(f"loss/{label}", {"training": loss}, trainer.global_step)
