"""Killed with SIGKILL at any moment, a run resumes to the same bits."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from src.runs.folder import CENSUS, CHECKPOINT, CONFIG, TRAJECTORY
from tests.faults.runs import OFTEN, RARELY, finish, is_held, start, wait_for, wait_for_checkpoint
from tests.running import read_trajectory, run_of, state

MAX_STEPS = 4000
ARGUMENTS = (f"--trainer.max_steps={MAX_STEPS}", "--model.n_instances=8")
N_KILLS = 20  # of which so many are of a run without a checkpoint, and so many more while one is written:
WITHOUT, N_IN_A_WRITE = (CONFIG, TRAJECTORY), 6
LATEST = 0.6 * MAX_STEPS  # the steps after it, a second or so, are for who looks on to fall behind
BLOCK = 0.03  # seconds, about


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    assert finish(folder, OFTEN, *ARGUMENTS).returncode == 0
    return run_of(folder)


def kill(victim: subprocess.Popen[str]) -> None:
    """It must be the kill that ends it."""
    victim.kill()
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL


def assert_same(whole: Path, resumed: Path) -> None:
    for expected, found in ((state(whole), state(resumed)), (read_trajectory(whole), read_trajectory(resumed))):
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (whole / CENSUS).read_bytes() == (resumed / CENSUS).read_bytes()
    assert (resumed / CHECKPOINT).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("sign", WITHOUT)
def test_killed_before_the_first_checkpoint_the_same_command_starts_again(
    sign: str, whole: Path, tmp_path: Path
) -> None:
    """As soon as the run folder has the configuration, or the first records."""
    victim = start(tmp_path, RARELY, *ARGUMENTS)
    wait_for((run_of(tmp_path) / sign).is_file, victim)
    kill(victim)
    assert not (run_of(tmp_path) / CHECKPOINT).exists()
    assert finish(tmp_path, RARELY, *ARGUMENTS).returncode == 0
    assert_same(whole, run_of(tmp_path, version=1))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(N_KILLS - len(WITHOUT)))
def test_a_killed_run_resumes_to_the_same_bits(number: int, whole: Path, tmp_path: Path) -> None:
    """At any step; the first six while a checkpoint is being written."""
    moment = random.Random(number)
    victim = start(tmp_path, OFTEN, *ARGUMENTS)
    checkpoint = wait_for_checkpoint(tmp_path, victim)
    step = moment.uniform(0, LATEST)
    wait_for(lambda: torch.load(checkpoint, weights_only=True)["global_step"] >= step, victim)
    part = checkpoint.with_name(f"{checkpoint.name}.part")
    if number < N_IN_A_WRITE:
        wait_for(lambda: part.exists() and is_held(part.exists, victim), victim)
    else:
        time.sleep(moment.uniform(0, BLOCK))
    kill(victim)
    assert part.exists() or number >= N_IN_A_WRITE
    assert finish(tmp_path, OFTEN, *ARGUMENTS, f"--ckpt_path={checkpoint}").returncode == 0
    assert_same(whole, run_of(tmp_path, version=1))
