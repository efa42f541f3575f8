"""How well numbers of the ring foretell the outcome, step by step."""

from pathlib import Path

import pytest
import torch

from callbacks.decided import Decided
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.outcome.invariants import invariants, names_of
from src.runs.folder import DECIDED, DECIDED_PICTURE
from src.runs.tables import read_rows
from tests.running import fit, run_cli, run_of


def test_areas_are_those_of_the_weights_on_the_way(tmp_path: Path) -> None:
    assert run_cli(tmp_path, "--model.n_instances=64", config="configs/why/decided.yaml", max_steps=1500) == 0
    rows = read_rows(run_of(tmp_path, "decided") / DECIDED)
    assert {row["number"] for row in rows} == {*names_of(6)}
    steps = sorted({int(row["step"]) for row in rows})
    assert steps[0] == 0
    assert steps[-1] == 1500
    assert len(rows) == len(steps) * len(names_of(6))
    assert (run_of(tmp_path, "decided") / DECIDED_PICTURE).is_file()
    known = [row for row in rows if row["area"] != "nan"]
    assert known
    assert all(0 <= float(row["low"]) <= float(row["area"]) <= float(row["high"]) <= 1 for row in known)


def test_a_geometry_is_told_from_all_others(tmp_path: Path) -> None:
    model, own = ReLUOutputModel(5, n_instances=96), Decided("pentagon")
    fit(model, max_steps=2000, callbacks=[own], default_root_dir=tmp_path)
    assert torch.equal(own.numbers[2000], invariants(model.columns.detach()).float())
    areas = own.areas(model)
    assert areas["dipole"][2000].value > 0.95  # the squares among them have a large dipole
    assert areas["dipole"][2000].value > areas["dipole"][0].value > 0.5


def test_outside_the_plane_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="left out unless 3 or more columns lie in a plane"):
        fit(ReLUOutputModel(6, 3), max_steps=1, callbacks=[Decided()])
