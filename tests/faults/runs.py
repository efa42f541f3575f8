"""Runs as processes of their own, to which something happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from src.runs.folder import CHECKPOINT
from tests.running import ROOT, run_of

FIT = [sys.executable, "-m", "src.cli", "fit", f"--config={ROOT}/configs/hexagon.yaml"]
LAST = "{class_path: callbacks.last_checkpoint.LastCheckpoint, init_args: {every_n_steps: 50}}"
CENSUS = "{class_path: callbacks.census.Census}"
TRAJECTORY = "{class_path: callbacks.trajectory.Trajectory}"
OFTEN = f"--trainer.callbacks=[{TRAJECTORY}, {CENSUS}, {LAST}]"  # saves after every block
RARELY = OFTEN.replace("every_n_steps: 50", "every_n_steps: 100000000")  # saves after the last step


def command(folder: Path, *arguments: str) -> list[str]:
    return [*FIT, f"--trainer.logger.init_args.save_dir={folder}", *arguments]


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(folder, *arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finish(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, *arguments), cwd=ROOT, capture_output=True, text=True, check=False, **options)


def wait_for(there: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    """Until it is so, or the run has ended."""
    while not there() and run.poll() is None:
        time.sleep(0.0005)


def is_held(there: Callable[[], bool], run: subprocess.Popen[str]) -> bool:
    """Stop the run where it is so; where it no longer was, let it go on."""
    run.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if there():
        return True
    run.send_signal(signal.SIGCONT)
    return False


def wait_for_checkpoint(folder: Path, run: subprocess.Popen[str]) -> Path:
    """Until the run has one."""
    checkpoint = run_of(folder) / CHECKPOINT
    wait_for(checkpoint.is_file, run)
    return checkpoint


def lines(text: str) -> Sequence[str]:
    return text.strip().splitlines()
