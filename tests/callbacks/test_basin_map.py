"""The outcome over a plane of initial columns, as a picture."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from matplotlib.figure import Figure

from callbacks.basin_map import BasinMap, outcomes
from callbacks.patching_rates import PatchingRates
from src.errors import ConfigError
from src.figures.basin import basin_figure
from src.geometry.polygons import Polygons
from src.model import ReLUOutputModel
from src.runs.folder import BASIN
from src.starts import Basin
from tests.callbacks.charts import images
from tests.callbacks.endings import HEXAGON, PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4, SQUARE
from tests.running import fit, read_census, run_cli, run_of


def test_the_basin_map_shows_each_points_outcome_where_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def spy(*arguments: Any) -> Figure:
        drawn.extend(arguments)
        return basin_figure(*arguments)

    monkeypatch.setattr("callbacks.basin_map.basin_figure", spy)
    model = ReLUOutputModel(n_features=6, start=Basin(seed=5, column=2, size=2, reach=0.7))
    ends = torch.stack([HEXAGON, PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4, SQUARE])
    model.W.data = ends  # from the bottom left, along the rows
    trainer = Trainer(logger=False, default_root_dir=tmp_path)
    BasinMap().on_train_end(trainer, model)
    rows, reach, column, initial_W, title = drawn
    assert rows == [["hexagon", "pentagon without 1"], ["pentagon without 4", "square"]]
    assert (reach, column) == (0.7, 2)
    assert torch.equal(initial_W, ReLUOutputModel(6, first_seed=5).W.detach()[0])
    assert title == "what seed 5 ends in, by where column 2 starts"
    assert (tmp_path / BASIN).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_basin_run_has_its_map_and_its_points(tmp_path: Path) -> None:
    assert run_cli(tmp_path, "--model.start.size=3", config="configs/basin.yaml") == 0
    run = run_of(tmp_path, "basin")
    assert images(run, "basin") == [(run / BASIN).read_bytes()]
    rows = read_census(run)
    assert [(round(float(row["x"]), 4), round(float(row["y"]), 4)) for row in rows[:4]] == [
        (-0.8, -0.8), (0, -0.8), (0.8, -0.8), (-0.8, 0),
    ]  # fmt: skip


def test_a_pentagon_is_named_after_the_feature_that_it_leaves_out() -> None:
    learned = torch.tensor([[True, True, False, True, True, True], [True] * 6])
    none = torch.zeros_like(learned)
    polygons = Polygons(learned, none, ~learned, learned.sum(dim=1), torch.zeros(2, dtype=torch.float64))
    assert outcomes(polygons) == ["pentagon without 2", "hexagon"]


@pytest.mark.parametrize("callback", [BasinMap(), PatchingRates()])
def test_a_callback_for_another_model_is_refused(callback: Callback) -> None:
    with pytest.raises(ConfigError, match=r"model\.start is Start; it must be (a Basin|PatchingArms), for callbacks"):
        fit(ReLUOutputModel(6), callbacks=[callback])
