"""One cell in this process, as a worker of Ray or a task of SLURM runs it.

    python -m src.sweep.shard cells.json 3

runs the fourth cell of a list that `src.sweep.slurm` wrote, from its last checkpoint on.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from src import cli
from src.commands import ENDINGS, exit_with, quiet, status_after
from src.errors import ConfigError
from src.objective.kernel import N_THREADS
from src.runs.lock import claim
from src.sweep.cells import Cell

PATIENCE = 120  # seconds that a lost worker, which may not know yet that it is lost, has to leave the run folder
FREE = "free"
LOOK = 0.5  # seconds between looks


def run_cell(cell: Cell) -> int:
    """Run what is left of a cell; return its exit status. What it prints goes to `Cell.output`."""
    if cell.is_finished:
        return 0
    torch.set_num_threads(N_THREADS)  # the cell before may have changed it
    cell.output.parent.mkdir(parents=True, exist_ok=True)
    with cell.output.open("w", buffering=1) as output, redirect_stdout(output), redirect_stderr(output):
        try:
            _wait_for(cell.folder)
            status = cli.main(["fit", *cell.arguments, *cell.resumption])
        except KeyboardInterrupt as error:  # before the fit began
            return status_after(error)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except Exception:
            traceback.print_exc()
            return 1
        if status == 0 and cell.has_census:
            cell.finish()
        return status


def _wait_for(folder: Path) -> None:
    """Until no other process is at work in the run folder; `fit` itself refuses one that stays there for long."""
    end = time.monotonic() + PATIENCE
    while folder.is_dir() and time.monotonic() < end:
        try:
            with claim(folder, "the run folder", FREE):
                return
        except ConfigError as error:
            if not str(error).endswith(f"must be {FREE}."):
                return  # it cannot be written to, as `fit` will say
            time.sleep(LOOK)


def write_list(path: Path, cells: Sequence[Cell]) -> None:
    """What `python -m src.sweep.shard` is to run."""
    listed = [{"name": cell.name, "folder": str(cell.folder), "arguments": cell.arguments} for cell in cells]
    path.write_text(json.dumps(listed, indent=1))


def read_list(path: Path) -> list[Cell]:
    listed = json.loads(path.read_text())
    return [Cell(own["name"], {}, {}, own["arguments"], Path(own["folder"]), {}) for own in listed]


def main(args: Sequence[str]) -> int:
    quiet()
    try:
        path, index = args
        cell = read_list(Path(path))[int(index)]
    except (ValueError, LookupError, TypeError, OSError):
        return status_after(ConfigError(f"{' '.join(args)!r} is given; it must be a list of cells and a number of it."))
    try:
        status = run_cell(cell)
    except ENDINGS as error:
        return status_after(error)
    print(f"{cell.name} ({cell.folder.name}): exit status {status}; {cell.output} has what it printed", flush=True)
    return status


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "120")
    exit_with(main(sys.argv[1:]))
