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
    gram = (model.W[0].T @ model.W[0]).double().detach()
    expected = gram.diag().square() / gram.square().sum(dim=0)
    assert row["dimensionality"] == " ".join(f"{value:.4f}" for value in expected.tolist())
    assert row["gram_eigenvalues"] == ""  # the shape has a name


def test_the_census_says_where_columns_lie_in_space_and_what_has_no_name() -> None:
    model = ReLUOutputModel(4, n_hidden=3, n_instances=2)
    model.W.data[0] = torch.tensor([[1.0, 0, 0, 0.2], [0, 1.0, 0, 0.2], [0, 0, 1.0, 0]])
    model.W.data[1] = torch.tensor([[1.0, 1.0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 0]])
    losses = PopulationLosses(torch.zeros(2, 4), torch.zeros(2), torch.zeros(2), CLOSED_FORM)
    named, unnamed = census_rows(model, find_polygons(model.W), losses)
    assert (named["geometry"], named["unlearned"], named["unlearned_angle"]) == ("3 orthogonal", "3", "45.00")
    assert (unnamed["geometry"], unnamed["unlearned_angle"]) == ("irregular", "nan nan")
    assert unnamed["gram_eigenvalues"] == "2.6180 0.3820"  # of [[1, 1], [1, 2]]
    assert unnamed["dimensionality"] == "0.5000 0.8000 0.0000 0.0000"
    assert list(named).index("dimensionality") == list(named).index("unlearned_angle") + 1


def test_a_wide_model_lists_no_single_feature() -> None:
    model = ReLUOutputModel(50, n_instances=2)
    assert unlearned_columns(model, find_polygons(model.W))["unlearned"] == ["", ""]
