"""A grid of overrides and shards of seeds, each cell a `fit` of its own.

    python -m src.sweep --config configs/seeds.yaml --grid 'data.n_features=[4,5,6,7,8]'

Every combination of the grid's values is a cell. A cell is a run folder, `<out>/<cell>/<shard>`, made by the command
line of `src.cli`. A cell that is finished is skipped, an interrupted one goes on from its checkpoint, and one that
fails is reported while the others run. After each cell `<out>/rates.csv` is the one table of shares with intervals.
"""

import argparse
import sys

from src import waiting

if __name__ == "__main__":
    waiting.begin("loading torch and Lightning")

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from src.commands import ENDINGS, exit_with, quiet, status_after
from src.errors import Arguments, require
from src.results.rates import counted
from src.runs.folder import make_folder
from src.runs.lock import claim
from src.stopping import Stopped, stoppable
from src.sweep.cells import Cell, cells_of, parse_grid
from src.sweep.local import Engine, run_local
from src.sweep.report import merge, report

waiting.end()

EPILOG = "Everything else goes to `python -m src.cli fit`, in every cell. The key `config` composes another config."


def sweep(out: Path, cells: Sequence[Cell], n_jobs: int, engine: Engine) -> int:
    """Run what is not finished, with a progress bar, and report; return the exit status: 1 if a cell failed."""
    due = [cell for cell in cells if not cell.is_finished]
    failures: list[str] = []
    console = Console()
    with _progress_bar(console) as bar, closing(engine(due, n_jobs)) as ended:
        task = bar.add_task("", total=len(cells), completed=len(cells) - len(due))
        for cell, status in ended:
            bar.update(task, advance=1, description=f"last: {cell.name}")
            if status == 0 and cell.has_census:
                cell.finish()
                merge(out, cells)
            else:
                reason = _last_line(cell) if status != 0 else "it left no census; has it callbacks.census.Census?"
                failures.append(f"{cell.name} ({cell.folder.name}): exit status {status}: {reason}")
                bar.console.print(f"failed: {failures[-1]}", style="red", markup=False, soft_wrap=True)
    report(out, cells, console)
    if failures:
        sentence = f"{len(failures)} of {counted(len(cells), 'cell')} failed; the same command runs what failed again."
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if failures else 0


def _progress_bar(console: Console) -> Progress:
    bar = (TextColumn("cells"), MofNCompleteColumn(), BarColumn(bar_width=20))
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(*bar, *times, TextColumn("{task.description}"), console=console)


def _last_line(cell: Cell) -> str:
    try:
        lines = cell.output.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].removeprefix("error: ") if lines else f"no output; can {cell.folder.parent} be written to?"


def _parse(args: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The sweep's own options, and what is for every cell."""
    parser = Arguments("python -m src.sweep", description=__doc__, allow_abbrev=False, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    values = "values of a setting; repeatable"
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=[V,...]", help=values)
    parser.add_argument("--shards", type=int, default=1, help="runs into which the seeds of a cell are divided")
    parser.add_argument("--jobs", type=int, default=1, help="cells that run at a time")
    parser.add_argument("--out", type=Path, help="folder; by default <save_dir>/<experiment>_by_<settings>")
    options, arguments = parser.parse_known_args(args)
    require(bool(options.grid) or options.shards != 1, "--grid", "missing", "given, or --shards, or both")
    require(options.shards >= 1, "--shards", options.shards, "at least 1")
    require(options.jobs >= 1, "--jobs", options.jobs, "at least 1")
    printing = any(argument.startswith("--print_config") for argument in arguments)
    require(not printing, "--print_config", "given", "left to `python -m src.cli fit`")
    return options, arguments


def main(args: list[str] | None = None, engine: Engine = run_local) -> int:
    """Run a sweep; return its exit status: see `src.commands.status_after`, and 1 if a cell failed."""
    quiet()
    waiting.say("checking the cells")
    with stoppable():
        try:
            options, arguments = _parse(args)
            out, cells = cells_of(arguments, parse_grid(options.grid), options.shards, options.out)
            make_folder(out)
            with claim(out, "--out", "a folder in which no other sweep runs"):
                for cell in cells:
                    cell.refuse_another_run()  # as `cells_of` does, but another sweep may have ended here since
                waiting.clear()
                return sweep(out, cells, options.jobs, engine)
        except ENDINGS as error:
            waiting.clear()
            if isinstance(error, Stopped):
                print("Stopped. The same command skips what is finished and goes on with the rest.", file=sys.stderr)
            return status_after(error, "; free space or make the folder writable, and run the same command again.")


if __name__ == "__main__":
    exit_with(main())
