"""Killed with SIGKILL at any moment, a run resumes to the same bits."""

import random
import time
from pathlib import Path

import pytest
import torch

from src.runs.folder import CENSUS, CHECKPOINT
from tests.faults.runs import OFTEN, finish, start, wait_for, wait_for_checkpoint
from tests.running import read_trajectory, run_of, state

MAX_STEPS = 4000
ARGUMENTS = (OFTEN, f"--trainer.max_steps={MAX_STEPS}", "--model.n_instances=8")
N_KILLS, N_IN_A_WRITE = 20, 6
LONGEST = 2.0  # seconds from the first checkpoint on, about what the run takes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    assert finish(folder, *ARGUMENTS).returncode == 0
    return run_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(N_KILLS))
def test_a_killed_run_resumes_to_the_same_bits(number: int, whole: Path, tmp_path: Path) -> None:
    """The first six while a checkpoint is being written, the others anywhere."""
    moment = random.Random(number)
    victim = start(tmp_path, *ARGUMENTS)
    checkpoint = wait_for_checkpoint(tmp_path, victim)
    time.sleep(moment.uniform(0, LONGEST))
    if number < N_IN_A_WRITE:
        part = checkpoint.with_name("last.ckpt.part")
        wait_for(part.exists, victim)
    victim.kill()
    victim.communicate()
    assert finish(tmp_path, *ARGUMENTS, f"--ckpt_path={checkpoint}").returncode == 0
    resumed = run_of(tmp_path, version=1)
    for expected, found in ((state(whole), state(resumed)), (read_trajectory(whole), read_trajectory(resumed))):
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (whole / CENSUS).read_bytes() == (resumed / CENSUS).read_bytes()
    assert (resumed / CHECKPOINT).is_file()
