"""Loss of each feature, the overall loss and the number of learned features: the post's Figures 10 and 12."""

from lightning import Trainer

from callbacks.recorder import Recorder
from src.charts import OVERALL, charts_of, feature_lines
from src.geometry import find_polygons
from src.model import ToyModel


class FeatureLosses(Recorder):
    """Charts `feature_loss` (one line a feature), `loss` (their mean) and `n_learned`.

    The losses are taken on the first part of the validation sample, the same at every step and for every instance, so
    that the curves show the model move and not the batch.
    """

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts = charts_of(trainer)
        losses = model.recorded_feature_losses(self.followed)
        n_learned = find_polygons(model.W[self.followed]).n_directions.double()
        rows = zip(self.followed, losses.tolist(), losses.mean(dim=1).tolist(), n_learned.tolist(), strict=True)
        for i, features, overall, learned in rows:
            charts.add_lines(f"feature_loss/instance_{i}", feature_lines(features), step)
            charts.add_lines(f"loss/instance_{i}", {OVERALL: overall}, step)
            charts.add_lines(f"n_learned/instance_{i}", {OVERALL: learned}, step)
