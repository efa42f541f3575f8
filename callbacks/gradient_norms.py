"""Norm of the loss's gradient with respect to each column of W: the post's Figures 9 and 11."""

from lightning import LightningModule, Trainer

from callbacks.recorder import Recorder
from src.model import ToyModel
from src.runs.charts import charts_of, spread_lines


class GradientNorms(Recorder):
    """Chart `gradient_norm`, a line a feature or of more than 16 a histogram.

    A point is the mean over the steps since the last one, or since the run was resumed, of the norm of each batch's own
    gradient, before the optimizer sees it. (The norm of one batch scatters by half its mean.)

    Of a stack that is larger than what is followed, `gradient_norm/all` shows the spread over all instances of the
    whole gradient's norm, a mean over every tenth of these steps.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        assert isinstance(pl_module, ToyModel)
        self._means = pl_module.mean_gradient_norm(self.followed)
        self._of_all = pl_module.mean_gradient_norm(None) if self.has_unfollowed(pl_module) else None

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts, norms = charts_of(trainer), self._means.take()
        if norms is None:
            return
        for label, columns in zip(self.labels(model), norms, strict=True):
            charts.add_features(f"gradient_norm/{label}", columns, step)
        of_all = None if self._of_all is None else self._of_all.take()
        if of_all is not None:
            charts.add_lines("gradient_norm/all", spread_lines(of_all[:, 0]), step)
