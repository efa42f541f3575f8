"""The engine that runs cells on a Ray cluster: each cell is one task, started again if its worker is lost."""

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from src.results.rates import counted
from src.stopping import noted
from src.sweep.cells import Cell
from src.sweep.local import Engine
from src.sweep.ray_cluster import UnseenError, cluster, is_seen, machines_of, refuse_unseen, token_in
from src.sweep.shard import run_cell

LOOK = 0.2  # seconds between looks at the signals
STOPPED = (128 + signal.SIGTERM, 128 + signal.SIGHUP)  # exit statuses
VISIBLE = 60  # seconds until a shared file system has to show what another machine wrote


class LostError(RuntimeError):
    """A cell was stopped by another than the sweep, as when a machine is taken out of a cluster."""


@contextmanager
def ray_engine(out: Path, address: str | None, cpus: float, gpus: float, max_retries: int) -> Iterator[Engine]:
    """An `Engine` for as long as the cluster is joined.

    Args:
        max_retries: how often a cell is started again whose worker or machine was lost.
        out, address, cpus, gpus: see `src.sweep.ray_cluster.cluster`, which also says what is refused.
    """
    with cluster(out, address, cpus, gpus) as ray:
        retried = {"max_retries": max_retries, "retry_exceptions": [LostError]}
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, **retried)(_run)
        start = partial(task.remote, directory=os.getcwd(), token=token_in(out))
        yield partial(_run_all, ray, start, partial(_room, ray, cpus, gpus))


def _run(cell: Cell, directory: str, token: Path) -> tuple[int, bool]:
    """On a machine of the cluster: the exit status, and whether the cell is finished."""
    if not is_seen(token):  # on a machine that came later
        raise UnseenError(socket.gethostname())
    os.chdir(directory)
    status = run_cell(cell)
    if status in STOPPED:  # not by the sweep itself, which interrupts: the machine is to go
        raise LostError(f"it was stopped by signal {status - 128}")
    return status, cell.is_finished


def _room(ray: Any, cpus: float, gpus: float) -> int:
    """Twice as many cells as run at once, so that a machine that becomes free has the next one at hand."""
    has = ray.cluster_resources()
    fit = [int(has.get(kind, 0) / each) for kind, each in (("CPU", cpus), ("GPU", gpus)) if each > 0]
    return 2 * max(1, min(fit, default=1))


def _run_all(
    ray: Any,
    start: Callable[[Cell], Any],
    room: Callable[[], int],
    cells: Sequence[Cell],
    n_jobs: int | None,
    say: Callable[[str], None],
) -> Generator[tuple[Cell, int], None, None]:
    """See `src.sweep.local.Engine`."""
    due, running = deque(cells), dict[Any, Cell]()
    with noted() as signals:
        try:
            while (due or running) and not signals:
                say(f"on {counted(len(machines_of(ray)), 'machine')}")
                while due and len(running) < (n_jobs or room()):
                    cell = due.popleft()
                    running[start(cell)] = cell
                ended, _ = ray.wait(list(running), timeout=LOOK)
                for reference in ended:
                    cell = running.pop(reference)
                    yield cell, _status(ray, reference, cell)
        finally:
            _interrupt(ray, list(running), signals)
        for reference, cell in running.items():
            with suppress(ray.exceptions.RayError):
                if ray.get(reference)[0] == 0:  # it had come to its end
                    yield cell, 0


def _status(ray: Any, reference: Any, cell: Cell) -> int:
    """Of a cell that has ended; 1 if it was lost too often or could not be run, and its output says so."""
    try:
        status, is_finished = ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, UnseenError):
            refuse_unseen(token_in(cell.folder.parents[1]), str(cause))
        lost = f"its worker, or its machine, was lost once too often ({type(error).__name__})"
        with suppress(OSError):
            cell.output.parent.mkdir(parents=True, exist_ok=True)
            with cell.output.open("a") as output:
                output.write(f"error: {cause or lost}\n")
        return 1
    end = time.monotonic() + VISIBLE
    while is_finished and not cell.is_finished:
        with suppress(OSError):
            os.listdir(cell.folder)  # which makes a network file system look
        if time.monotonic() > end:
            return 1  # it is not merged half seen; the same command finds it finished
        time.sleep(LOOK)
    return int(status)


def _interrupt(ray: Any, running: list[Any], signals: Sequence[int]) -> None:
    """The cells save and stop, and are waited for; at the next signal they are killed."""
    n_heard = len(signals)
    for reference in running:
        ray.cancel(reference, recursive=False)
    while running:
        _, running = ray.wait(running, num_returns=len(running), timeout=LOOK)
        if len(signals) > n_heard:
            for reference in running:
                ray.cancel(reference, force=True, recursive=False)
