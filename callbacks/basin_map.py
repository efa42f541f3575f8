"""The outcome over a plane of initial columns, as a picture."""

from lightning import Callback, LightningModule, Trainer

from src.charts import charts_of
from src.errors import require
from src.figures import basin_figure, png
from src.geometry import Polygons, find_polygons
from src.initialisations import Basin
from src.runs import BASIN, run_folder, write_whole


class BasinMap(Callback):
    """Image `basin`, after training; also `basin.png` in the run folder. The numbers are in `census.csv`.

    A point's colour is the geometry that training from it ended in and, for a pentagon that leaves out one feature,
    which one.

    Raises:
        ConfigError: if the model is no `Basin`.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(isinstance(pl_module, Basin), "model", type(pl_module).__name__, "a Basin, for callbacks.basin_map")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Basin)
        model, names = pl_module, outcomes(find_polygons(pl_module.W.cpu()))
        rows = [names[k : k + model.size] for k in range(0, len(names), model.size)]
        title = f"what seed {model.seeds[0]} ends in, by where column {model.column} starts"
        picture = png(basin_figure(rows, model.reach, model.column, model.initial_W, title))
        write_whole(run_folder(trainer) / BASIN, picture)
        charts_of(trainer).add_png("basin", picture, trainer.global_step)


def outcomes(polygons: Polygons) -> list[str]:
    """The geometry of each instance; of a pentagon that leaves out one feature, `pentagon without <feature>`."""
    return [
        f"pentagon without {left_out[0]}" if name == "pentagon" and len(left_out) == 1 else name
        for name, left_out in zip(polygons.names, polygons.unlearned, strict=True)
    ]
