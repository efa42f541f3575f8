"""Length of each column of W, and the Frobenius norm beside the limit of the post's Figure 8."""

from lightning import Trainer

from callbacks.recorder import Recorder
from src.model import ToyModel
from src.runs.charts import OVERALL, charts_of, spread_lines
from src.theory.post import PENTAGON_NORM


class FeatureNorms(Recorder):
    """Charts `feature_norm` (a line a feature, or of more than 16 a histogram) and `frobenius_norm` (with sqrt(5)).

    Of a variant's further parameter V it is `norm_of_V`: by feature where V has the shape of W, else of the whole.

    Of a stack that is larger than what is followed, `frobenius_norm/all` shows the spread over all instances.
    """

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts = charts_of(trainer)
        norms = model.columns.detach()[self.followed].norm(dim=1)
        for label, columns, norm in zip(self.labels(model), norms, norms.norm(dim=1).tolist(), strict=True):
            charts.add_features(f"feature_norm/{label}", columns, step)
            charts.add_lines(f"frobenius_norm/{label}", {OVERALL: norm, "sqrt_5": PENTAGON_NORM}, step)
        for name, parameter in model.further_parameters.items():
            for label, own in zip(self.labels(model), parameter.detach()[self.followed], strict=True):
                if own.shape == model.W.shape[1:]:
                    charts.add_features(f"norm_of_{name}/{label}", own.norm(dim=0), step)
                else:
                    charts.add_lines(f"norm_of_{name}/{label}", {OVERALL: float(own.norm())}, step)
        if self.has_unfollowed(model):
            norms = model.columns.flatten(1).norm(dim=1)
            charts.add_lines("frobenius_norm/all", {**spread_lines(norms), "sqrt_5": PENTAGON_NORM}, step)
