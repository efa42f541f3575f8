"""What Ray says of a cell that did not come to its end, told without Ray."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.errors import ConfigError
from src.sweep.cells import Cell
from src.sweep.ray_cluster import UnseenError
from src.sweep.ray_engine import _status


class RayError(Exception):
    """In the place of Ray's, which has what a task raised as its cause."""

    def __init__(self, cause: Exception | None = None) -> None:
        self.cause = cause


def ray_that_raises(error: RayError) -> Any:
    def get(reference: Any) -> Any:
        raise error

    return SimpleNamespace(get=get, exceptions=SimpleNamespace(RayError=RayError))


def a_cell(out: Path) -> Cell:
    return Cell("seeds", {}, {}, [], out / "seeds" / "all", {})


def test_a_machine_that_came_later_and_does_not_see_the_folder_stops_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        _status(ray_that_raises(RayError(UnseenError("far"))), "reference", a_cell(tmp_path))
    wanted = "it must be on storage that every machine of the cluster sees; far does not."
    assert str(refused.value) == f"--out is {tmp_path}; {wanted}"


def test_a_cell_that_was_lost_too_often_says_so_in_its_output(tmp_path: Path) -> None:
    cell = a_cell(tmp_path)
    assert _status(ray_that_raises(RayError()), "reference", cell) == 1
    assert cell.output.read_text() == "error: its worker, or its machine, was lost once too often (RayError)\n"
