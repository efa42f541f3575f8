"""A run that is told to stop saves its last step, says how to go on, and exits with 128 + the signal's number."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.faults.runs import start, wait_for_checkpoint
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


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once_with_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    run = start(tmp_path, LONG, "--data.block_size=2000000", "--data.batch_size=1")  # no block ends within the test
    time.sleep(0.1)
    while not (run_of(tmp_path) / "config.yaml").is_file():
        time.sleep(0.01)
    time.sleep(1)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGINT
    assert "Traceback" not in err


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
    run.stdout.close()
    run.wait(timeout=60)
    assert (run_of(tmp_path) / "trajectory.safetensors").is_file()
    saved = torch.load(run_of(tmp_path) / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert saved == 3000
