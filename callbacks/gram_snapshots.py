"""Pictures of W^T W while features come to share directions, with a step slider in TensorBoard."""

from lightning import Trainer
from matplotlib.figure import Figure

from callbacks.polygon_snapshots import PolygonSnapshots
from src.figures.gram_figure import gram_figure
from src.model import ToyModel
from src.runs.folder import GRAM


class GramSnapshots(PolygonSnapshots):
    """Image `gram`: W^T W of the followed instances, and of each feature its length, superposition and dimensionality.

    It reads alike for any number of hidden dimensions; the last is also in the run folder. Of more than 1,000 features
    the longest are drawn.

    Args:
        n_snapshots: pictures over the whole run.
        instances: which instances to draw; by default the first four.
    """

    file = GRAM

    def __init__(self, n_snapshots: int = 12, instances: list[int] | None = None) -> None:
        super().__init__(n_snapshots, instances)

    def draw(self, trainer: Trainer, model: ToyModel, names: list[str], step: int, turn: float | None = None) -> Figure:
        return gram_figure(model.columns[self.followed], names, step)
