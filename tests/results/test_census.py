"""What a row of the census says of the columns that an instance has not learned."""

from pathlib import Path

import torch

from src.geometry.polygons import find_polygons
from src.model import ReLUOutputModel
from src.population.losses import CLOSED_FORM, PopulationLosses
from src.results.census import census_rows, unlearned_columns


def test_the_census_says_where_the_unlearned_columns_lie(tmp_path: Path) -> None:
    angles = torch.tensor([0, 72, 144, 216, 288, 80, 300]).deg2rad()
    lengths = torch.tensor([1.0, 1, 1, 1, 1, 0.3, 0.2])
    model = ReLUOutputModel(7)
    model.W.data[0] = lengths * torch.stack([angles.cos(), angles.sin()])
    losses = PopulationLosses(torch.zeros(1, 7), torch.zeros(1), torch.zeros(1), CLOSED_FORM)
    (row,) = census_rows(model, find_polygons(model.W), losses)
    assert row["unlearned"] == "5 6"
    assert row["unlearned_norm"] == "0.3000 0.2000"
    assert row["unlearned_angle"] == "8.00 12.00"


def test_a_wide_model_lists_no_single_feature() -> None:
    model = ReLUOutputModel(50, n_instances=2)
    assert unlearned_columns(model, find_polygons(model.W))["unlearned"] == ["", ""]
