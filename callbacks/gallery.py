"""What a stack ended in, to look at: one instance of each geometry, and many small ones."""

from lightning import Callback, LightningModule, Trainer

from callbacks.pictures import add_figure, picture_name
from src.figures.gallery import gallery_figure
from src.figures.polygons import polygon_figure
from src.model import ToyModel
from src.results.rates import rates
from src.runs.folder import EXEMPLARS, GALLERY


class Gallery(Callback):
    """Images `exemplars` and `gallery`, after training; also in the run folder.

    The exemplar of a geometry is the instance whose Frobenius norm is the median of its kind. The gallery shows
    polygons and, with three hidden dimensions, solids; with one, or with more than three, there are exemplars alone.
    """

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ToyModel)
        W = pl_module.columns.detach().cpu()
        names = pl_module.polygons().names
        exemplars = {name: typical_member(W.flatten(1).norm(dim=1).tolist(), names, name) for name in rates(names)}
        titles = [f"{picture_name(pl_module, i)}, one of {names.count(name)}" for name, i in exemplars.items()]
        add_figure(trainer, EXEMPLARS, polygon_figure(W[list(exemplars.values())], titles, trainer.global_step))
        if pl_module.n_hidden in (2, 3):
            add_figure(trainer, GALLERY, gallery_figure(W, names))


def typical_member(values: list[float], names: list[str], name: str) -> int:
    """The instance of this name whose value is the (lower) median of its kind."""
    own = sorted((value, i) for i, value in enumerate(values) if names[i] == name)
    return own[(len(own) - 1) // 2][1]
