"""How much of the hidden space each feature has to itself, and each training example."""

import torch
from lightning import Trainer
from torch import Tensor

from callbacks.recorder import Recorder
from src.data import FiniteFeatures
from src.geometry.dimensionality import Dimensionality
from src.model import ToyModel
from src.runs.charts import charts_of
from src.runs.folder import run_folder, write_stored


class Dimensionalities(Recorder):
    """Charts `feature_dimensionality` and `example_dimensionality`, as distributions, and `dimensionality`.

    `dimensionality` has the lines `largest_feature`, `median_example`, and `hidden_over_examples`, which is m / T: what
    each of T examples has if they share the space evenly. (Their mean is about m / T whatever they do.) Of
    endless examples a part of the held-out sample is taken; other data than `FiniteFeatures` have the features alone.

    After training `stored.safetensors` in the run folder holds, for every instance, its columns, the examples' hidden
    vectors and both dimensionalities.
    """

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts = charts_of(trainer)
        values = _of(model.columns.detach()[self.followed])
        for label, of_features in zip(self.labels(model), values, strict=True):
            charts.add_features(f"feature_dimensionality/{label}", of_features, step)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, FiniteFeatures):
            return
        h = model.objective.hidden_vectors(data.examples.to(model.W))
        examples = _of(h[self.followed])
        share = {} if data.n_examples is None else {"hidden_over_examples": model.n_hidden / data.n_examples}
        for label, of_features, of_examples in zip(self.labels(model), values, examples, strict=True):
            charts.add_distribution(f"example_dimensionality/{label}", of_examples, step)
            lines = {"largest_feature": float(of_features.max()), "median_example": float(of_examples.median())}
            charts.add_lines(f"dimensionality/{label}", {**lines, **share}, step)
        if after_last:
            tensors = {
                "W": model.columns.detach(),
                "hidden_vectors": h,
                "feature_dimensionality": _of(model.columns),
                "example_dimensionality": _of(h),
            }
            write_stored(run_folder(trainer), {name: tensor.float().cpu() for name, tensor in tensors.items()})


@torch.no_grad()
def _of(vectors: Tensor) -> Tensor:
    """[instance, hidden, point] -> [instance, point]."""
    metric = Dimensionality().to(vectors.device)
    metric.update(vectors)
    return metric.value()
