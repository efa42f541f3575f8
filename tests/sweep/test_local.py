"""The engine that runs cells on this machine survives what goes wrong with them, and leaves none behind."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from src.runs.folder import CENSUS, CHECKPOINT, RATES
from src.stopping import AT_ONCE, Stopped, noted, stoppable
from src.sweep import cells as of_sweep
from src.sweep.cells import Cell
from src.sweep.local import run_local
from tests.running import ROOT
from tests.sweep.sweeping import BASE

COMMAND = [sys.executable, "-m", "src.sweep", *BASE]
STOPPED = "Stopped. The same command skips what is finished and goes on with the rest.\n"
# In the place of Python and a fit; the fourth word, a cell's first argument, says how it takes a signal.
FIT = """#!/bin/sh
case "$4" in
    saves) trap 'echo saved; exit 130' INT TERM ;;
    ends) trap 'exit 0' INT TERM ;;
    deaf) trap '' INT TERM ;;
    short) exit 0 ;;
esac
echo runs
for k in $(seq 3000); do sleep 0.02; done
"""


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Cell]]:
    """Makes a cell for each kind of `FIT`."""
    script = tmp_path / "fit"
    script.write_text(FIT)
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return lambda *kinds: [Cell(f"{k}", {}, {}, [kind], tmp_path / f"{k}" / "all", {}) for k, kind in enumerate(kinds)]


def printed(cell: Cell) -> str:
    return cell.output.read_text() if cell.output.is_file() else ""


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def until_stopped(cells: list[Cell], n_jobs: int, *numbers: int) -> tuple[list[tuple[str, int]], int]:
    """Run cells; when as many run as may, signal this process, each number as a word of its own.

    Returns the cells that it told of, and the signal that stopped it.
    """

    def send() -> None:
        wait_for(lambda: all(printed(cell) == "runs\n" for cell in cells[:n_jobs]))
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(1.5 * AT_ONCE)

    sending = threading.Thread(target=send)
    ended: list[tuple[str, int]] = []
    with stoppable():
        sending.start()
        try:
            for cell, status in run_local(cells, n_jobs):
                ended.append((cell.name, status))
        except Stopped as stop:
            assert psutil.Process().children() == []
            sending.join()  # what still comes finds nothing left to stop
            return ended, stop.number
    raise AssertionError("nothing stopped it")


def start(*arguments: str) -> subprocess.Popen[str]:
    """A sweep in a process of its own."""
    command = [*COMMAND, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def endless(folder: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A sweep, and its one cell, which trains for ever and has saved a checkpoint."""
    sweeping = start("--trainer.max_steps=100000000", "--grid=data.n_features=[4]", f"--out={folder}")
    wait_for(lambda: (folder / "n_features=4/all" / CHECKPOINT).is_file() or sweeping.poll() is not None)
    (cell,) = psutil.Process(sweeping.pid).children()
    try:
        yield sweeping, cell
    finally:
        sweeping.kill()
        with suppress(psutil.NoSuchProcess):
            cell.kill()


def test_a_cell_that_cannot_be_started_is_one_that_failed(cells: Callable[..., list[Cell]], tmp_path: Path) -> None:
    (tmp_path / "1").write_text("in the way")
    ended = [(cell.name, status) for cell, status in run_local(cells("short", "short", "short"), 1)]
    assert ended == [("0", 0), ("1", 1), ("2", 0)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_stop_it_interrupts_the_cells_and_waits_for_them(number: int, cells: Callable[..., list[Cell]]) -> None:
    three = cells("saves", "saves", "saves")
    assert until_stopped(three, 2, number) == ([], number)
    assert [printed(cell) for cell in three] == ["runs\nsaved\n", "runs\nsaved\n", ""]


@pytest.mark.slow
def test_told_again_it_kills_them(cells: Callable[..., list[Cell]]) -> None:
    assert until_stopped(cells("deaf", "deaf"), 2, signal.SIGTERM, signal.SIGINT, signal.SIGINT) == ([], signal.SIGTERM)


def test_signals_at_once_are_one() -> None:
    def twice() -> None:
        with noted() as signals:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            assert signals == [signal.SIGHUP]

    with stoppable(), pytest.raises(Stopped):
        twice()


def test_a_cell_that_ends_well_although_it_was_told_to_stop_is_told_of(cells: Callable[..., list[Cell]]) -> None:
    assert until_stopped(cells("ends", "saves"), 2, signal.SIGINT) == ([("0", 0)], signal.SIGINT)


def test_an_error_of_who_is_told_leaves_no_cell_behind(cells: Callable[..., list[Cell]]) -> None:
    long, short = cells("saves", "short")

    def fail() -> None:
        with closing(run_local([long, short], 2)) as ended:
            assert next(ended) == (short, 0)
            wait_for(lambda: printed(long) == "runs\n")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert printed(long) == "runs\nsaved\n"


@pytest.mark.slow
def test_a_cell_whose_checkpoint_cannot_be_read_is_run_anew(tmp_path: Path) -> None:
    _, (cell,) = of_sweep.cells_of(BASE, {"data.n_features": ["4"]}, 1, tmp_path)
    (cell.folder / CHECKPOINT).parent.mkdir(parents=True)
    (cell.folder / CHECKPOINT).write_text("no checkpoint")
    assert [status for _, status in run_local([cell], 1)] == [0]
    assert cell.has_census


@pytest.mark.slow
def test_a_sweep_runs_two_cells_at_a_time_and_survives_one_that_diverges(tmp_path: Path) -> None:
    sgd = f"--config={ROOT}/configs/optimizers/sgd.yaml"
    grid = ["--grid=model.optimizer.init_args.lr=[1,1e6]", "--jobs=2", "--data.block_size=1", f"--out={tmp_path}"]
    done = subprocess.run([*COMMAND, sgd, *grid], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "failed: lr=1e6 (all): exit status 1: The loss became non-finite at step" in done.stdout
    assert done.stderr == "error: 1 of 2 cells failed; the same command runs what failed again.\n"
    with (tmp_path / RATES).open(newline="") as file:
        assert {row["model.optimizer.init_args.lr"] for row in csv.DictReader(file)} == {"1"}


@pytest.mark.slow
def test_of_two_sweeps_of_a_folder_at_once_one_is_refused(tmp_path: Path) -> None:
    both = [start("--grid=data.n_features=[4,5]", f"--out={tmp_path}") for _ in range(2)]
    printed = [sweeping.communicate(timeout=120) for sweeping in both]
    assert sorted(sweeping.returncode for sweeping in both) == [0, 2]
    refused = [err for sweeping, (_, err) in zip(both, printed, strict=True) if sweeping.returncode == 2]
    assert refused == [f"error: --out is {tmp_path}; it must be a folder in which no other sweep runs.\n"]
    for n_features in (4, 5):
        runs = list((tmp_path / f"n_features={n_features}" / "all").glob("events.out.tfevents.*"))
        assert len(runs) == 1
    assert not list(tmp_path.rglob(".lock"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_sweep_saves_its_cells_and_goes_on(number: int, tmp_path: Path) -> None:
    def arguments(folder: Path) -> list[str]:
        return ["--trainer.max_steps=8000", "--grid=data.n_features=[4]", f"--out={folder}"]

    cell = tmp_path / "part/n_features=4/all"
    sweeping = start(*arguments(tmp_path / "part"))
    wait_for(lambda: (cell / CHECKPOINT).is_file() or sweeping.poll() is not None)
    sweeping.send_signal(number)
    _, err = sweeping.communicate(timeout=60)
    assert sweeping.returncode == 128 + number
    assert err == STOPPED
    assert not (cell / CENSUS).exists()
    for folder in ("part", "whole"):
        subprocess.run([*COMMAND, *arguments(tmp_path / folder)], cwd=ROOT, check=True, capture_output=True)
    assert "Stopped at step" not in (cell.parent / "all.txt").read_text()
    assert (cell / CENSUS).read_text() == (tmp_path / "whole/n_features=4/all" / CENSUS).read_text()
    assert os.path.getsize(cell / CHECKPOINT) > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_told_again_and_again_kills_its_cell_and_ends_in_a_sentence(
    number: int, tmp_path: Path
) -> None:
    with endless(tmp_path) as (sweeping, cell):
        cell.suspend()  # so that it cannot end by itself
        sweeping.send_signal(number)
        time.sleep(2 * AT_ONCE)
        assert sweeping.poll() is None
        while sweeping.poll() is None:
            sweeping.send_signal(number)
            time.sleep(0.005)
        _, err = sweeping.communicate()
        assert (sweeping.returncode, err) == (128 + number, STOPPED)
        assert not cell.is_running()


@pytest.mark.slow
def test_a_sweep_started_where_interrupts_are_ignored_is_stopped_by_another_signal(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what it starts with `&`
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with endless(tmp_path) as (sweeping, cell):
        sweeping.send_signal(signal.SIGINT)
        time.sleep(2 * AT_ONCE)
        assert sweeping.poll() is None
        sweeping.send_signal(signal.SIGTERM)
        _, err = sweeping.communicate(timeout=60)
        assert (sweeping.returncode, err) == (128 + signal.SIGTERM, STOPPED)
        assert not cell.is_running()
    assert "Stopped at step" in (tmp_path / "n_features=4/all.txt").read_text()
