"""Pictures of the training examples' hidden vectors while they move, with a step slider in TensorBoard."""

from lightning import Trainer
from matplotlib.figure import Figure

from callbacks.polygon_snapshots import PolygonSnapshots
from src.data import FiniteFeatures
from src.errors import require
from src.figures.polygons import polygon_figure
from src.model import ToyModel
from src.runs.folder import EXAMPLES


class ExampleSnapshots(PolygonSnapshots):
    """Image `examples`: where each example of a finite training set lies, as `PolygonSnapshots` shows the features.

    A small training set is memorised: its examples form the polygon, not the features.
    """

    file = EXAMPLES

    def draw(self, trainer: Trainer, model: ToyModel, names: list[str], step: int, turn: float | None = None) -> Figure:
        data = trainer.datamodule  # type: ignore[attr-defined]
        kind = type(data).__name__
        require(isinstance(data, FiniteFeatures), "data", kind, "src.data.FiniteFeatures, for pictures of its examples")
        h = model.objective.hidden_vectors(data.examples.to(model.W))[self.followed]
        return polygon_figure(h, names, step, of_examples=True, turn=turn)
