"""What patched columns did, arm by arm, and whether a hexagon donor does better than its controls."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console

from callbacks.pictures import add_figure
from src.errors import require
from src.figures.rates import rates_figure
from src.model import ToyModel
from src.results.patching import arms_table, by_arm, compare, verdicts
from src.results.rates import rates
from src.runs.folder import PATCHING, PATCHING_DIFFERENCES, PATCHING_PICTURE, run_folder
from src.runs.tables import write_rows
from src.starts import PatchingArms
from src.starts.patching import CONTROLS


class PatchingRates(Callback):
    """After training a `PatchingArms`: shares of outcomes by arm, as a table, `patching.csv` and image `patching`.

    The hexagon arm is compared with each control over the same recipients: the difference in the share of hexagons,
    with its interval and an exact McNemar test, also in `patching_differences.csv`. The picture says the
    verdict, and is also in the run folder.

    Raises:
        ConfigError: if the model does not start from `PatchingArms`.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, ToyModel)
        is_arms, kind = isinstance(pl_module.start, PatchingArms), type(pl_module.start).__name__
        require(is_arms, "model.start", kind, "PatchingArms, for callbacks.patching_rates")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ToyModel)
        assert isinstance(pl_module.start, PatchingArms)
        outcomes = by_arm(pl_module.start.patches, pl_module.polygons())
        rows: list[dict[str, Any]] = [
            {"arm": arm, "outcome": outcome, **share.row()}
            for arm, names in outcomes.items()
            for outcome, share in rates(names).items()
        ]
        write_rows(run_folder(trainer) / PATCHING, rows)
        differences = [
            {"first": "hexagon", "second": control, **compare(outcomes["hexagon"], outcomes[control])._asdict()}
            for control in CONTROLS
            if "hexagon" in outcomes and control in outcomes
        ]
        if differences:
            write_rows(run_folder(trainer) / PATCHING_DIFFERENCES, differences)
        sentences = verdicts(outcomes)
        figure = rates_figure({arm: rates(names) for arm, names in outcomes.items()}, "\n".join(sentences))
        add_figure(trainer, PATCHING_PICTURE, figure)
        console = Console()
        console.print(arms_table(outcomes))
        for sentence in sentences:
            console.print(sentence, highlight=False, soft_wrap=True)
