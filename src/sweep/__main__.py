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

import contextlib
from contextlib import closing

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from src.commands import ENDINGS, exit_with, quiet, status_after
from src.results.rates import counted
from src.runs.folder import new_folder
from src.runs.lock import claim
from src.runs.tables import pyarrow
from src.stopping import Stopped, ignore, stoppable
from src.sweep.cells import Cell, cells_of, parse_grid
from src.sweep.dry_run import dry_run
from src.sweep.local import Engine, run_local
from src.sweep.merging import Merged
from src.sweep.options import parse
from src.sweep.ray_engine import ray_engine
from src.sweep.report import report
from src.sweep.slurm import hand_over, job_of, write_scripts

waiting.end()

SPEED_OVER = 1800  # seconds over which the speed is taken: a cell may take minutes


def sweep(merged: Merged, engine: Engine, n_jobs: int | None) -> int:
    """Run what is not finished, with a progress bar, and report; return the exit status: 1 if a cell failed."""
    failures: list[str] = []
    n_cells, due = len(merged.cells), merged.due
    console = Console()
    with _progress_bar(console) as bar:
        task = bar.add_task("", total=n_cells, completed=n_cells - len(due), where="")

        def say(where: str) -> None:
            bar.update(task, where=where)

        with closing(engine(due, n_jobs, say)) as ended:
            for cell, status in ended:
                bar.update(task, advance=1, description=f"last: {cell.name}")
                if status == 0 and cell.has_census:
                    merged.add(cell)
                else:
                    reason = _last_line(cell) if status != 0 else "it left no census; has it callbacks.census.Census?"
                    failures.append(f"{cell.name} ({cell.folder.name}): exit status {status}: {reason}")
                    bar.console.print(f"failed: {failures[-1]}", style="red", markup=False, soft_wrap=True)
    report(merged, console)
    if failures:
        sentence = f"{len(failures)} of {counted(n_cells, 'cell')} failed; the same command runs what failed again."
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if failures else 0


class _PerMinute(ProgressColumn):
    """How many cells end in a minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{60 * speed:.3g} a minute", style="progress.data.speed")


def _progress_bar(console: Console) -> Progress:
    bar = (TextColumn("cells"), MofNCompleteColumn(), BarColumn(bar_width=10))
    times = (
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        _PerMinute(),
        TextColumn("{task.fields[where]}"),
    )
    last = TextColumn("{task.description}")
    return Progress(*bar, *times, last, console=console, speed_estimate_period=SPEED_OVER)


def _last_line(cell: Cell) -> str:
    try:
        lines = cell.output.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].removeprefix("error: ") if lines else f"no output; can {cell.folder.parent} be written to?"


def merge(merged: Merged) -> int:
    """Report what is finished; return the exit status: 1 if a cell is not."""
    report(merged, Console())
    missing = sum(merged.census(cell.name) is None for cell in merged.due)
    if missing:
        print(f"error: {missing} of {counted(len(merged.cells), 'cell')} are not finished.", file=sys.stderr)
    return 1 if missing else 0


def _run(options: argparse.Namespace, merged: Merged, engine: Engine | None) -> int:
    with contextlib.ExitStack() as stack:
        if engine is None and options.engine == "ray":
            waiting.say("joining the cluster" if options.address else "starting Ray")
            wanted = (options.cpus_per_shard, options.gpus_per_shard, options.max_retries)
            engine = stack.enter_context(ray_engine(merged.out, options.address, *wanted))
            waiting.clear()
        return sweep(merged, engine or run_local, options.jobs)


def main(args: list[str] | None = None, engine: Engine | None = None) -> int:
    """Run a sweep; return its exit status: see `src.commands.status_after`, and 1 if a cell failed."""
    quiet()
    waiting.say("checking the cells")
    given = sys.argv[1:] if args is None else args
    with stoppable():
        try:
            options, arguments = parse(given, str(__doc__))
            if options.parquet:
                pyarrow()  # refused now, not when the cells have run
            out, cells = cells_of(arguments, parse_grid(options.grid), options.shards, options.out)
            if options.dry_run:
                return dry_run(out, cells, options)
            with new_folder(out), claim(out, "--out", "a folder in which no other sweep runs"):
                for cell in cells:
                    cell.refuse_another_run()  # as `cells_of` does, but another sweep may have ended here since
                waiting.clear()
                merged = Merged(out, cells, options.parquet, runs=not options.merge)
                if options.merge or not merged.due:
                    return merge(merged)
                if engine is not None or options.engine != "slurm":
                    return _run(options, merged, engine)
                scripts = write_scripts(out, merged.due, job_of(options), given)
            return hand_over(*scripts, options.submit)  # when the folder is free, for the job that merges
        except ENDINGS as error:
            waiting.clear()
            if isinstance(error, Stopped):
                print("Stopped. The same command skips what is finished and goes on with the rest.", file=sys.stderr)
            return status_after(error, "; free space or make the folder writable, and run the same command again.")
        finally:
            if args is None:  # a program, of which only its end is left
                ignore()


if __name__ == "__main__":
    exit_with(main())
