"""The post's Figures 8 to 12 of the followed instances, and how their polygons formed."""

from lightning import Callback, LightningModule, Trainer

from callbacks.pictures import add_figure
from callbacks.recorder import N_FOLLOWED
from callbacks.trajectory import Trajectory
from src.errors import require
from src.figures.curves import curves_figure
from src.figures.formation import formation_svg
from src.model import ToyModel
from src.runs.charts import charts_of
from src.runs.folder import CURVES, FORMATION, run_folder, write_whole


class Curves(Callback):
    """After training, from what `Trajectory` recorded: `curves.svg`, `curves.png`, and the animation `formation.svg`.

    A column for each of the first four instances: lengths of W's columns and of W, gradient norms, losses and the
    number of learned features, by step. Polygons move in the plane: a model of other than two hidden dimensions gets no
    animation.

    Raises:
        ConfigError: if no `Trajectory` comes before it in the list of callbacks.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        others = trainer.callbacks  # type: ignore[attr-defined]
        before = [other for other in others[: others.index(self)] if isinstance(other, Trajectory)]
        require(len(before) > 0, "trainer.callbacks", "Curves alone", "with callbacks.trajectory.Trajectory before it")
        self._trajectory = before[0]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ToyModel)
        shown = self._trajectory.followed[:N_FOLLOWED]
        names = [pl_module.instance_names[i] for i in shown]
        recorded = self._trajectory.tensors()
        tensors = {name: own[:, : len(shown)] if own.dim() > 1 else own for name, own in recorded.items()}
        tensors["W"] = tensors.get("columns", tensors["W"])  # what points where, in a variant too
        add_figure(trainer, CURVES, curves_figure(tensors, names))
        if pl_module.n_hidden == 2:
            svg = formation_svg(tensors["W"], tensors["steps"].tolist(), names)
            write_whole(run_folder(trainer) / FORMATION, svg.encode())
            charts_of(trainer).files.append(FORMATION)
