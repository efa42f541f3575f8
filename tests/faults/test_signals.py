"""A run that is told to stop saves its last step, says how to go on, and exits with 128 + the signal's number."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.runs.folder import CENSUS, CHECKPOINT
from src.stopping import AT_ONCE, INTERRUPTED
from tests.faults.runs import OFTEN, command, start, wait_for, wait_for_checkpoint
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


HELD_LAW = """
import pathlib
import time

from src.distributions import Sparse


class Held(Sparse):
    n_steps = 0

    def draw(self, shape, generator):
        self.n_steps += shape == ({batch_size},)
        if self.n_steps == {first}:
            pathlib.Path("{mark}").touch()
            while not pathlib.Path("{go}").exists():
                time.sleep(0.01)
        return super().draw(shape, generator)
"""


def start_held(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A run whose first block was saved, and whose second does not end before there is this file."""
    mark, go = folder / "in the second block", folder / "go on"
    (folder / "held_law.py").write_text(HELD_LAW.format(mark=mark, go=go, batch_size=1024, first=51))
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run = start(folder, LONG, OFTEN, "--data.distribution=held_law.Held", env=environment)
    wait_for(mark.exists, run)
    return run, go


def saved_step(folder: Path) -> int:
    return torch.load(run_of(folder) / CHECKPOINT, weights_only=True)["global_step"]


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once_with_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    """In the middle of a block that does not end."""
    run, _ = start_held(tmp_path)
    run.send_signal(signal.SIGINT)
    time.sleep(3 * AT_ONCE)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGINT
    assert err == ""
    assert "Resume from step 50 with the same command" in out
    assert saved_step(tmp_path) == 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "is_saved"),
    [
        (signal.SIGHUP, signal.SIGHUP, False),
        (signal.SIGTERM, signal.SIGHUP, False),
        (signal.SIGHUP, signal.SIGHUP, True),
    ],
)
def test_signals_at_once_are_one(first: int, second: int, is_saved: bool, tmp_path: Path) -> None:
    """The second comes while the block goes on, or when it has been saved."""
    run, go = start_held(tmp_path)
    run.send_signal(first)
    if is_saved:
        go.touch()
        wait_for(lambda: saved_step(tmp_path) == 100, run)
    else:
        time.sleep(0.01)
    run.send_signal(second)
    go.touch()
    out, err = run.communicate(timeout=60)
    assert run.returncode in (128 + first, 128 + second)  # who takes both at once takes the lower number first
    assert err == ""
    assert "Resume from step 100 with the same command" in out
    assert saved_step(tmp_path) == 100


# Python runs it before anything else.
HELD_IMPORT = """
import pathlib
import sys
import time


class Held:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            pathlib.Path("{mark}").touch()
            time.sleep(600)


sys.meta_path.insert(0, Held())
"""
COMMANDS = {
    "src.cli": ["fit", "--config=configs/hexagon.yaml", "--trainer.logger=false", "--trainer.callbacks=[]"],
    "src.sweep": ["--config=configs/hexagon.yaml", "--grid=data.seed=[1]", "--out=/dev/null/x"],
    "src.predictions": ["phases", "--out=/dev/null/x"],
}
USERS = "--data.distribution=own_law.Law"  # imported when the command itself has been
STOPPED = "Stopped. The same command skips what is finished and goes on with the rest.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "imported", "status", "word"),
    [
        *((name, imported, -signal.SIGINT, "") for name in COMMANDS for imported in ("torch", "src.runs.folder")),
        ("src.cli", "own_law", INTERRUPTED, ""),
        ("src.sweep", "own_law", INTERRUPTED, STOPPED),
    ],
)
def test_ctrl_c_before_anything_has_begun_ends_without_a_traceback(
    name: str, imported: str, status: int, word: str, tmp_path: Path
) -> None:
    """While this module is imported."""
    mark = tmp_path / "imports"
    (tmp_path / "sitecustomize.py").write_text(HELD_IMPORT.format(module=imported, mark=mark))
    line = [sys.executable, "-m", name, *COMMANDS[name], *([USERS] if imported == "own_law" else [])]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(mark.exists, run)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (status, word)


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


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_run_whose_output_is_closed_comes_to_its_end(closed: str, tmp_path: Path) -> None:
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", *command(tmp_path, "--trainer.max_steps=3")]
    assert subprocess.run(line, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert (run_of(tmp_path) / CENSUS).is_file()
