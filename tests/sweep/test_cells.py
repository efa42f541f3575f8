"""Which cells a grid and shards of seeds give, what each is called, and what it is to run."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from src import memory
from src.errors import ConfigError
from src.runs.folder import CONFIG, RATES
from src.runs.tables import read_rows
from src.sweep import cells as of_sweep
from src.sweep.cells import Cell, parse_grid
from tests.running import ROOT
from tests.sweep.sweeping import BASE, run


@pytest.mark.slow
def test_a_list_of_seeds_is_divided_too(tmp_path: Path) -> None:
    arguments = [*BASE, "--model.n_instances=1", "--model.seeds=[8,2,9,4]"]
    _, cells = of_sweep.cells_of(arguments, {}, 3, tmp_path)
    assert [cell.folder.name for cell in cells] == ["seeds_0_to_0", "seeds_1_to_1", "seeds_2_to_3"]
    assert cells[2].config["model"]["init_args"]["seeds"] == [9, 4]
    assert "--model.seeds=[9, 4]" in cells[2].arguments


@pytest.mark.slow
def test_shards_fit_where_the_whole_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 2**22)
    arguments = [*BASE, "--model.n_instances=2000"]
    with pytest.raises(ConfigError, match="as many as fit"):
        of_sweep.cells_of(arguments, {}, 2, tmp_path)
    assert len(of_sweep.cells_of(arguments, {}, 100, tmp_path)[1]) == 100


def test_configs_are_a_grid_key_and_come_before_other_overrides(tmp_path: Path) -> None:
    overlays = [f"{ROOT}/configs/optimizers/{name}.yaml" for name in ("sgd", "adam")]
    grid = parse_grid(["model.optimizer.init_args.lr=[0.5]", f"config=[{','.join(overlays)}]"])
    _, cells = of_sweep.cells_of(BASE, grid, 1, tmp_path)
    assert [cell.name for cell in cells] == ["config=sgd, lr=0.5", "config=adam, lr=0.5"]
    optimizers = [cell.config["model"]["init_args"]["optimizer"] for cell in cells]
    assert [optimizer["class_path"] for optimizer in optimizers] == ["torch.optim.SGD", "torch.optim.Adam"]
    assert [optimizer["init_args"]["lr"] for optimizer in optimizers] == [0.5, 0.5]


@pytest.mark.parametrize("content", ["", "a: [", "trainer", "a: 1"])
def test_only_a_whole_configuration_can_be_of_another_run(content: str, tmp_path: Path) -> None:
    cell = Cell("a", {}, {}, [], tmp_path / "a" / "all", {"a": 2})
    cell.folder.mkdir(parents=True)
    (cell.folder / CONFIG).write_text(content)
    with nullcontext() if content != "a: 1" else pytest.raises(ConfigError, match="a/all has a 1; it must be another"):
        cell.refuse_another_run()


def test_grid_values_are_passed_on_as_they_are_written() -> None:
    grid = parse_grid(["a.b=[1e-3,0.1,true,null,x y]", "config=[one.yaml]", "c=[[1,2],[3]]", "d=[2026-01-01]"])
    values = {"a.b": ["1e-3", "0.1", "true", "null", "x y"], "c": ["[1, 2]", "[3]"], "d": ["2026-01-01"]}
    assert grid == {"config": ["one.yaml"], **values}


@pytest.mark.slow
def test_a_list_is_a_value_like_any_other_however_long(tmp_path: Path) -> None:
    seeds = ",".join(map(str, range(200)))
    _, (cell,) = of_sweep.cells_of(
        [*BASE, "--model.n_instances=1"], parse_grid([f"model.seeds=[[{seeds}]]"]), 1, tmp_path
    )
    assert cell.config["model"]["init_args"]["seeds"] == list(range(200))
    assert len(cell.folder.parent.name) <= 100
    other = of_sweep.shortened("x" * 150 + "1")
    assert other != of_sweep.shortened("x" * 150 + "2")


@pytest.mark.slow
def test_two_keys_that_end_alike_are_told_apart(tmp_path: Path) -> None:
    arguments = [*BASE, "--trainer.logger.init_args.save_dir=x"]
    out, cells = of_sweep.cells_of(arguments, {"data.seed": ["1"], "model.init_std": ["0.1"]}, 1, None)
    assert (out, cells[0].name) == (Path("x/seeds_by_seed_init_std"), "seed=1, init_std=0.1")
    assert of_sweep._short("data.seed", {"data.seed": [], "other.seed": []}) == "data.seed"


def test_a_refused_grid_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        parse_grid(["a=[]"])


@pytest.mark.slow
def test_a_cell_of_which_some_models_diverge_is_no_failed_cell(tmp_path: Path) -> None:
    """Those that do are frozen, and counted."""
    sgd = (f"--config={ROOT}/configs/optimizers/sgd.yaml", "--model.optimizer.init_args.lr=10", "--model.first_seed=0")
    diverging = (*sgd, "--model.init_std=1.5", "--data.n_features=6", "--grid=data.seed=[0]")
    assert run(tmp_path, *diverging) == 1
    assert run(tmp_path, *diverging, "--model.on_divergence=freeze") == 0  # in the same folder
    counts = {row["geometry"]: int(row["count"]) for row in read_rows(tmp_path / RATES)}
    assert counts["diverged"] == 2
    assert sum(counts.values()) == 5
