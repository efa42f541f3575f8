"""A run that is told to stop saves its last step, says how to go on, and exits with 128 + the signal's number."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.runs.folder import CENSUS, CHECKPOINT
from tests.faults.runs import OFTEN, start, wait_for, wait_for_checkpoint
from tests.running import ROOT, read_trajectory, run_of

LONG = "--trainer.max_steps=100000000"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_saves_its_last_step_and_says_how_to_resume(number: int, tmp_path: Path) -> None:
    run = start(tmp_path, LONG)
    checkpoint = wait_for_checkpoint(tmp_path, run)
    run.send_signal(number)
    out, err = run.communicate()
    assert run.returncode == 128 + number
    assert err == ""
    saved = torch.load(checkpoint, weights_only=True)["global_step"]
    assert f"Stopped at step {saved:,}. Resume from step {saved:,}" in out
    assert str(checkpoint) in out
    assert read_trajectory(run_of(tmp_path))["steps"][-1] <= saved


SLOW_LAW = """
import pathlib
import time

from src.distributions import Sparse


class Slow(Sparse):
    n_draws = 0

    def draw(self, shape, generator):
        self.n_draws += 1
        if self.n_draws == 2:
            pathlib.Path("{mark}").touch()
            time.sleep(600)
        return super().draw(shape, generator)
"""


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once_with_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    """In the middle of a block that does not end, behind one that ended and was saved."""
    mark = tmp_path / "in the second block"
    (tmp_path / "slow_law.py").write_text(SLOW_LAW.format(mark=mark))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = start(tmp_path, LONG, OFTEN, "--data.distribution=slow_law.Slow", env=environment)
    wait_for(mark.exists, run)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGINT
    assert err == ""
    assert "Resume from step 50 with the same command" in out
    assert torch.load(run_of(tmp_path) / CHECKPOINT, weights_only=True)["global_step"] == 50


@pytest.mark.slow
@pytest.mark.parametrize("module", ["src.cli", "src.sweep", "src.predictions"])
@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.6])
def test_ctrl_c_before_anything_has_begun_ends_without_a_traceback(module: str, seconds: float) -> None:
    arguments = {
        "src.cli": ["fit", "--config=configs/hexagon.yaml", LONG, "--trainer.logger=false", "--trainer.callbacks=[]"],
        "src.sweep": ["--config=configs/hexagon.yaml", LONG, "--grid=data.seed=[1]", "--out=/dev/null/x"],
        "src.predictions": ["phases", "--out=/dev/null/x"],
    }[module]
    run = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert not re.search("Traceback|Error", err)


@pytest.mark.slow
def test_a_terminal_that_has_gone_does_not_end_a_run(tmp_path: Path) -> None:
    """Nobody reads what it prints: the other end of the pipe is closed."""
    run = start(tmp_path, "--trainer.max_steps=3000")
    wait_for_checkpoint(tmp_path, run)
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    err = run.stderr.read()
    run.stderr.close()
    run.wait(timeout=60)
    assert "Traceback" not in err
    assert (run_of(tmp_path) / CENSUS).is_file()
    assert torch.load(run_of(tmp_path) / CHECKPOINT, weights_only=True)["global_step"] == 3000
