"""A number of every instance, or several: what a question of one's own is about."""

import re

from jaxtyping import Float
from lightning import Trainer
from rich.console import Console
from torch import Tensor

from callbacks.recorder import Recorder
from src.errors import require
from src.model import ToyModel
from src.results.metrics import summary_text
from src.runs.charts import N_LINES, OVERALL, charts_of, spread_lines


class Metric(Recorder):
    """Charts what `measure` finds: of the followed instances, and as `<name>/all` its spread over a larger stack.

    After training it prints the mean with its 95 % interval, and the census gets a column `metric_<name>`, with several
    numbers in a cell where an instance has several. A sweep puts them together in `metrics.csv` and
    `metric_<name>.svg`. A subclass defines `measure`.

    Args:
        n_records, instances: see `Recorder`.
        name: by default the class's, as `pair_angles` of `PairAngles`.
    """

    def __init__(
        self, n_records: int | None = None, instances: list[int] | None = None, name: str | None = None
    ) -> None:
        says = type(self).measure is not Metric.measure
        require(says, "trainer.callbacks", type(self).__name__, "a class that says what it measures")
        super().__init__(n_records, instances)
        self.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        is_plain = re.fullmatch(r"[\w-]+", self.name) is not None
        require(is_plain, f"{type(self).__name__}.name", repr(self.name), "letters, digits, - and _, for files have it")

    def measure(self, model: ToyModel) -> Float[Tensor, "instance ..."]:
        """The number of each instance, or several numbers; NaN where there is none."""
        raise NotImplementedError

    def measured(self, model: ToyModel) -> Float[Tensor, "instance several"]:
        """What `measure` returns, as a table.

        Raises:
            ConfigError: if it is another shape.
        """
        values, kind = self.measure(model), type(self).__name__
        allowed = f"a real tensor, [{model.n_instances}] or [{model.n_instances}, several], the instances first"
        is_real = isinstance(values, Tensor) and not values.is_complex()
        is_right = is_real and values.dim() in (1, 2) and len(values) == model.n_instances and values.numel() > 0
        found = list(values.shape) if is_real else getattr(values, "dtype", type(values).__name__)
        require(is_right, f"what {kind}.measure returns", found, allowed)
        return values.detach().cpu().double().reshape(model.n_instances, -1)

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        charts, values = charts_of(trainer), self.measured(model)
        for label, own in zip(self.labels(model), values[self.followed], strict=True):
            chart = f"{self.name}/{label}"
            if len(own) > N_LINES or len(own) == model.n_features > 1:
                charts.add_features(chart, own, step)
            else:
                lines = (
                    {OVERALL: float(own)} if len(own) == 1 else {f"number_{k}": x for k, x in enumerate(own.tolist())}
                )
                charts.add_lines(chart, lines, step)
        if self.has_unfollowed(model):
            charts.add_lines(f"{self.name}/all", spread_lines(values.flatten()), step)
        if after_last:
            Console().print(summary_text(self.name, values.tolist()), soft_wrap=True, highlight=False)

    def census_column(self, model: ToyModel) -> list[str]:
        """The column of the census: the numbers of each instance, as text."""
        return [" ".join(f"{value:.6g}" for value in row) for row in self.measured(model).tolist()]
