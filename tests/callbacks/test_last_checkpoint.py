"""A run that is killed or stopped at any time can be resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.runs.folder import CHECKPOINT
from tests.running import ROOT, read_trajectory, run_of, state


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Killed with SIGKILL in the middle, resumed from last.ckpt: the same weights as a run that was not."""
    base = [sys.executable, "-m", "src.cli", "fit", "--config=configs/hexagon.yaml", "--trainer.max_steps=20000"]
    whole, part = tmp_path / "whole", tmp_path / "part"
    subprocess.run([*base, f"--trainer.logger.init_args.save_dir={whole}"], cwd=ROOT, check=True, capture_output=True)
    arguments = [*base, f"--trainer.logger.init_args.save_dir={part}"]
    victim = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = run_of(part) / CHECKPOINT
    while not checkpoint.is_file() and victim.poll() is None:
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    saved = torch.load(checkpoint, weights_only=True)["global_step"]
    assert 0 < saved < 20_000
    subprocess.run([*arguments, f"--ckpt_path={checkpoint}"], cwd=ROOT, check=True, capture_output=True)
    expected, resumed = state(run_of(whole)), state(run_of(part, version=1))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_its_last_step_and_says_how_to_resume(number: int, status: int, tmp_path: Path) -> None:
    arguments = ["--config=configs/hexagon.yaml", "--trainer.max_steps=1000000"]
    arguments.append(f"--trainer.logger.init_args.save_dir={tmp_path}")
    run = subprocess.Popen(
        [sys.executable, "-m", "src.cli", "fit", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    checkpoint = run_of(tmp_path) / CHECKPOINT
    while not checkpoint.is_file() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(number)
    out, _ = run.communicate()
    assert run.returncode == status
    saved = torch.load(checkpoint, weights_only=True)["global_step"]
    assert f"Stopped at step {saved:,}. Resume from step {saved:,}" in out
    assert str(checkpoint) in out
    assert read_trajectory(run_of(tmp_path))["steps"][-1] <= saved
