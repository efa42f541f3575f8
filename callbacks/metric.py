"""A number of every instance, or several: what a question of one's own is about."""

import re

from jaxtyping import Float
from lightning import Trainer
from rich.console import Console
from torch import Tensor

from callbacks.recorder import Recorder
from src.errors import require
from src.model import ToyModel
from src.results.metrics import METRIC, summary_text
from src.runs.charts import OVERALL, charts_of, spread_lines


class Metric(Recorder):
    """Charts what `measure` finds: of the followed instances, and as `<name>/all` its spread over a larger stack.

    After training it prints the mean with its 95 % interval, and the census gets a column `metric_<name>`, with several
    numbers in a cell where an instance has several. A sweep puts them together in `metrics.csv` and `metrics.svg`. A
    subclass defines `measure`; its name is the class's, `PairAngles` is `pair_angles`.
    """

    def __init__(self, n_records: int | None = None, instances: list[int] | None = None) -> None:
        says = type(self).measure is not Metric.measure
        require(says, "trainer.callbacks", type(self).__name__, "a class that says what it measures")
        super().__init__(n_records, instances)

    def measure(self, model: ToyModel) -> Float[Tensor, "instance ..."]:
        """The number of each instance, or several numbers; NaN where there is none."""
        raise NotImplementedError

    @property
    def metric_name(self) -> str:
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def measured(self, model: ToyModel) -> Float[Tensor, "instance several"]:
        """What `measure` returns, as a table.

        Raises:
            ConfigError: if it is another shape.
        """
        values = self.measure(model).detach().cpu().double()
        allowed = f"{model.n_instances}, the instances, with one number or a row of numbers for each"
        is_right = values.dim() in (1, 2) and len(values) == model.n_instances
        require(is_right, f"the shape of what {type(self).__name__}.measure returns", list(values.shape), allowed)
        return values.reshape(model.n_instances, -1)

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts, values = charts_of(trainer), self.measured(model)
        for label, own in zip(self.labels(model), values[self.followed].tolist(), strict=True):
            lines = {OVERALL: own[0]} if len(own) == 1 else {str(k): value for k, value in enumerate(own)}
            charts.add_lines(f"{self.metric_name}/{label}", lines, step)
        if self.has_unfollowed(model):
            charts.add_lines(f"{self.metric_name}/all", spread_lines(values.flatten()), step)
        if after_last:
            Console().print(summary_text(self.metric_name, values.tolist()), soft_wrap=True, highlight=False)

    def census_columns(self, model: ToyModel) -> dict[str, list[str]]:
        """The column of the census: the numbers of each instance, as text."""
        rows = self.measured(model).tolist()
        return {f"{METRIC}{self.metric_name}": [" ".join(f"{value:.6g}" for value in row) for row in rows]}
