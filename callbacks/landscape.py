"""`python -m src.cli test`: where every instance of a checkpoint is in the landscape of its population loss."""

import math
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from callbacks.progress import TimeLeft
from src.distributions.per_instance import PerInstance
from src.distributions.supports import MAX_FEATURES, Enumerated
from src.errors import require
from src.model import ToyModel
from src.population.surface import PointwiseSurface, Surface
from src.results.landscape import certificate_columns, landscape_markdown, landscape_table, remarks
from src.results.rates import counted
from src.runs.charts import charts_of
from src.runs.folder import LANDSCAPE, run_folder
from src.runs.tables import write_rows
from src.theory.certificates import Certificates, certify, in_order
from src.theory.stationary import REACH

N_SLOW = 16  # instances of a model whose derivatives take long, unless `model.certify` says otherwise


class Landscape(Callback):
    """After `test`: a certificate for every instance, in the run folder.

    A table in the terminal and in TensorBoard's TEXT, and `landscape.csv` with the columns

        instance, seed, name      who it is, and what the model says of it (`instance_columns`)
        geometry                  as in the census, of the checkpoint's weights
        loss, gradient_norm       population loss, mean over features, and the norm of its gradient, at those weights
        min_eigenvalue            the smallest that is not zero, of the Hessian at a stationary point near by
        n_zero_modes              zero eigenvalues, those that symmetry explains among them
        verdict                   minimum, saddle, degenerate, undecided, not stationary or not certified
        loss_error, loss_method   of the loss; a sample's has a standard error
        n_rotations, n_negative   zero eigenvalues of rotations of the hidden space; how many eigenvalues are negative
        distance                  from the weights to the stationary point, in the space of all parameters together
        stationary_loss, stationary_gradient_norm
                                  there
        n_scalings, n_dead        zero eigenvalues of other symmetries, as an untied pair has them; parameters that do
                                  nothing there. What is left of `n_zero_modes` is flat for real.
        n_unsure                  curvatures whose sign the error leaves open
        stationary_method         how that point was found: closed form or quadrature, with
        stationary_loss_error, hessian_error
                                  how far the loss and the eigenvalues may be off by the quadrature
        kink_weight               the probability of examples at a kink there, which have no second derivative

    A model whose answer is a function of z, entry by entry, has derivatives in closed form or by a quadrature that
    knows its kinks. Any other has those of a quadrature that does not: 16 instances are certified, chosen so that
    each geometry has some, or as many as `model.certify` says.

    Args:
        reach: how far from the weights a stationary point is looked for.
    """

    def __init__(self, reach: float = REACH) -> None:
        require(0 < reach < math.inf, "reach", reach, "positive and finite")
        self.reach = reach

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        count: Any = pl_module.n_certified
        require(count is None or count >= 1, "model.certify", count, "at least 1, or null for the default")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: ToyModel = pl_module  # type: ignore[assignment]
        population, console = trainer.datamodule.population, Console()  # type: ignore[attr-defined]
        losses, names = model.losses_over(population), model.polygons().names
        surfaces, why_not = _surfaces(model, population)
        chosen = _chosen(names, _n_certified(model, surfaces))
        certificates = self._certify(model, surfaces, chosen, console) if chosen and not why_not else None
        if why_not:
            console.print(f"[yellow]{why_not}: there are no certificates.[/]", soft_wrap=True)
        elif len(chosen) < model.n_instances:
            which = f"{counted(len(chosen), 'instance')} of {model.n_instances:,}"
            console.print(f"certified: {which}, some of each geometry; others with --model.certify N", soft_wrap=True)
        method = next((surface.method for surface, _ in surfaces), "")
        columns: dict[str, list[Any]] = {
            "instance": list(range(model.n_instances)),
            "seed": model.seeds,
            "name": model.instance_names,
            **model.instance_columns,
            "geometry": names,
            **certificate_columns(losses, certificates, chosen, method),
        }
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        path = write_rows(run_folder(trainer) / LANDSCAPE, rows)
        console.print(landscape_table(rows))
        for remark in remarks(rows):
            console.print(remark, soft_wrap=True)
        console.print(f"certificates: {path}", soft_wrap=True)
        charts = charts_of(trainer)
        charts.add_text("landscape", landscape_markdown(rows), trainer.global_step)
        charts.close()

    def _certify(
        self, model: ToyModel, surfaces: list[tuple[Surface, list[int]]], chosen: list[int], console: Console
    ) -> Certificates:
        """Of each of these instances over its own distribution."""
        bar = Progress(TextColumn("certificates"), MofNCompleteColumn(), BarColumn(), TimeLeft(), console=console)
        with bar:
            task = bar.add_task("", total=len(chosen))
            parts, order = [], list[int]()
            for surface, members in surfaces:
                own = [i for i in members if i in chosen]
                if own:
                    start = model.objective.points(surface)[own]
                    instances = torch.tensor(own)
                    parts.append(
                        certify(start, surface, instances, self.reach, lambda n_done: bar.advance(task, n_done))
                    )
                    order += own
            return in_order(parts, order)


def _surfaces(model: ToyModel, population: Any) -> tuple[list[tuple[Surface, list[int]]], str]:
    """The surface of each distribution, with the instances whose it is; or why there is none."""
    everyone = list(range(model.n_instances))
    groups: list[tuple[Any, list[int]]] = [(population, everyone)]
    if isinstance(population, PerInstance):
        groups = [*population.groups()]
    if not all(isinstance(own, Enumerated) for own, _ in groups):
        many = f"{model.n_features} features are too many for the distribution to be enumerated"
        reason = many if model.n_features > MAX_FEATURES else "Examples of this distribution cannot be enumerated"
        return [], f"{reason}, the loss is a sample's, with its standard error"
    try:
        return [(model.objective.surface(own), members) for own, members in groups], ""
    except ValueError as reason:
        return [], f"{type(model).__name__} {reason}"


def _n_certified(model: ToyModel, surfaces: list[tuple[Surface, list[int]]]) -> int:
    if model.n_certified is not None:
        return min(model.n_certified, model.n_instances)
    are_quick = all(isinstance(surface, PointwiseSurface) for surface, _ in surfaces)
    return model.n_instances if are_quick else min(N_SLOW, model.n_instances)


def _chosen(names: list[str], count: int) -> list[int]:
    """So many instances, in order: the first of each geometry, then the second of each, and so on."""
    seen: dict[str, int] = {}
    rounds = []
    for i, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        rounds.append((seen[name], i))
    return sorted(i for _, i in sorted(rounds)[:count])
