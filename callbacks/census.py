"""What every instance ended in: the terminal's summary, `census.csv` and TensorBoard's HPARAMS."""

import math
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.columns import Columns
from rich.console import Console, Group
from rich.text import Text

from callbacks.recorder import N_FOLLOWED
from src.charts import charts_of
from src.data import FiniteFeatures
from src.geometry import Polygons, angles_to_learned, find_polygons
from src.model import ToyModel
from src.population import SAMPLE, PopulationLosses
from src.rates import rates
from src.runs import CENSUS, run_folder, write_rows
from src.tables import geometry_table, loss_text
from src.terminal import polygon_text

N_LISTED_FEATURES = 12  # of a model with more, no single feature is listed

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
        polygons = find_polygons(model.W.cpu())
        data = trainer.datamodule  # type: ignore[attr-defined]
        losses = model.losses_over(data.population)
        rows = census_rows(model, polygons, losses)
        if isinstance(data, FiniteFeatures) and data.n_examples is not None:
            training_losses = model.weighted_losses(data.examples.to(model.W)).mean(dim=1).tolist()
            rows = [{**row, "training_loss": loss} for row, loss in zip(rows, training_losses, strict=True)]
        path = write_rows(run_folder(trainer) / CENSUS, rows)
        self._log_hyperparameters(trainer, model, rows)

        console = Console()
        if len(rows) <= N_FOLLOWED:
            if model.n_hidden == 2 and console.encoding.lower().startswith("utf"):
                pictures = [Group(Text(row["name"]), polygon_text(W)) for row, W in zip(rows, model.W, strict=True)]
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
        data = vars(trainer.datamodule)  # type: ignore[attr-defined]
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


def census_rows(model: ToyModel, polygons: Polygons, losses: PopulationLosses) -> list[dict[str, Any]]:
    """One row per instance; see `Census` for its columns."""
    shares = rates(polygons.names)
    columns: dict[str, list[Any]] = {
        "instance": list(range(model.n_instances)),
        "seed": model.seeds,
        "name": model.instance_names,
        **model.instance_columns,
        "geometry": polygons.names,
        "n_learned": polygons.learned.sum(dim=1).tolist(),
        "n_overlap": polygons.overlap.sum(dim=1).tolist(),
        "residual": polygons.residual.tolist(),
        "frobenius_norm": model.W.detach().flatten(1).norm(dim=1).tolist(),
        "loss": losses.loss.tolist(),
        "loss_error": losses.error.tolist(),
        "loss_method": [losses.method] * model.n_instances,
        "smallest_feature_loss": losses.feature_losses.amin(dim=1).tolist(),
        "largest_feature_loss": losses.feature_losses.amax(dim=1).tolist(),
        **unlearned_columns(model, polygons),
        "geometry_count": [shares[name].count for name in polygons.names],
        "geometry_share": [shares[name].share for name in polygons.names],
        "geometry_share_low": [shares[name].low for name in polygons.names],
        "geometry_share_high": [shares[name].high for name in polygons.names],
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def unlearned_columns(model: ToyModel, polygons: Polygons) -> dict[str, list[str]]:
    """The features that are not learned, their norms and angles: as text, several in a cell, up to 12 features."""
    lists: dict[str, list[str]] = {"unlearned": [], "unlearned_norm": [], "unlearned_angle": []}
    if model.n_features > N_LISTED_FEATURES:
        return {name: [""] * model.n_instances for name in lists}
    W = model.W.detach().cpu()
    norms = W.norm(dim=1)
    angles = angles_to_learned(W, polygons).rad2deg() if model.n_hidden == 2 else norms * math.nan
    for features, norm, angle in zip(polygons.unlearned, norms.tolist(), angles.tolist(), strict=True):
        lists["unlearned"].append(" ".join(map(str, features)))
        lists["unlearned_norm"].append(" ".join(f"{norm[i]:.4f}" for i in features))
        lists["unlearned_angle"].append(" ".join(f"{angle[i]:.2f}" for i in features))
    return lists


def instance_line(row: dict[str, Any], n_features: int, feature_losses: list[float]) -> Text:
    """`seed 11: hexagon, 6 of 6 learned, Frobenius norm 2.86, loss 0.00467 ± 0.00003` and the features' losses."""
    if row["loss_method"] == SAMPLE:
        loss = f"{loss_text(row['loss'])} ± {row['loss_error']:.1e} (of a sample)"
    else:
        loss = f"{row['loss']:.8f}"
    line = Text.assemble(
        f"{row['name']}: ",
        (row["geometry"], "bold green" if row["geometry"] != "irregular" else "bold yellow"),
        f", {row['n_learned']} of {n_features} learned, Frobenius norm {row['frobenius_norm']:.3f}, loss {loss}",
    )
    if n_features <= N_LISTED_FEATURES:
        line.append("\n  loss of each feature: " + " ".join(f"{loss:.4f}" for loss in feature_losses), style="dim")
    return line
