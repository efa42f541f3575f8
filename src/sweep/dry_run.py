"""`--dry-run`: the cells, the commands of what is not finished, and what they will take."""

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from src import waiting
from src.results.rates import counted
from src.sweep.cells import Cell
from src.sweep.local import threads_of
from src.sweep.trial import estimate


def dry_run(out: Path, cells: Sequence[Cell], options: argparse.Namespace) -> int:
    """Print it all; return the exit status.

    Args:
        options: the sweep's own; see `src.sweep.options`.

    Raises:
        ConfigError: if the trial fails.
    """
    due = [cell for cell in cells if not cell.is_finished]
    console = Console(soft_wrap=True, highlight=False, markup=False)
    waiting.clear()
    for name, count in Counter(cell.name for cell in cells).items():
        left = sum(cell.name == name for cell in due)
        console.print(f"{name}: {counted(count, 'shard')}, {left:,} to run")
    for cell in due:
        console.print(shlex.join(["python", "-m", "src.cli", "fit", *cell.arguments, *cell.resumption]))
    if not due:
        console.print("Everything is finished.")
        return 0
    is_here = options.engine == "local"
    at_once = min((options.jobs or 1) if is_here else 1, len(due))
    n_threads = threads_of(options.jobs or 1) if is_here else max(1, int(options.cpus_per_shard))
    waiting.say("a short trial")
    one = estimate(due, at_once, n_threads)
    waiting.clear()
    each = f"{counted(len(due), 'run')} of about {_time(one.seconds)} and {_size(one.bytes)} each"
    console.print(f"{each}: {_time(one.seconds * len(due) / at_once)} with {at_once} at a time on this machine, and")
    console.print(f"{_size(one.bytes * len(due))} in {out}. Reckoned from runs of up to {counted(one.steps, 'step')}.")
    return 0


def _time(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} seconds"


def _size(n_bytes: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"
