"""What instances with feature probabilities of their own ended in, from dense to sparse."""

import torch
from lightning import Callback, LightningModule, Trainer

from callbacks.pictures import add_figure
from src.errors import require
from src.figures.polygons import polygon_figure
from src.figures.rates import rates_figure
from src.model import ToyModel
from src.results.rates import Rate, rates
from src.runs.folder import SPARSITIES, SPARSITIES_RATES, run_folder
from src.runs.tables import write_rows

MOST = 24  # polygons


class Sparsities(Callback):
    """Image `sparsities`, after training: of each feature probability the instance of least loss; also as a file.

    Which geometry an instance ends in is a matter of its seed too: one of each would show chance beside sparsity. With
    several instances of each, image `sparsities_rates` and `sparsities_rates.csv`: how many have which geometry,
    with 95 % Wilson intervals.

    Raises:
        ConfigError: if `data.feature_probability` is one for all.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, ToyModel)
        is_there = "feature_probability" in pl_module.instance_columns
        require(is_there, "data.feature_probability", "one number", "a list, for callbacks.sparsities")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ToyModel)
        own: list[float] = pl_module.instance_columns["feature_probability"]
        names, probabilities = pl_module.polygons().names, list(dict.fromkeys(own))
        loss = pl_module.losses_over(trainer.datamodule.population).loss.nan_to_num(torch.inf).tolist()  # type: ignore[attr-defined]
        each = {p: [i for i, its in enumerate(own) if its == p] for p in probabilities[:MOST]}
        best = [min(instances, key=loss.__getitem__) for instances in each.values()]
        counts = [f", best of {len(instances)}" if len(instances) > 1 else "" for instances in each.values()]
        titles = [f"p = {p:.3g}{count}" for p, count in zip(each, counts, strict=True)]
        columns = pl_module.columns.detach().cpu()
        add_figure(trainer, SPARSITIES, polygon_figure(columns[best], titles, trainer.global_step, n_columns=5))
        if len(own) == len(probabilities):
            return
        outcomes: dict[str, dict[str, Rate]] = {
            f"p = {p:.3g}": rates([name for name, its in zip(names, own, strict=True) if its == p])
            for p in probabilities
        }
        add_figure(trainer, SPARSITIES_RATES, rates_figure(outcomes, "geometry by feature probability"))
        rows = [
            {"feature_probability": p, "geometry": name, **rate.row()}
            for p, shares in zip(probabilities, outcomes.values(), strict=True)
            for name, rate in shares.items()
        ]
        write_rows((run_folder(trainer) / SPARSITIES_RATES).with_suffix(".csv"), rows)
