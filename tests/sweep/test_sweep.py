"""Sweeps in this process, cell by cell, but for the slow tests, which start real ones."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from src import cli, memory
from src.errors import ConfigError
from src.runs.folder import CENSUS, CHECKPOINT, CONFIG, RATES, RATES_PICTURE, read_rows
from src.sweep import __main__ as sweep
from src.sweep import cells as of_sweep
from src.sweep import report as sweep_report
from src.sweep.cells import Cell, parse_grid
from src.sweep.local import run_local
from tests.running import ROOT, SMALL_VALIDATION, slow

TWICE = f"{ROOT}/configs/seeds.yaml,{ROOT}/tests/../configs/seeds.yaml"  # one name, two paths
CALLBACKS = [{"class_path": f"callbacks.{name}"} for name in ("census.Census", "last_checkpoint.LastCheckpoint")]
BASE = [
    f"--config={ROOT}/configs/seeds.yaml",
    f"--trainer.callbacks={json.dumps(CALLBACKS)}",
    "--model.n_instances=5",
    "--trainer.max_steps=20",
    f"--data.validation_size={SMALL_VALIDATION}",
]


class Engine:
    """Runs cells in this process; remembers which, and fails those of one name."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.ran: list[str] = []

    def __call__(self, cells: Sequence[Cell], n_jobs: int) -> Generator[tuple[Cell, int], None, None]:
        for cell in cells:
            self.ran.append(f"{cell.name}/{cell.folder.name}")
            if cell.name == self.fails:
                cell.output.parent.mkdir(parents=True, exist_ok=True)
                cell.output.write_text("a line\nerror: it went wrong.\n")
                yield cell, 1
            else:
                yield cell, cli.main(["fit", *cell.arguments, *cell.resumption])


def run(folder: Path, *arguments: str, engine: Engine | None = None) -> int:
    return sweep.main([*BASE, f"--out={folder}", *arguments], engine or Engine())


GRID = ["--grid=data.n_features=[4,5]", "--grid=model.optimizer.init_args.lr=[0.01]"]
NAMES = [f"n_features={n}, lr=0.01" for n in (4, 5)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep of two cells."""
    folder = tmp_path_factory.mktemp("sweep")
    assert run(folder, *GRID) == 0
    return folder


def test_every_combination_is_a_run_folder_and_the_rates_are_one_table(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir() if path.is_dir()) == NAMES
    rows = read_rows(finished / RATES)
    for name, n_features in zip(NAMES, ("4", "5"), strict=True):
        own = [row for row in rows if row["data.n_features"] == n_features]
        assert {row["model.optimizer.init_args.lr"] for row in own} == {"0.01"}
        census = read_rows(finished / name / "all" / CENSUS)
        assert {row["geometry"]: int(row["count"]) for row in own} == Counter(row["geometry"] for row in census)
        config = (finished / name / "all" / "config.yaml").read_text()
        assert "lr: 0.01" in config
        assert f"n_features: {n_features}" in config
    assert (finished / RATES_PICTURE).read_bytes().startswith(b"\x89PNG")


def test_cells_agree_as_often_as_a_seed_has_the_same_geometry_from_the_same_start(tmp_path: Path) -> None:
    def cell(name: str, n_features: int, std: float) -> Cell:
        model = {"class_path": "Model", "init_args": {"n_hidden": 2, "init_std": std, "optimizer": name}}
        return Cell(name, {}, {}, [], tmp_path, {"model": model, "data": {"init_args": {"n_features": n_features}}})

    cells = [cell("a", 4, 1.0), cell("b", 5, 1.0), cell("c", 4, 1.0), cell("d", 5, 1.0), cell("e", 4, 0.5)]
    names = ("square", "square", "pentagon")
    censuses = {cell.name: [{"seed": str(k), "geometry": name} for k, name in enumerate(names)] for cell in cells}
    pairs = [(row["first"], row["second"], row["count"]) for row in sweep_report.agreement_of(cells, censuses)]
    assert pairs == [("a", "c", 3), ("b", "d", 3)]


def test_a_finished_cell_is_skipped_and_a_missing_one_run(finished: Path) -> None:
    table = (finished / RATES).read_text()
    again = Engine()
    assert run(finished, *GRID, engine=again) == 0
    assert again.ran == []
    (finished / NAMES[1] / "all" / CENSUS).unlink()
    again = Engine()
    assert run(finished, *GRID, engine=again) == 0
    assert again.ran == [f"{NAMES[1]}/all"]
    assert (finished / RATES).read_text() == table


def test_a_folder_with_a_run_of_other_settings_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finished, *GRID, "--trainer.max_steps=21") == 2
    wanted = f"{NAMES[0]}/all has trainer.max_steps 20; it must be another, or trainer.max_steps 20."
    assert capsys.readouterr().err == f"error: --out is a folder where {wanted}\n"


@pytest.mark.slow
def test_shards_together_are_the_census_of_the_whole(tmp_path: Path) -> None:
    engine = Engine()
    assert run(tmp_path / "parts", "--shards=2", "--model.first_seed=3", engine=engine) == 0
    assert engine.ran == ["seeds/seed_3_to_4", "seeds/seed_5_to_7"]
    assert run(tmp_path / "whole", "--grid=model.first_seed=[3]") == 0
    parts = [
        row for shard in ("seed_3_to_4", "seed_5_to_7") for row in read_rows(tmp_path / "parts/seeds" / shard / CENSUS)
    ]
    whole = read_rows(tmp_path / "whole/first_seed=3/all" / CENSUS)
    for part, row in zip(parts, whole, strict=True):
        assert (part["seed"], part["geometry"]) == (row["seed"], row["geometry"])
        # Another stack size sums in another order: twenty steps of 1e-3 keep that small.
        assert float(part["frobenius_norm"]) == pytest.approx(float(row["frobenius_norm"]), abs=1e-5)
    (rate,) = read_rows(tmp_path / "parts" / RATES)
    assert rate["n"] == "5"


def test_a_list_of_seeds_is_divided_too(tmp_path: Path) -> None:
    arguments = [*BASE, "--model.n_instances=1", "--model.seeds=[8,2,9,4]"]
    _, cells = of_sweep.cells_of(arguments, {}, 3, tmp_path)
    assert [cell.folder.name for cell in cells] == ["seeds_0_to_0", "seeds_1_to_1", "seeds_2_to_3"]
    assert cells[2].config["model"]["init_args"]["seeds"] == [9, 4]
    assert "--model.seeds=[9, 4]" in cells[2].arguments


@pytest.mark.slow
def test_shards_fit_where_the_whole_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 2**20)
    arguments = [*BASE, "--model.n_instances=1000"]
    with pytest.raises(ConfigError, match="as many as fit"):
        of_sweep.cells_of(arguments, {}, 2, tmp_path)
    assert len(of_sweep.cells_of(arguments, {}, 100, tmp_path)[1]) == 100


@pytest.mark.slow
def test_the_local_engine_survives_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    _, (cell,) = of_sweep.cells_of(BASE, {"data.n_features": ["4"]}, 1, tmp_path)
    (tmp_path / "n_features=4").write_text("in the way")
    assert [status for _, status in run_local([cell], 1)] == [1]


def test_configs_are_a_grid_key_and_come_before_other_overrides(tmp_path: Path) -> None:
    overlays = [f"{ROOT}/configs/optimizers/{name}.yaml" for name in ("sgd", "adam")]
    grid = parse_grid(["model.optimizer.init_args.lr=[0.5]", f"config=[{','.join(overlays)}]"])
    _, cells = of_sweep.cells_of(BASE, grid, 1, tmp_path)
    assert [cell.name for cell in cells] == ["config=sgd, lr=0.5", "config=adam, lr=0.5"]
    optimizers = [cell.config["model"]["init_args"]["optimizer"] for cell in cells]
    assert [optimizer["class_path"] for optimizer in optimizers] == ["torch.optim.SGD", "torch.optim.Adam"]
    assert [optimizer["init_args"]["lr"] for optimizer in optimizers] == [0.5, 0.5]


def test_a_cell_that_fails_is_reported_and_the_others_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(fails="n_features=4")
    assert run(tmp_path, "--grid=data.n_features=[4,5]", engine=engine) == 1
    out, err = capsys.readouterr()
    assert engine.ran == ["n_features=4/all", "n_features=5/all"]
    assert "failed: n_features=4 (all): exit status 1: it went wrong." in out
    assert err == "error: 1 of 2 cells failed; the same command runs them again.\n"
    assert {row["data.n_features"] for row in read_rows(tmp_path / RATES)} == {"5"}


@pytest.mark.slow
def test_an_interrupted_cell_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    grid = "--grid=data.n_features=[4]"
    assert run(tmp_path / "whole", grid) == 0
    _, (cell,) = of_sweep.cells_of([*BASE], {"data.n_features": ["4"]}, 1, tmp_path / "part")
    assert cell.resumption == []
    assert cli.main(["fit", *cell.arguments, "--trainer.max_steps=8"]) == 0
    (cell.folder / CONFIG).unlink()  # which has eight steps for the last
    assert cell.resumption == [f"--ckpt_path={cell.folder / CHECKPOINT}"]
    assert run(tmp_path / "part", grid) == 0
    assert (cell.folder / CENSUS).read_text() == (tmp_path / "whole/n_features=4/all" / CENSUS).read_text()
    assert cell.resumption == []  # nothing is left to do


@pytest.mark.slow
def test_a_cell_that_fails_at_its_very_end_is_not_finished(tmp_path: Path) -> None:
    def fails_late(cells: Sequence[Cell], n_jobs: int) -> Generator[tuple[Cell, int], None, None]:
        for cell, _ in Engine()(cells, n_jobs):
            yield cell, 1

    grid = "--grid=data.n_features=[4]"
    assert sweep.main([*BASE, f"--out={tmp_path}", grid], fails_late) == 1
    assert not (tmp_path / RATES).exists()
    again = Engine()
    assert run(tmp_path, grid, engine=again) == 0
    assert again.ran == ["n_features=4/all"]


@pytest.mark.slow
def test_a_cell_without_a_census_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--grid=data.n_features=[4]", "--trainer.callbacks=[]") == 1
    assert "it left no census; has it callbacks.census.Census?" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "a: [", "trainer", "a: 1"])
def test_only_a_whole_configuration_can_be_of_another_run(content: str, tmp_path: Path) -> None:
    cell = Cell("a", {}, {}, [], tmp_path / "a" / "all", {"a": 2})
    cell.folder.mkdir(parents=True)
    (cell.folder / CONFIG).write_text(content)
    with nullcontext() if content != "a: 1" else pytest.raises(ConfigError, match="a/all has a 1; it must be another"):
        cell.refuse_another_run()


def test_the_local_engine_survives_a_checkpoint_that_cannot_be_read(tmp_path: Path) -> None:
    _, (cell,) = of_sweep.cells_of(BASE, {"data.n_features": ["4"]}, 1, tmp_path)
    (cell.folder / CHECKPOINT).parent.mkdir(parents=True)
    (cell.folder / CHECKPOINT).write_text("no checkpoint")
    assert [status for _, status in run_local([cell], 1)] == [1]
    assert cell.output.read_text().startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--grid=data.n_featurez=[4]"], "n_featurez"),
        (["--grid=data.n_features=[]"], "--grid is data.n_features=[]; it must be key=[value,...] with at least"),
        (["--grid=data.n_features=4"], "--grid is data.n_features=4; it must be key=[value,...] with at least"),
        (["--grid=data.n_features"], "--grid is data.n_features; it must be key=[value,...] with at least one value."),
        (["--grid=data.n_features=[4"], "--grid is data.n_features=[4; it must be"),
        (["--grid=[4]"], "--grid is [4]; it must be key=[value,...] with at least one value."),
        (["--grid=data.n_features=[4,4]"], "it must be a list of different values."),
        (["--grid=data.seed=[1]", "--grid=data.seed=[2]"], "it must be the only one for data.seed."),
        ([], "--grid is missing; it must be given, or --shards, or both."),
        (["--shards=0"], "--shards is 0; it must be at least 1."),
        (["--shards=6"], "--shards is 6; it must be from 1 to 5, the number of seeds."),
        (["--shards=two"], "argument --shards: invalid int value: 'two'"),
        (["--shards=2", "--jobs=0"], "--jobs is 0; it must be at least 1."),
        (["--grid=data.n_features=[4]", "--print_config"], "--print_config is given; it must be left to"),
        slow(["--grid=model.optimizer.init_args.lrr=[4]"], "lrr"),
        slow(["--grid=nonsense=[1]"], "nonsense"),
        slow(["--grid=data.feature_probability=[0.1,2]"], "data.feature_probability is 2.0; it must be in (0, 1]."),
        slow(["--grid=model.n_instances=[0]"], "model.n_instances is 0; it must be at least 1."),
        slow(["--grid=model.optimizer.init_args.lr=[-1]"], "model.optimizer is refused by torch"),
        slow(["--grid=config=[no.yaml]"], "no.yaml"),
        slow([f"--grid=config=[{TWICE}]"], "whose values differ in name."),
        slow(["--grid=data.n_features=[4]", "--out=/dev/null/x"], "--out is /dev/null/x; it must be a folder that can"),
        slow(["--grid=trainer.max_steps=[0]"], "trainer.max_steps is 0; it must be at least 1."),
        slow(["--grid=model.optimizer=[torch.optim.LBFGS]"], "model.optimizer"),
        slow(["--shards=2", "--trainer.logger=false"], "trainer.logger is False"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_bad_sweep_is_refused_before_anything_runs(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Engine()
    assert run(tmp_path / "sweep", *arguments, engine=engine) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert engine.ran == []
    assert not (tmp_path / "sweep").exists()


def test_grid_values_are_passed_on_as_they_are_written() -> None:
    grid = parse_grid(["a.b=[1e-3,0.1,true,null,x y]", "config=[one.yaml]", "c=[[1,2],[3]]", "d=[2026-01-01]"])
    values = {"a.b": ["1e-3", "0.1", "true", "null", "x y"], "c": ["[1, 2]", "[3]"], "d": ["2026-01-01"]}
    assert grid == {"config": ["one.yaml"], **values}


def test_a_list_is_a_value_like_any_other_however_long(tmp_path: Path) -> None:
    seeds = ",".join(map(str, range(200)))
    _, (cell,) = of_sweep.cells_of(
        [*BASE, "--model.n_instances=1"], parse_grid([f"model.seeds=[[{seeds}]]"]), 1, tmp_path
    )
    assert cell.config["model"]["init_args"]["seeds"] == list(range(200))
    assert len(cell.folder.parent.name) <= 100
    other = of_sweep.shortened("x" * 150 + "1")
    assert other != of_sweep.shortened("x" * 150 + "2")


def test_two_keys_that_end_alike_are_told_apart(tmp_path: Path) -> None:
    arguments = [*BASE, "--trainer.logger.init_args.save_dir=x"]
    out, cells = of_sweep.cells_of(arguments, {"data.seed": ["1"], "model.init_std": ["0.1"]}, 1, None)
    assert (out, cells[0].name) == (Path("x/seeds_by_seed_init_std"), "seed=1, init_std=0.1")
    assert of_sweep._short("data.seed", {"data.seed": [], "other.seed": []}) == "data.seed"


def test_a_refused_grid_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        parse_grid(["a=[]"])


COMMAND = [sys.executable, "-m", "src.sweep", *BASE]


@pytest.mark.slow
def test_a_sweep_runs_two_cells_at_a_time_and_survives_one_that_diverges(tmp_path: Path) -> None:
    sgd = f"--config={ROOT}/configs/optimizers/sgd.yaml"
    grid = ["--grid=model.optimizer.init_args.lr=[1,1e6]", "--jobs=2", "--data.block_size=1", f"--out={tmp_path}"]
    done = subprocess.run([*COMMAND, sgd, *grid], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "failed: lr=1e6 (all): exit status 1: The loss became non-finite at step" in done.stdout
    assert done.stderr == "error: 1 of 2 cells failed; the same command runs them again.\n"
    with (tmp_path / RATES).open(newline="") as file:
        assert {row["model.optimizer.init_args.lr"] for row in csv.DictReader(file)} == {"1"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_sweep_saves_its_cells_and_goes_on(number: int, tmp_path: Path) -> None:
    def command(folder: Path) -> list[str]:
        return [*COMMAND, "--trainer.max_steps=8000", "--grid=data.n_features=[4]", f"--out={folder}"]

    cell = tmp_path / "part/n_features=4/all"
    sweeping = subprocess.Popen(command(tmp_path / "part"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (cell / CHECKPOINT).is_file() and sweeping.poll() is None:
        time.sleep(0.01)
    sweeping.send_signal(number)
    _, err = sweeping.communicate(timeout=60)
    assert sweeping.returncode == 128 + number
    assert b"Stopped. The same command skips what is finished" in err
    assert not (cell / CENSUS).exists()
    for folder in ("part", "whole"):
        subprocess.run(command(tmp_path / folder), cwd=ROOT, check=True, capture_output=True)
    assert "Stopped at step" not in (cell.parent / "all.txt").read_text()
    assert (cell / CENSUS).read_text() == (tmp_path / "whole/n_features=4/all" / CENSUS).read_text()
    assert os.path.getsize(cell / CHECKPOINT) > 0
