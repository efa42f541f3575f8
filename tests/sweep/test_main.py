"""A sweep runs what is missing, reports what it found, and refuses what cannot be."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from src import cli
from src.errors import STORAGE
from src.runs.folder import CENSUS, CHECKPOINT, CONFIG, RATES, RATES_PICTURE
from src.runs.lock import claim
from src.runs.tables import read_rows
from src.sweep import __main__ as sweep
from src.sweep import cells as of_sweep
from src.sweep import report as sweep_report
from src.sweep.cells import Cell
from src.sweep.local import run_local
from tests.running import on_linux, slow
from tests.sweep.sweeping import BASE, Engine, run

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


@pytest.mark.parametrize(
    "damage", [slow(Path.unlink), lambda census: os.truncate(census, 300)], ids=["gone", "cut off"]
)
def test_a_finished_cell_is_skipped_and_a_missing_one_run(damage: Callable[[Path], None], finished: Path) -> None:
    table = (finished / RATES).read_text()
    again = Engine()
    assert run(finished, *GRID, engine=again) == 0
    assert again.ran == []
    damage(finished / NAMES[1] / "all" / CENSUS)
    again = Engine()
    assert run(finished, *GRID, engine=again) == 0
    assert again.ran == [f"{NAMES[1]}/all"]
    assert (finished / RATES).read_text() == table


def test_a_folder_with_a_run_of_other_settings_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finished, *GRID, "--trainer.max_steps=21") == 2
    wanted = f"{NAMES[0]}/all has trainer.max_steps 20; it must be another, or trainer.max_steps 20."
    assert capsys.readouterr().err == f"error: --out is a folder where {wanted}\n"


def test_a_folder_in_which_another_sweep_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine()
    with claim(tmp_path, "--out", "free"):
        assert run(tmp_path, "--grid=data.n_features=[4]", engine=engine) == 2
    sentence = f"--out is {tmp_path}; it must be a folder in which no other sweep runs."
    assert capsys.readouterr() == ("", f"error: {sentence}\n")
    assert engine.ran == []


def test_a_run_of_other_settings_that_came_while_the_cells_were_checked_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: Any) -> tuple[Path, list[Cell]]:
        out, (cell,) = of_sweep.cells_of(*arguments)
        cell.folder.mkdir(parents=True)
        (cell.folder / CONFIG).write_text(json.dumps({**cell.config, "data": {"n_features": 6}}))
        return out, [cell]

    monkeypatch.setattr(sweep, "cells_of", meanwhile)
    engine = Engine()
    assert run(tmp_path, "--grid=data.n_features=[4]", engine=engine) == 2
    assert engine.ran == []


def test_a_signal_amid_the_report_and_more_after_it_end_a_sweep_in_a_sentence(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sweep, "report", interrupted)
    assert run(finished, *GRID) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "Stopped. The same command skips what is finished and goes on with the rest.\n"


@on_linux
def test_a_full_disk_ends_a_sweep_in_a_sentence(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = (finished / RATES).read_text()
    (finished / f"{RATES}.part").symlink_to("/dev/full")
    assert run(finished, *GRID) == STORAGE
    remedy = "free space or make the folder writable, and run the same command again"
    assert capsys.readouterr().err == f"error: No space left on device: {finished / RATES}; {remedy}.\n"
    assert (finished / RATES).read_text() == table


def test_a_cell_whose_folder_cannot_be_made_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n_features=4").write_text("in the way")
    assert sweep.main([*BASE, f"--out={tmp_path}", "--grid=data.n_features=[4]"], run_local) == 1
    out, err = capsys.readouterr()
    reason = f"exit status 1: no output; can {tmp_path / 'n_features=4'} be written to?"
    assert f"failed: n_features=4 (all): {reason}" in out
    assert err == "error: 1 of 1 cell failed; the same command runs what failed again.\n"


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


@pytest.mark.slow
def test_a_cell_that_fails_is_reported_and_the_others_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(fails="n_features=4")
    assert run(tmp_path, "--grid=data.n_features=[4,5]", engine=engine) == 1
    out, err = capsys.readouterr()
    assert engine.ran == ["n_features=4/all", "n_features=5/all"]
    assert "failed: n_features=4 (all): exit status 1: it went wrong." in out
    assert err == "error: 1 of 2 cells failed; the same command runs what failed again.\n"
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
    assert cell.is_finished


@pytest.mark.slow
def test_a_cell_that_fails_at_its_very_end_is_not_finished(tmp_path: Path) -> None:
    def fails_late(
        cells: Sequence[Cell], n_jobs: int | None, say: Callable[[str], None]
    ) -> Generator[tuple[Cell, int], None, None]:
        for cell, _ in Engine()(cells, n_jobs, say):
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
