"""Pictures of the columns of W while they move, with a step slider in TensorBoard."""

import sys
from pathlib import Path

from lightning import LightningModule, Trainer
from matplotlib.figure import Figure

from callbacks.pictures import add_figure, picture_name
from callbacks.recorder import Recorder
from src.errors import require
from src.figures.elements import png
from src.figures.polygons import polygon_figure
from src.model import ToyModel
from src.runs.charts import charts_of
from src.runs.folder import POLYGONS

MOST = 1000  # pictures: a tenth of a second each, and a slider shows no more


def snapshot_steps(max_steps: int, n_snapshots: int, block_size: int = 1) -> list[int]:
    """Steps from 0 to `max_steps`, a block apart at first and then ever more: most of the motion is early.

    Of a run of fewer blocks than snapshots every block's first step.
    """
    n_gaps, n_blocks = n_snapshots - 1, max_steps / block_size
    if n_blocks <= n_gaps:
        return [*range(0, max_steps, block_size), max_steps]
    rest = n_blocks - n_gaps
    return [min(max_steps, block_size * round(k + rest * (k / n_gaps) ** 2)) for k in range(n_gaps)] + [max_steps]


class PolygonSnapshots(Recorder):
    """Image `polygons`, the followed instances side by side on one scale; the last is also in the run folder.

    A snapshot is taken at step 0, after the last step, and at steps between, closer together at the beginning.

    Args:
        n_snapshots: pictures over the whole run.
        instances: which instances to draw; by default the first four.
    """

    file = POLYGONS

    def __init__(self, n_snapshots: int = 60, instances: list[int] | None = None) -> None:
        super().__init__(instances=instances)
        allowed = f"from 2 to {MOST}, each of which is drawn"
        require(2 <= n_snapshots <= MOST, "PolygonSnapshots.n_snapshots", n_snapshots, allowed)
        self.n_snapshots = n_snapshots
        self.steps: list[int] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.steps = snapshot_steps(
            trainer.max_steps,
            self.n_snapshots,
            getattr(trainer.datamodule, "block_size", 1),  # type: ignore[attr-defined]
        )

    def step_after(self, step: int) -> int:
        return next((later for later in self.steps if later > step), sys.maxsize)

    def draw(self, trainer: Trainer, model: ToyModel, names: list[str], step: int) -> Figure:
        """The picture of the followed instances."""
        return polygon_figure(model.columns[self.followed], names, step)

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        names = [picture_name(model, i) for i in self.followed]
        figure = self.draw(trainer, model, names, step)
        if after_last:
            add_figure(trainer, self.file, figure, sharper=1)  # as all frames of the slider
        else:
            charts_of(trainer).add_png(Path(self.file).stem, png(figure, sharper=1), step)  # in half the time
