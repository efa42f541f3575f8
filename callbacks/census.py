"""What every instance ended in: the terminal's summary, `census.csv` and TensorBoard's HPARAMS."""

from inspect import signature
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console

from callbacks.metric import Metric
from callbacks.pictures import has_braille, polygons
from callbacks.recorder import N_FOLLOWED
from src.data import FiniteFeatures
from src.errors import require
from src.model import ToyModel
from src.results.census import census_rows, instance_line
from src.results.examples import examples_text, of_examples
from src.results.geometries import geometry_rows, geometry_table
from src.results.hyperparameters import outcome_of, settings_of
from src.results.metrics import METRIC
from src.runs.charts import charts_of
from src.runs.folder import CENSUS, run_folder
from src.runs.tables import write_rows


class Census(Callback):
    """After training, and after `validate`: one row per instance, with its geometry and population loss.

    One instance, or a few, get a line each in the terminal; more are counted by geometry, with 95 % Wilson intervals.
    Columns of `census.csv`:

        instance, seed, name      who it is, and what the model says of it (`instance_columns`)
        geometry                  the name of the polygon or, outside the plane, of the solid, or `irregular`
        n_learned, n_overlap      columns that are learned, and that lie on a longer one
        residual                  distance from the nearest such shape, as a share of the learned columns' norm
        frobenius_norm            of the whole of W
        loss, loss_error          population loss, mean over features, with an estimate of its error, and
        loss_method               how it was found: closed form, quadrature, or a sample, with its standard error
        smallest_, largest_feature_loss
        unlearned                 the features that are not learned, with
        unlearned_norm            their columns' norms, and
        unlearned_angle           their angles from the nearest learned column in degrees, in the same order
        dimensionality            of every feature: how much of the hidden space it has to itself
        gram_eigenvalues          of an `irregular` one: the eigenvalues of W^T W that are not 0, in descending order
        geometry_count, _share, _share_low, _share_high
                                  how many of the census ended in this geometry, their share, and its interval
        training_loss             only with a finite training set: the loss on it, mean over features, and
        example_geometry          what its hidden vectors form, of up to 100 examples
        metric_...                what each `callbacks.metric.Metric` of the run has measured
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        module = trainer.datamodule  # type: ignore[attr-defined]
        allowed = "one with a `population`, over which the census takes the loss"
        require("population" in dir(module), "the data module", type(module).__name__, allowed)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take(trainer, pl_module)  # type: ignore[arg-type]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._take(trainer, pl_module)  # type: ignore[arg-type]

    def _take(self, trainer: Trainer, model: ToyModel) -> None:
        found = model.polygons()
        data = trainer.datamodule  # type: ignore[attr-defined]
        losses = model.losses_over(data.population)
        rows = census_rows(model, found, losses)
        if isinstance(data, FiniteFeatures) and data.n_examples is not None:
            rows = [{**row, **own} for row, own in zip(rows, of_examples(model, data.examples), strict=True)]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Metric):
                column = zip(rows, callback.census_column(model), strict=True)
                rows = [{**row, f"{METRIC}{callback.name}": value} for row, value in column]
        write_rows(run_folder(trainer) / CENSUS, rows)
        self._log_hyperparameters(trainer, model, rows)

        console = Console()
        if len(rows) <= N_FOLLOWED:
            if model.n_hidden == 2 and has_braille(console):
                console.print(polygons(model, len(rows)))
            for row, features in zip(rows, losses.feature_losses.tolist(), strict=True):
                console.print(instance_line(row, model.n_features, features), soft_wrap=True)
        else:
            console.print(geometry_table({"": geometry_rows(rows)}))
        if "training_loss" in rows[0]:
            console.print(examples_text(rows, data.n_examples), soft_wrap=True, highlight=False)

    def _log_hyperparameters(self, trainer: Trainer, model: ToyModel, rows: list[dict[str, Any]]) -> None:
        if trainer.state.fn == "fit":
            module = trainer.datamodule  # type: ignore[attr-defined]
            own = {name: getattr(module, name, None) for name in signature(type(module)).parameters}
            data = {**own, **vars(module.distribution)} if hasattr(module, "distribution") else own
            if "feature_probability" in model.instance_columns:
                data["feature_probability"] = "one for each instance"
            settings = settings_of(model, trainer.optimizers[0], data, trainer.max_steps)
            charts_of(trainer).add_run(settings, outcome_of(rows), trainer.global_step)
