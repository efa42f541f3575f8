"""How many instances have which geometry, while they train."""

from collections import Counter
from typing import Any

from lightning import Trainer

from callbacks.pictures import add_figure
from callbacks.recorder import Recorder
from src.figures.rates import shares_figure
from src.model import ToyModel
from src.results.rates import rate
from src.runs.charts import charts_of
from src.runs.folder import SHARES, SHARES_PICTURE, run_folder
from src.runs.tables import write_rows


class GeometryShares(Recorder):
    """Chart `geometry_share`, one line a geometry, over all instances; picture `shares`, with 95 % intervals.

    In the run folder: `shares.csv` (step, geometry, count, n, share, low, high), `shares.svg` and `.png`. The counts
    are part of every checkpoint, so a resumed run's files cover the whole run.

    Args:
        n_records: so many records, evenly spaced; null for the default.
    """

    def __init__(self, n_records: int | None = None) -> None:
        super().__init__(n_records)
        self.counts: dict[int, dict[str, int]] = {}

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        counts = Counter(model.polygons().names)
        self.counts[step] = dict(counts)
        lines = {name: counts[name] / model.n_instances for name in self.names()}
        charts_of(trainer).add_lines("geometry_share", lines, step)
        if after_last:
            self._write(trainer, model)

    def names(self) -> list[str]:
        """Every geometry met so far, in the order in which they came."""
        return list(dict.fromkeys(name for counts in self.counts.values() for name in counts))

    def _write(self, trainer: Trainer, model: ToyModel) -> None:
        if not self.counts:
            return
        folder, n = run_folder(trainer), model.n_instances
        courses = {name: [counts.get(name, 0) for counts in self.counts.values()] for name in self.names()}
        rows = [
            {"step": step, "geometry": name, **rate(count, n).row()}
            for name, course in courses.items()
            for step, count in zip(self.counts, course, strict=True)
        ]
        write_rows(folder / SHARES, rows)
        add_figure(trainer, SHARES_PICTURE, shares_figure(list(self.counts), courses, n))

    def keep(self, trainer: Trainer, model: ToyModel) -> None:
        self._write(trainer, model)

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.counts = state["counts"]
