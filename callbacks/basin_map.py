"""The outcome over a plane of initial columns, as a picture."""

from lightning import Callback, LightningModule, Trainer

from callbacks.pictures import add_figure, of_W
from src.errors import require
from src.figures.basin import basin_figure
from src.geometry.polygons import Polygons
from src.model import ToyModel
from src.runs.folder import BASIN
from src.starts import Basin


class BasinMap(Callback):
    """Image `basin`, after training; also in the run folder. The numbers are in `census.csv`.

    A point's colour is the geometry that training from it ended in and, for a pentagon that leaves out one feature,
    which one.

    Raises:
        ConfigError: if the model does not start from a `Basin`.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, ToyModel)
        kind = type(pl_module.start).__name__
        require(isinstance(pl_module.start, Basin), "model.start", kind, "a Basin, for callbacks.basin_map")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ToyModel)
        assert isinstance(pl_module.start, Basin)
        start, names = pl_module.start, outcomes(pl_module.polygons())
        rows = [names[k : k + start.size] for k in range(0, len(names), start.size)]
        seed = start.seeds[0]
        title = f"what seed {seed} ends in, by where column {start.column}{of_W(pl_module)} starts"
        figure = basin_figure(rows, start.reach, start.column, pl_module.initial_weights(seed), title)
        add_figure(trainer, BASIN, figure)


def outcomes(polygons: Polygons) -> list[str]:
    """The geometry of each instance; of a pentagon that leaves out one feature, `pentagon without <feature>`."""
    return [
        f"pentagon without {left_out[0]}" if name == "pentagon" and len(left_out) == 1 else name
        for name, left_out in zip(polygons.names, polygons.unlearned, strict=True)
    ]
