"""Pictures of the columns of W while they move, with a step slider in TensorBoard."""

import sys
from bisect import bisect_right
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

TURN, MOST_TURNED = 12.0, 720.0  # degrees from a snapshot to the next, at most so many in a run
IN_SPACE = 3  # hidden dimensions
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

    A model of other than two hidden dimensions is drawn as a line, as solids or by its Gram matrix: see
    `src.figures.polygons.polygon_figure`. Solids turn from snapshot to snapshot, and so with the slider: of 60, the
    last thirty, in which the weights hardly move, show them from all sides. In the run folder each is seen from where
    it is clearest.

    A snapshot is taken at step 0, after the last step, and at steps between, closer together at the beginning.

    Args:
        n_snapshots: pictures over the whole run.
        instances: which instances to draw; by default the first four.
    """

    file = POLYGONS

    def __init__(self, n_snapshots: int = 60, instances: list[int] | None = None) -> None:
        super().__init__(instances=instances)
        allowed = f"from 2 to {MOST}, each of which is drawn"
        require(2 <= n_snapshots <= MOST, f"{type(self).__name__}.n_snapshots", n_snapshots, allowed)
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

    def turn_at(self, step: int) -> float:
        """By how many degrees solids are turned in this step's snapshot, in a resumed run too."""
        return (bisect_right(self.steps, step) - 1) * min(TURN, MOST_TURNED / self.n_snapshots)

    def draw(self, trainer: Trainer, model: ToyModel, names: list[str], step: int, turn: float | None = None) -> Figure:
        """The picture of the followed instances; solids are turned so far, or are seen from where they are clearest."""
        return polygon_figure(model.columns[self.followed], names, step, turn=turn)

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        names = [picture_name(model, i) for i in self.followed]
        figure = self.draw(trainer, model, names, step, self.turn_at(step))
        if after_last:
            clearest = self.draw(trainer, model, names, step) if model.n_hidden == IN_SPACE else figure
            add_figure(trainer, self.file, clearest, sharper=1, in_charts=figure)  # as all frames of the slider
        else:
            charts_of(trainer).add_png(Path(self.file).stem, png(figure, sharper=1), step)  # in half the time
