"""`python -m src.cli test`: where every instance of a checkpoint is in the landscape of its population loss."""

import math
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from callbacks.progress import TimeLeft
from src.distributions.per_instance import PerInstance
from src.distributions.supports import MAX_FEATURES, Enumerated
from src.errors import require
from src.model import ToyModel
from src.population.losses import SAMPLE
from src.results.landscape import certificate_columns, landscape_markdown, landscape_table, uncertified_columns
from src.runs.charts import charts_of
from src.runs.folder import LANDSCAPE, run_folder
from src.runs.tables import write_rows
from src.theory.certificates import Certificates, certify, in_order
from src.theory.stationary import REACH


class Landscape(Callback):
    """After `test`: a certificate for every instance, in the run folder.

    A table in the terminal and in TensorBoard's TEXT, and `landscape.csv` with the columns

        instance, seed, name      who it is, and what the model says of it (`instance_columns`)
        geometry                  as in the census, of the checkpoint's weights
        loss, gradient_norm       population loss, mean over features, and the norm of its gradient, at those weights
        min_eigenvalue            the smallest that is not zero, of the Hessian at a stationary point near by
        n_zero_modes              zero eigenvalues, those of rotations among them
        verdict                   minimum, saddle, degenerate or not stationary
        loss_error, loss_method   of the loss; a sample's has a standard error
        n_rotations, n_negative   how many zero eigenvalues symmetry explains; how many eigenvalues are negative
        distance                  from the weights to the stationary point, in the space of W and b together
        stationary_loss, stationary_gradient_norm
                                  there

    Only the ReLU output model of up to 10 features has certificates; others have their loss and `not certified`.

    Args:
        reach: how far from the weights a stationary point is looked for.
    """

    def __init__(self, reach: float = REACH) -> None:
        require(0 < reach < math.inf, "reach", reach, "positive and finite")
        self.reach = reach

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: ToyModel = pl_module  # type: ignore[assignment]
        population, console = trainer.datamodule.population, Console()  # type: ignore[attr-defined]
        groups: list[tuple[Any, list[int] | None]] = [(population, None)]
        if isinstance(population, PerInstance):
            groups = [*population.groups()]
        are_enumerated = all(isinstance(own, Enumerated) for own, _ in groups)
        if are_enumerated and model.objective.has_closed_form:
            outcome = certificate_columns(self._certify(model, groups, console))
        else:
            losses = model.losses_over(population)
            console.print(f"[yellow]{_why_not(model, losses.method)}[/]", soft_wrap=True)
            outcome = uncertified_columns(losses.loss.tolist(), losses.error.tolist(), losses.method)
        columns: dict[str, list[Any]] = {
            "instance": list(range(model.n_instances)),
            "seed": model.seeds,
            "name": model.instance_names,
            **model.instance_columns,
            "geometry": model.polygons().names,
            **outcome,
        }
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        path = write_rows(run_folder(trainer) / LANDSCAPE, rows)
        console.print(landscape_table(rows))
        console.print(f"certificates: {path}", soft_wrap=True)
        charts = charts_of(trainer)
        charts.add_text("landscape", landscape_markdown(rows), trainer.global_step)
        charts.close()

    def _certify(self, model: ToyModel, groups: list[tuple[Any, list[int] | None]], console: Console) -> Certificates:
        """Of each instance over its own distribution."""
        bar = Progress(TextColumn("certificates"), MofNCompleteColumn(), BarColumn(), TimeLeft(), console=console)
        with bar:
            task = bar.add_task("", total=model.n_instances)
            W, b = model.W.detach().cpu(), model.b.detach().cpu()
            parts, order = [], list[int]()
            for population, members in groups:
                own = list(range(model.n_instances)) if members is None else members
                parts.append(certify(W[own], b[own], population, self.reach, lambda n_done: bar.advance(task, n_done)))
                order += own
            return in_order(parts, order)


def _why_not(model: ToyModel, method: str) -> str:
    if method == SAMPLE:
        many = f"{model.n_features} features are too many for the distribution to be enumerated"
        reason = many if model.n_features > MAX_FEATURES else "Examples of this distribution cannot be enumerated"
        return f"{reason}: the loss is a sample's, with its standard error, and there are no certificates."
    return f"{type(model).__name__} has no closed form: its loss is by quadrature, and there are no certificates."
