"""The engine that runs cells on this machine. Another engine is another function of the same signature."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress

from src.sweep.cells import Cell
from src.stopping import INTERRUPTED

Engine = Callable[[Sequence[Cell], int], Generator[tuple[Cell, int], None, None]]


def run_local(cells: Sequence[Cell], n_jobs: int) -> Generator[tuple[Cell, int], None, None]:
    """Run the cells on this machine, `n_jobs` at a time; yield each with its exit status as it ends.

    Another engine is another function of this signature. What a cell prints goes to `Cell.output`. When this process is
    told to stop, the running cells are interrupted, each saves a checkpoint, and they are waited for.
    """
    running: list[subprocess.Popen[bytes]] = []
    stopped, lock = threading.Event(), threading.Lock()
    environment = {**os.environ, "COLUMNS": "120"}
    if n_jobs > 1:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // n_jobs))

    def run(cell: Cell) -> int:
        try:
            cell.output.parent.mkdir(parents=True, exist_ok=True)
            with cell.output.open("wb") as output:
                command = [sys.executable, "-m", "src.cli", "fit", *cell.arguments, *cell.resumption]
                with lock:  # so that no process starts unseen by an interrupt
                    if stopped.is_set():
                        return INTERRUPTED
                    # A session of its own: Ctrl-C reaches it through this process alone, and once.
                    process = subprocess.Popen(
                        command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
                    )
                    running.append(process)
                return process.wait()
        except (OSError, RuntimeError, LookupError, TypeError, EOFError, pickle.UnpicklingError) as error:
            with suppress(OSError):  # which may be why
                cell.output.write_text(f"error: {error}\n")  # such as a checkpoint that cannot be read
            return 1

    with ThreadPoolExecutor(n_jobs) as pool:
        futures = {pool.submit(run, cell): cell for cell in cells}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            with lock:
                stopped.set()
                for process in running:
                    if process.poll() is None:
                        process.send_signal(signal.SIGINT)
            raise
