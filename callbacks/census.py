"""What every instance ended in: the terminal's summary, `census.csv` and TensorBoard's HPARAMS."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.columns import Columns
from rich.console import Console, Group
from rich.text import Text

from callbacks.recorder import N_FOLLOWED
from src.data import FiniteFeatures
from src.figures.terminal import polygon_text
from src.geometry.polygons import find_polygons
from src.model import ToyModel
from src.results.census import census_rows, instance_line
from src.results.geometries import geometry_table
from src.results.rates import rates
from src.runs.charts import charts_of
from src.runs.folder import CENSUS, run_folder, write_rows

# TensorBoard's table shows the first five settings by name until more are chosen, so there are few.
DATA_SETTINGS = ("n_features", "feature_probability", "n_examples", "batch_size", "seed", "stream")
OPTIMIZER_SETTINGS = ("lr", "momentum", "weight_decay")


class Census(Callback):
    """After training, and after `validate`: one row per instance, with its geometry and population loss.

    One instance, or a few, get a line each in the terminal; more are counted by geometry, with 95 % Wilson intervals.
    Columns of `census.csv`:

        instance, seed, name      who it is, and what the model says of it (`instance_columns`)
        geometry                  the polygon's name, or `irregular`
        n_learned, n_overlap      columns that are learned, and that lie on a longer one
        residual                  distance from the regular polygon, as a share of the learned columns' norm
        frobenius_norm            of the whole of W
        loss, loss_error          population loss, mean over features, with an estimate of its error, and
        loss_method               how it was found: closed form, quadrature, or a sample, with its standard error
        smallest_, largest_feature_loss
        unlearned                 the features that are not learned, with
        unlearned_norm            their columns' norms, and
        unlearned_angle           their angles from the nearest learned column in degrees, in the same order
        geometry_count, _share, _share_low, _share_high
                                  how many of the census ended in this geometry, their share, and its interval
        training_loss             only with a finite training set: the loss on it, mean over features
    """

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take(trainer, pl_module)  # type: ignore[arg-type]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._take(trainer, pl_module)  # type: ignore[arg-type]

    def _take(self, trainer: Trainer, model: ToyModel) -> None:
        polygons = find_polygons(model.columns.cpu())
        data = trainer.datamodule  # type: ignore[attr-defined]
        losses = model.losses_over(data.population)
        rows = census_rows(model, polygons, losses)
        if isinstance(data, FiniteFeatures) and data.n_examples is not None:
            training_losses = model.objective.losses(data.examples.to(model.W)).mean(dim=1).tolist()
            rows = [{**row, "training_loss": loss} for row, loss in zip(rows, training_losses, strict=True)]
        path = write_rows(run_folder(trainer) / CENSUS, rows)
        self._log_hyperparameters(trainer, model, rows)

        console = Console()
        if len(rows) <= N_FOLLOWED:
            if model.n_hidden == 2 and console.encoding.lower().startswith("utf"):
                columns = zip(rows, model.columns, strict=True)
                pictures = [Group(Text(row["name"]), polygon_text(W)) for row, W in columns]
                console.print(Columns(pictures, padding=(0, 1)))
            for row, features in zip(rows, losses.feature_losses.tolist(), strict=True):
                console.print(instance_line(row, model.n_features, features), soft_wrap=True)
        else:
            console.print(geometry_table({"": rows}))
        if charts_of(trainer).is_open:
            command = f"tensorboard --logdir {path.parent} --samples_per_plugin images=500"
            console.print(Text.assemble("see it in TensorBoard:  ", (command, "bold")), soft_wrap=True)

    def _log_hyperparameters(self, trainer: Trainer, model: ToyModel, rows: list[dict[str, Any]]) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not loggers or trainer.state.fn != "fit":
            return
        counts = rates([row["geometry"] for row in rows])
        geometry = (
            rows[0]["geometry"] if len(rows) == 1 else ", ".join(f"{r.count} {name}" for name, r in counts.items())
        )
        optimizer = trainer.optimizers[0]
        module = trainer.datamodule  # type: ignore[attr-defined]
        data = {**vars(module.distribution), **vars(module)}
        settings = {
            "geometry": geometry,
            "model": type(model).__name__,
            "n_hidden": model.n_hidden,
            "n_instances": model.n_instances,
            "first_seed": model.seeds[0],
            "init_std": model.init_std,
            "max_steps": trainer.max_steps,
            "optimizer": type(optimizer).__name__,
            **{name: optimizer.defaults[name] for name in OPTIMIZER_SETTINGS if name in optimizer.defaults},
            **{name: data[name] for name in DATA_SETTINGS if data.get(name) is not None},
        }
        outcome = {
            f"final/{name}": sum(row[name] for row in rows) / len(rows)
            for name in ("frobenius_norm", "loss", "n_learned", "residual")
        }
        loggers[0].log_hyperparams(settings, outcome, step=trainer.global_step)
