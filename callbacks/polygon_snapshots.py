"""Pictures of the columns of W while they move, with a step slider in TensorBoard."""

import sys
from pathlib import Path

from lightning import LightningModule, Trainer
from matplotlib.figure import Figure

from callbacks.recorder import Recorder
from src.errors import require
from src.figures.elements import png
from src.figures.polygons import polygon_figure
from src.model import ToyModel
from src.runs.charts import charts_of
from src.runs.folder import POLYGONS, run_folder, write_whole


def snapshot_steps(max_steps: int, n_snapshots: int) -> list[int]:
    """Quadratically spaced steps from 0 to `max_steps`: most of the motion is early."""
    return [round(max_steps * (k / (n_snapshots - 1)) ** 2) for k in range(n_snapshots)]


class PolygonSnapshots(Recorder):
    """Image `polygons`, the followed instances side by side; the last one is also `polygons.png` in the run folder.

    A snapshot is taken at step 0, after the last step, and at steps spaced quadratically between.

    Args:
        n_snapshots: pictures over the whole run.
        instances: which instances to draw; by default the first four.
    """

    file = POLYGONS

    def __init__(self, n_snapshots: int = 16, instances: list[int] | None = None) -> None:
        super().__init__(instances=instances)
        require(n_snapshots >= 2, "PolygonSnapshots.n_snapshots", n_snapshots, "at least 2")
        self.n_snapshots = n_snapshots
        self.steps: list[int] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.steps = snapshot_steps(trainer.max_steps, self.n_snapshots)

    def step_after(self, step: int) -> int:
        return next((later for later in self.steps if later > step), sys.maxsize)

    def draw(self, trainer: Trainer, model: ToyModel, names: list[str], step: int) -> Figure:
        """The picture of the followed instances."""
        return polygon_figure(model.columns[self.followed], names, step)

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        names = [model.instance_names[i] for i in self.followed]
        picture = png(self.draw(trainer, model, names, step))
        charts_of(trainer).add_png(Path(self.file).stem, picture, step)
        if after_last:
            write_whole(run_folder(trainer) / self.file, picture)
