"""What every instance ended in: the terminal's summary, `census.csv` and TensorBoard's HPARAMS."""

from collections import Counter
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.columns import Columns
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from callbacks.recorder import N_FOLLOWED
from src.charts import charts_of
from src.geometry import Polygons, find_polygons
from src.metrics import PopulationLossValue
from src.model import ToyModel
from src.runs import run_folder, write_census
from src.terminal import polygon_text

N_LISTED_FEATURES = 12  # features whose losses the summary line lists

# TensorBoard's table shows the first five settings by name until more are chosen, so there are few.
DATA_SETTINGS = ("n_features", "feature_probability", "batch_size", "seed", "stream")
OPTIMIZER_SETTINGS = ("lr", "momentum", "weight_decay")


class Census(Callback):
    """After training, and after `validate`: one row per instance, with its geometry and population loss.

    One instance, or a few, get a line each in the terminal; more are counted by geometry.
    """

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take(trainer, pl_module)  # type: ignore[arg-type]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._take(trainer, pl_module)  # type: ignore[arg-type]

    def _take(self, trainer: Trainer, model: ToyModel) -> None:
        polygons = find_polygons(model.W.cpu())
        losses = model.losses_over(trainer.datamodule.val_dataloader())  # type: ignore[attr-defined]
        rows = census_rows(model, polygons, losses)
        path = write_census(run_folder(trainer), rows)
        self._log_hyperparameters(trainer, model, rows)

        console = Console()
        if len(rows) <= N_FOLLOWED:
            if model.n_hidden == 2 and console.encoding.lower().startswith("utf"):
                pictures = [Group(Text(row["name"]), polygon_text(W)) for row, W in zip(rows, model.W, strict=True)]
                console.print(Columns(pictures, padding=(0, 1)))
            for row, features in zip(rows, losses.feature_losses.tolist(), strict=True):
                console.print(instance_line(row, model.n_features, features), soft_wrap=True)
        else:
            console.print(geometry_table(rows))
        if charts_of(trainer).is_open:
            command = f"tensorboard --logdir {path.parent} --samples_per_plugin images=500"
            console.print(Text.assemble("see it in TensorBoard:  ", (command, "bold")), soft_wrap=True)

    def _log_hyperparameters(self, trainer: Trainer, model: ToyModel, rows: list[dict[str, Any]]) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not loggers or trainer.state.fn != "fit":
            return
        counts = Counter(row["geometry"] for row in rows).most_common()
        geometry = counts[0][0] if len(rows) == 1 else ", ".join(f"{count} {name}" for name, count in counts)
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
            **{name: data[name] for name in DATA_SETTINGS if name in data},
        }
        outcome = {
            f"final/{name}": sum(row[name] for row in rows) / len(rows)
            for name in ("frobenius_norm", "loss", "n_learned", "residual")
        }
        loggers[0].log_hyperparams(settings, outcome, step=trainer.global_step)


def census_rows(model: ToyModel, polygons: Polygons, losses: PopulationLossValue) -> list[dict[str, Any]]:
    """One row per instance; losses are population losses, norms those of the whole of W."""
    columns: dict[str, list[Any]] = {
        "instance": list(range(model.n_instances)),
        "seed": model.seeds,
        "name": model.instance_names,
        "geometry": polygons.names,
        "n_learned": polygons.learned.sum(dim=1).tolist(),
        "n_overlap": polygons.overlap.sum(dim=1).tolist(),
        "residual": polygons.residual.tolist(),
        "frobenius_norm": model.W.detach().flatten(1).norm(dim=1).tolist(),
        "loss": losses.loss.tolist(),
        "loss_standard_error": losses.standard_error.tolist(),
        "smallest_feature_loss": losses.feature_losses.amin(dim=1).tolist(),
        "largest_feature_loss": losses.feature_losses.amax(dim=1).tolist(),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def instance_line(row: dict[str, Any], n_features: int, feature_losses: list[float]) -> Text:
    """`seed 11: hexagon, 6 of 6 learned, Frobenius norm 2.86, loss 0.00467 ± 0.00003` and the features' losses."""
    line = Text.assemble(
        f"{row['name']}: ",
        (row["geometry"], "bold green" if row["geometry"] != "irregular" else "bold yellow"),
        f", {row['n_learned']} of {n_features} learned, Frobenius norm {row['frobenius_norm']:.3f}, "
        f"loss {row['loss']:.5f} ± {row['loss_standard_error']:.5f}",
    )
    if n_features <= N_LISTED_FEATURES:
        line.append("\n  loss of each feature: " + " ".join(f"{loss:.4f}" for loss in feature_losses), style="dim")
    return line


def geometry_table(rows: list[dict[str, Any]]) -> Table:
    """Count and share of each geometry, with its mean loss and norm, most frequent first."""
    table = Table(title=f"{len(rows):,} instances")
    table.add_column("geometry")
    for heading in ("count", "share", "mean loss", "mean Frobenius norm"):
        table.add_column(heading, justify="right")
    for geometry, count in Counter(row["geometry"] for row in rows).most_common():
        own = [row for row in rows if row["geometry"] == geometry]
        loss = sum(row["loss"] for row in own) / count
        norm = sum(row["frobenius_norm"] for row in own) / count
        table.add_row(geometry, f"{count:,}", f"{count / len(rows):.1%}", f"{loss:.5f}", f"{norm:.3f}")
    return table
