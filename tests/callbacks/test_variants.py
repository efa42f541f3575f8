"""Basin maps, patches and patching rates of models with more than W and b."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer

from callbacks.basin_map import BasinMap
from callbacks.patching import PatchColumns
from callbacks.pictures import picture_name
from src.model import ReLUOutputModel, ToyModel
from src.runs.folder import BASIN, PATCHING, PATCHING_PICTURE
from src.runs.tables import read_rows
from src.starts import Basin
from src.starts.patching import ARMS
from src.variants import GELU, HiddenReLU, ResidualMLP, Untied
from tests.callbacks.test_patching_rates import census_of
from tests.running import read_census, run_cli, run_of

KINDS = ["Untied", "HiddenReLU", "GELU", "ResidualMLP"]


@pytest.mark.parametrize("kind", [ReLUOutputModel, Untied, GELU, HiddenReLU, ResidualMLP])
def test_a_patch_changes_columns_of_w_and_nothing_else(kind: type[ToyModel]) -> None:
    model, plain, donor = kind(n_features=6), kind(n_features=6), kind(n_features=6, first_seed=9)
    PatchColumns(columns=[1, 4], donor_seed=9).setup(Trainer(logger=False), model, "fit")
    assert torch.equal(model.W[0][:, [1, 4]], donor.W[0][:, [1, 4]])
    assert torch.equal(model.W[0][:, [0, 2, 3, 5]], plain.W[0][:, [0, 2, 3, 5]])
    for name, own in model.further_parameters.items():
        assert torch.equal(own, plain.get_parameter(name))
    of_which = " of W" if kind is Untied else ""
    assert model.instance_names == [f"seed 0, column 1, 4{of_which} from seed 9"]


def test_a_picture_of_an_untied_model_says_whose_columns_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert picture_name(Untied(n_features=6), 0) == "seed 0, columns of W"
    assert picture_name(ResidualMLP(n_features=6), 0) == picture_name(ReLUOutputModel(n_features=6), 0) == "seed 0"
    titles: list[str] = []
    monkeypatch.setattr("callbacks.basin_map.basin_figure", lambda *given: titles.append(given[-1]))
    monkeypatch.setattr("callbacks.basin_map.add_figure", lambda *given: None)
    BasinMap().on_train_end(Trainer(logger=False), Untied(n_features=6, start=Basin(seed=5, column=2, size=2)))
    assert titles == ["what seed 5 ends in, by where column 2 of W starts"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_basin_run_has_its_map(kind: str, tmp_path: Path) -> None:
    options = (f"--model=src.variants.{kind}", "--model.start.size=3")
    assert run_cli(tmp_path, *options, config="configs/basin.yaml") == 0
    run = run_of(tmp_path, "basin")
    assert (run / BASIN).read_bytes().startswith(b"\x89PNG")
    assert len({row["y"] for row in read_census(run)}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_patching_run_has_its_tables_and_its_picture(kind: str, tmp_path: Path) -> None:
    census = census_of(tmp_path, "pentagon", "hexagon", "pentagon", "pentagon")
    options = (f"--model=src.variants.{kind}", f"--model.start.census={census}")
    assert run_cli(tmp_path, *options, config="configs/patching_rates.yaml") == 0
    run = run_of(tmp_path, "patching_rates")
    assert list(dict.fromkeys(row["arm"] for row in read_rows(run / PATCHING))) == list(ARMS)
    assert (run / PATCHING_PICTURE).read_bytes().startswith(b"\x89PNG")
