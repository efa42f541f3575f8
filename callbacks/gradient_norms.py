"""Norm of the loss's gradient with respect to each column of W: the post's Figures 9 and 11."""

from lightning import LightningModule, Trainer

from callbacks.recorder import Recorder
from src.model import ToyModel
from src.runs.charts import OVERALL, charts_of, spread_lines


class GradientNorms(Recorder):
    """Chart `gradient_norm`, a line a feature or of more than 16 a histogram.

    A point is the mean over the steps since the last one, or since the run was resumed, of the norm of each batch's own
    gradient, before the optimizer sees it. (The norm of one batch scatters by half its mean.)

    Of a variant's further parameter V the same is `gradient_norm_of_V`: by feature where it has the shape of W, else of
    the whole.

    Of a stack that is larger than what is followed, `gradient_norm/all` shows the spread over all instances of the
    whole gradient's norm, a mean over every tenth of these steps.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        assert isinstance(pl_module, ToyModel)
        further = {name: pl_module.mean_gradient_norm(self.followed, name) for name in pl_module.further_parameters}
        self._means_of = {
            "gradient_norm": pl_module.mean_gradient_norm(self.followed),
            **{f"gradient_norm_of_{name}": own for name, own in further.items()},
        }
        self._of_all = pl_module.mean_gradient_norm(None) if self.has_unfollowed(pl_module) else None

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts = charts_of(trainer)
        for chart, means in self._means_of.items():
            norms = means.take()
            for label, columns in [] if norms is None else zip(self.labels(model), norms, strict=True):
                if len(columns) == model.n_features:
                    charts.add_features(f"{chart}/{label}", columns, step)
                else:
                    charts.add_lines(f"{chart}/{label}", {OVERALL: float(columns[0])}, step)
        of_all = None if self._of_all is None else self._of_all.take()
        if of_all is not None:
            charts.add_lines("gradient_norm/all", spread_lines(of_all[:, 0]), step)
