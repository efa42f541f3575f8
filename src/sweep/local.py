"""The engine that runs cells on this machine. Another engine is another function of the same signature."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress

from src.stopping import noted
from src.sweep.cells import Cell

# Runs the cells, so many at a time or as many as it finds right; yields each with its exit status as it ends; may show
# a few words beside the progress.
Engine = Callable[[Sequence[Cell], int | None, Callable[[str], None]], Generator[tuple[Cell, int], None, None]]
Running = dict["subprocess.Popen[bytes]", Cell]
LOOK = 0.05  # seconds between looks at the running cells


def run_local(
    cells: Sequence[Cell], n_jobs: int | None = None, say: Callable[[str], None] | None = None
) -> Generator[tuple[Cell, int], None, None]:
    """Run the cells on this machine, `n_jobs` at a time, or one; yield each with its exit status as it ends.

    What a cell prints goes to `Cell.output`. When this process is told to stop, the running cells are interrupted, each
    saves a checkpoint, and they are waited for. Told again, it kills them. None outlives this generator.
    """
    n_jobs = n_jobs or 1
    environment = {**os.environ, "COLUMNS": "120"}
    if n_jobs > 1:
        environment["OMP_NUM_THREADS"] = str(threads_of(n_jobs))
    due, running = deque(cells), Running()
    with noted() as signals:  # which cannot come between the start of a cell and the note of it
        try:
            while (due or running) and not signals:
                if due and len(running) < n_jobs:
                    cell = due.popleft()
                    try:
                        running[_start(cell, environment)] = cell
                    except OSError as error:  # a full disk, or a folder that cannot be written to
                        with suppress(OSError):
                            cell.output.write_text(f"error: {error}\n")
                        yield cell, 1
                    continue
                for process, cell in list(running.items()):
                    if process.poll() is not None:
                        del running[process]
                        yield cell, process.returncode
                time.sleep(LOOK)
        finally:
            _end(running, signals)
        for process, cell in running.items():
            if process.returncode == 0:  # it had come to its end
                yield cell, 0


def threads_of(n_jobs: int) -> int:
    """Of each of so many runs on this machine."""
    return max(1, (os.cpu_count() or 1) // n_jobs)


def _start(cell: Cell, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A fit in a session of its own: Ctrl-C reaches it through this process alone, and once."""
    command = [sys.executable, "-m", "src.cli", "fit", *cell.arguments, *cell.resumption]
    cell.output.parent.mkdir(parents=True, exist_ok=True)
    with cell.output.open("wb") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )


def _end(running: Running, signals: Sequence[int]) -> None:
    """Interrupt the cells and wait for them; at the next signal kill them."""
    n_heard = len(signals)
    # A cell ignores Ctrl-C where this process was started so, as with `&` in a script.
    ignores_interrupts = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    for process in running:
        process.send_signal(signal.SIGTERM if ignores_interrupts else signal.SIGINT)
    while any(process.poll() is None for process in running):
        if len(signals) > n_heard:
            for process in running:
                process.kill()
        time.sleep(LOOK)
