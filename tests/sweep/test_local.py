"""The engine that runs cells on this machine survives what goes wrong with them."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.runs.folder import CENSUS, CHECKPOINT, RATES
from src.sweep import cells as of_sweep
from src.sweep.local import run_local
from tests.running import ROOT
from tests.sweep.sweeping import BASE

COMMAND = [sys.executable, "-m", "src.sweep", *BASE]


@pytest.mark.slow
def test_the_local_engine_survives_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    _, (cell,) = of_sweep.cells_of(BASE, {"data.n_features": ["4"]}, 1, tmp_path)
    (tmp_path / "n_features=4").write_text("in the way")
    assert [status for _, status in run_local([cell], 1)] == [1]


def test_the_local_engine_survives_a_checkpoint_that_cannot_be_read(tmp_path: Path) -> None:
    _, (cell,) = of_sweep.cells_of(BASE, {"data.n_features": ["4"]}, 1, tmp_path)
    (cell.folder / CHECKPOINT).parent.mkdir(parents=True)
    (cell.folder / CHECKPOINT).write_text("no checkpoint")
    assert [status for _, status in run_local([cell], 1)] == [1]
    assert cell.output.read_text().startswith("error: ")


@pytest.mark.slow
def test_a_sweep_runs_two_cells_at_a_time_and_survives_one_that_diverges(tmp_path: Path) -> None:
    sgd = f"--config={ROOT}/configs/optimizers/sgd.yaml"
    grid = ["--grid=model.optimizer.init_args.lr=[1,1e6]", "--jobs=2", "--data.block_size=1", f"--out={tmp_path}"]
    done = subprocess.run([*COMMAND, sgd, *grid], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "failed: lr=1e6 (all): exit status 1: The loss became non-finite at step" in done.stdout
    assert done.stderr == "error: 1 of 2 cells failed; the same command runs what failed again.\n"
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
