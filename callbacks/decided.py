"""From when on the outcome can be told: how well numbers of the ring of columns foretell it, step by step."""

from typing import Any

import torch
from lightning import Trainer

from callbacks.pictures import add_figure
from callbacks.recorder import Recorder
from src.errors import require
from src.figures.outcome import decided_figure
from src.geometry.ring import FEWEST
from src.model import ToyModel
from src.outcome.invariants import invariants, names_of
from src.outcome.scores import Area, area_under_curve
from src.runs.folder import DECIDED, DECIDED_PICTURE, run_folder
from src.runs.tables import write_rows

PLANE = 2


class Decided(Recorder):
    """In the run folder `decided.csv` (step, number, area, low, high) and the picture `decided`, after training.

    The numbers are those of `src.outcome.invariants`; the area is that under the ROC curve of one geometry against all
    others, over all instances, with its 95 % interval. Above 1/2 the geometry's instances have the smaller numbers.

    Args:
        geometry: which outcome.
        n_records: so many records, evenly spaced; null for the default.
    """

    def __init__(self, geometry: str = "hexagon", n_records: int | None = None) -> None:
        super().__init__(n_records)
        self.geometry = geometry
        self.numbers: dict[int, torch.Tensor] = {}

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        n, m = model.n_features, model.n_hidden
        allowed = f"left out unless {FEWEST} or more columns lie in a plane"
        require(m == PLANE and n >= FEWEST, "trainer.callbacks", "Decided", allowed)
        self.numbers[step] = invariants(model.columns.detach().cpu()).float()
        if after_last:
            self._write(trainer, model)

    def areas(self, model: ToyModel) -> dict[str, dict[int, Area]]:
        """Of each number, at each step, how well it foretells what the instances have become."""
        is_one = torch.tensor([name == self.geometry for name in model.polygons().names])
        return {
            name: {step: area_under_curve(-own[:, k], is_one) for step, own in self.numbers.items()}
            for k, name in enumerate(names_of(model.n_features))
        }

    def _write(self, trainer: Trainer, model: ToyModel) -> None:
        areas = self.areas(model)
        rows = [
            {"step": step, "number": name, "area": own.value, "low": own.low, "high": own.high}
            for name, course in areas.items()
            for step, own in course.items()
        ]
        write_rows(run_folder(trainer) / DECIDED, rows)
        title = f"{self.geometry}s among {model.n_instances:,} instances"
        add_figure(trainer, DECIDED_PICTURE, decided_figure(areas, title))

    def state_dict(self) -> dict[str, Any]:
        return {"numbers": self.numbers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.numbers = state["numbers"]
