"""Loss of each feature, the overall loss and the number of learned features: the post's Figures 10 and 12."""

from typing import Any

from lightning import LightningModule, Trainer

from callbacks.recorder import Recorder
from src.geometry.polygons import count_directions
from src.model import ToyModel
from src.runs.charts import OVERALL, charts_of, spread_lines


class FeatureLosses(Recorder):
    """Charts `feature_loss` (a line a feature, or of more than 16 a histogram), `loss` (their mean) and `n_learned`.

    The losses are taken on a summary of the whole distribution, the same nodes at every step and for every instance, so
    that the curves show the model move and not the batch. Of a stack that is larger than what is followed, `loss/all`
    shows the spread over all instances, on the batches that the block of steps just trained on, and `n_learned/all`
    that of the number of learned features.
    """

    def __init__(self, n_records: int | None = None, instances: list[int] | None = None) -> None:
        super().__init__(n_records, instances)
        self._is_due = False

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts = charts_of(trainer)
        losses = model.recorded_feature_losses(self.followed)
        n_learned = count_directions(model.columns).float()
        of_followed = n_learned[self.followed].tolist()
        rows = zip(self.labels(model), losses, losses.mean(dim=1).tolist(), of_followed, strict=True)
        for label, features, overall, learned in rows:
            charts.add_features(f"feature_loss/{label}", features, step)
            charts.add_lines(f"loss/{label}", {OVERALL: overall}, step)
            charts.add_lines(f"n_learned/{label}", {OVERALL: learned}, step)
        self._is_due = self.has_unfollowed(model) and not after_last
        if self.has_unfollowed(model):
            charts.add_lines("n_learned/all", spread_lines(n_learned), step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._is_due:
            self._is_due = False
            losses = outputs["feature_losses"].mean(dim=0).mean(dim=1)
            charts_of(trainer).add_lines("loss/all", spread_lines(losses), trainer.global_step)
