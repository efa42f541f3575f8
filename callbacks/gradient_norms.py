"""Norm of the loss's gradient with respect to each column of W: the post's Figures 9 and 11."""

from lightning import Trainer

from callbacks.recorder import Recorder
from src.model import ToyModel
from src.runs.charts import charts_of, spread_lines


class GradientNorms(Recorder):
    """Chart `gradient_norm`, a line a feature or of more than 16 a histogram.

    The gradient is the batch's own, before the optimizer sees it.

    Of a stack that is larger than what is followed, `gradient_norm/all` shows the spread over all instances of the
    whole gradient's norm.
    """

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        if after_last or model.W.grad is None:
            return
        charts = charts_of(trainer)
        norms = model.W.grad[self.followed].norm(dim=1)
        for i, columns in zip(self.followed, norms, strict=True):
            charts.add_features(f"gradient_norm/instance_{i}", columns, step)
        if self.has_unfollowed(model):
            charts.add_lines("gradient_norm/all", spread_lines(model.W.grad.flatten(1).norm(dim=1)), step)
