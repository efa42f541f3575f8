"""The joint picture of a small sweep."""

from pathlib import Path

import torch

from src.runs.folder import CENSUS, write_trajectory
from src.runs.tables import write_rows
from src.sweep.cells import Cell
from src.sweep.polygons import polygons_of


def cell(folder: Path, optimizer: str, seed: int, n_features: int = 6, n_instances: int = 1) -> Cell:
    """A finished cell whose instances are all at step 10."""
    labels = {"config": optimizer, "first_seed": str(seed)}
    own = Cell(f"{optimizer}, {seed}", {}, labels, [], folder / optimizer / str(seed), {})
    write_rows(own.folder / CENSUS, [{"name": f"seed {seed + k}"} for k in range(n_instances)])
    W = torch.full((1, n_instances, 2, n_features), float(seed))
    write_trajectory(own.folder, {"steps": torch.tensor([10]), "W": W})
    return own


def titles(cells: list[Cell]) -> list[str]:
    figure = polygons_of(cells)
    assert figure is not None
    return [text.get_text().split("\n")[0] for text in figure.texts if text.get_text().startswith(("sgd", "adam"))]


def test_a_grid_of_two_has_a_column_for_each_value_of_the_first(tmp_path: Path) -> None:
    cells = [cell(tmp_path, optimizer, seed) for optimizer in ("sgd", "adam") for seed in (0, 11)]
    assert titles(cells) == ["sgd, seed 0", "adam, seed 0", "sgd, seed 11", "adam, seed 11"]


def test_a_cell_that_is_missing_moves_no_other_into_its_column(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "sgd", 11), *(cell(tmp_path, "adam", seed) for seed in (0, 11))]
    figure = polygons_of(cells)
    assert figure is not None
    assert titles(cells) == ["sgd, seed 11", "adam, seed 11", "adam, seed 0"]
    assert figure.get_figwidth() > 3 * 3  # one row, in which no column says what a panel is


def test_what_does_not_go_into_one_picture_has_none(tmp_path: Path) -> None:
    assert polygons_of([cell(tmp_path, "sgd", 0, n_instances=17)]) is None
    assert polygons_of([cell(tmp_path, "sgd", 0), cell(tmp_path, "adam", 0, n_features=7)]) is None
