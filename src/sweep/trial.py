"""What a sweep will take: found out by running its first cells for a part of their steps."""

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
from src.sweep.cells import Cell

PARTS = (100, 10, 1)  # of a run's steps: a hundredth, and so on
ENOUGH = 4  # seconds that one trial has to take longer than the one before, to tell what a step takes


@dataclass(frozen=True)
class Estimate:
    """Of one cell.

    Attributes:
        seconds: from start to end.
        bytes: of its run folder.
        steps: of the longest trial.
    """

    seconds: float
    bytes: int
    steps: int


def estimate(cells: Sequence[Cell], n_at_once: int, n_threads: int) -> Estimate:
    """Train the first cells, as many side by side as will run at once, in folders that go again.

    Whatever its steps, a run starts, records as often, and ends in the same way. So two trials of unlike length tell
    what that takes and what a step takes. A longer one is made until they differ by some seconds.

    Raises:
        ConfigError: if a run fails.
    """
    n_steps = cells[0].config["trainer"]["max_steps"]
    near = next(folder for folder in cells[0].folder.absolute().parents if folder.is_dir())
    before: tuple[int, float] | None = None
    for part in PARTS:
        steps = max(1, n_steps // part)
        place = Path(tempfile.mkdtemp(prefix=".trial_", dir=near))
        try:
            started = time.monotonic()
            _run(cells[:n_at_once], place, steps, n_threads)
            seconds = time.monotonic() - started
            size = sum(path.stat().st_size for path in (place / "0").rglob("*") if path.is_file())
        finally:
            shutil.rmtree(place, ignore_errors=True)
        if steps == n_steps:
            return Estimate(seconds, size, steps)
        if before is not None and steps > before[0] and seconds - before[1] > ENOUGH:
            of_a_step = (seconds - before[1]) / (steps - before[0])
            return Estimate(seconds + (n_steps - steps) * of_a_step, size, steps)
        before = steps, seconds
    raise AssertionError("the last part is the whole")


def _run(cells: Sequence[Cell], place: Path, steps: int, n_threads: int) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    runs = []
    try:
        for k, cell in enumerate(cells):
            names = {"save_dir": place, "name": str(k), "version": "run"}
            there = [f"--trainer.logger.init_args.{name}={value}" for name, value in names.items()]
            command = [sys.executable, "-m", "src.cli", "fit", *cell.arguments, *there, f"--trainer.max_steps={steps}"]
            with (place / f"{k}.txt").open("w") as output:
                runs.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment))
        for k, run in enumerate(runs):
            if run.wait() != 0:
                lines = (place / f"{k}.txt").read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
                reason = lines[-1].removeprefix("error: ")
                raise ConfigError(f"the trial failed with exit status {run.returncode}: {reason}")
    finally:
        for run in runs:
            run.kill()
            run.wait()
