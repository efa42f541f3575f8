"""What a sweep will take: found out by running its first cell for ten seconds."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.errors import ConfigError
from src.runs.checkpoints import read_checkpoint
from src.runs.folder import CHECKPOINT
from src.sweep.cells import Cell

SECONDS = 10  # of training


@dataclass(frozen=True)
class Estimate:
    """Of one cell.

    Attributes:
        seconds: from start to end.
        bytes: of its run folder.
    """

    seconds: float
    bytes: int


def estimate(cells: Sequence[Cell], n_at_once: int, n_threads: int) -> Estimate:
    """Train the first cells, as many side by side as will run at once, for ten seconds in folders that go again.

    The rest of the training is taken to go on at the speed of these seconds. What a run leaves grows little after
    its first records.

    Raises:
        ConfigError: if a run fails.
    """
    near = next(folder for folder in cells[0].folder.absolute().parents if folder.is_dir())
    place = Path(tempfile.mkdtemp(prefix=".trial_", dir=near))
    try:
        started = time.monotonic()
        runs = [_start(cell, place / str(k), n_threads) for k, cell in enumerate(cells[:n_at_once])]
        try:
            printed = [run.communicate()[0] for run in runs]
        finally:
            for run in runs:
                run.kill()
        seconds = time.monotonic() - started
        for run, text in zip(runs, printed, strict=True):
            if run.returncode != 0:
                reason = (text.strip().splitlines() or ["it printed nothing"])[-1].removeprefix("error: ")
                raise ConfigError(f"the trial run failed with exit status {run.returncode}: {reason}")
        folder = place / "0" / "trial" / "run"
        done = read_checkpoint(folder / CHECKPOINT)["global_step"]
        steps = max(cells[0].config["trainer"]["max_steps"], done)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        rest = (steps - done) * SECONDS / done if done else 0.0
        return Estimate(seconds + rest, size)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _start(cell: Cell, place: Path, n_threads: int) -> "subprocess.Popen[str]":
    names = {"save_dir": place, "name": "trial", "version": "run"}
    there = [f"--trainer.logger.init_args.{name}={value}" for name, value in names.items()]
    command = [
        sys.executable,
        "-m",
        "src.cli",
        "fit",
        *cell.arguments,
        *there,
        f"--trainer.max_time=00:00:00:{SECONDS:02}",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    )
