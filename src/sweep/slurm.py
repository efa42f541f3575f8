"""SLURM: an array of tasks, one a cell, and a job that merges what they leave. The scripts are plain, to be read."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.errors import ConfigError
from src.runs.folder import write_whole
from src.sweep.cells import Cell
from src.sweep.shard import write_list

WARNED = 120  # seconds before the time limit at which a task is told to save and stop
ARRAY, MERGE, CELLS = "array.sbatch", "merge.sbatch", "cells.json"


@dataclass(frozen=True)
class Job:
    """What `sbatch` is asked for.

    Attributes:
        cpus, gpus: of one task, whole numbers.
        at_a_time: tasks that run at once; None for as many as SLURM lets.
        options: further lines for `sbatch`, such as `--time=1:00:00 --partition=cpu`.
    """

    cpus: int
    gpus: int
    at_a_time: int | None
    options: Sequence[str]


def job_of(options: argparse.Namespace) -> Job:
    """From the sweep's own options; see `src.sweep.options`."""
    return Job(int(options.cpus_per_shard), int(options.gpus_per_shard), options.jobs, options.sbatch)


def hand_over(array: Path, merge: Path, submits: bool) -> int:
    """Submit the scripts if that is asked for, or say how; return the exit status."""
    if submits:
        first, second = submit(array, merge)
        print(f"submitted as job {first}, and the merge after it as job {second}")
    else:
        print(f"array=$(sbatch --parsable {shlex.quote(str(array))})")
        print(f"sbatch --dependency=afterany:$array {shlex.quote(str(merge))}")
    return 0


def write_scripts(out: Path, due: Sequence[Cell], job: Job, sweep: Sequence[str]) -> tuple[Path, Path]:
    """Write the script of the array, and of the job that merges, into the next free folder `<out>/slurm/<k>`.

    Args:
        due: the cells that are not finished.
        sweep: the arguments of this sweep, with which it is called again to merge.
    """
    above = out.absolute() / "slurm"
    before = [int(path.name) for path in above.glob("*") if path.name.isdigit()]
    folder = above / str(max(before, default=0) + 1)  # tasks of an earlier submission may still read theirs
    folder.mkdir(parents=True)
    write_list(folder / CELLS, due)
    throttle = "" if job.at_a_time is None else f"%{job.at_a_time}"
    gpus = [f"--gpus-per-task={job.gpus}"] if job.gpus else []
    asked = [f"--array=0-{len(due) - 1}{throttle}", "--ntasks=1", f"--cpus-per-task={job.cpus}", *gpus]
    asked += [
        "--requeue",
        "--open-mode=append",
        f"--signal=B:TERM@{WARNED}",
        f"--output={_escaped(folder)}/task_%a.txt",
    ]
    task = ["-m", "src.sweep.shard", str(folder / CELLS)]
    threads = [f"export OMP_NUM_THREADS={job.cpus} MKL_NUM_THREADS={job.cpus}"]
    array = _script("toy", [*asked, *job.options], threads, f'{_python(task)} "$SLURM_ARRAY_TASK_ID"')
    merging = ["--ntasks=1", f"--output={_escaped(folder)}/merge.txt"]
    merge = _script(
        "toy_merge",
        [*merging, *job.options],
        [],
        _python(["-m", "src.sweep", *(word for word in sweep if word != "--submit"), "--merge"]),
    )
    for name, script in ((ARRAY, array), (MERGE, merge)):
        write_whole(folder / name, script.encode())
    return folder / ARRAY, folder / MERGE


def _script(name: str, options: Sequence[str], before: Sequence[str], command: str) -> str:
    """`exec` gives the signal before the time limit to Python itself, which then saves and stops."""
    asked = [f"#SBATCH {shlex.quote(option)}" for option in (f"--job-name={name}", *options)]
    lines = ["#!/bin/bash", *asked, f"cd {shlex.quote(str(Path.cwd()))} || exit 1", *before, f"exec {command}"]
    return "\n".join(lines) + "\n"


def _escaped(path: Path) -> str:
    """As sbatch reads names of files, in which `%` begins a number of the job."""
    return str(path).replace("%", "%%")


def _python(arguments: Sequence[str]) -> str:
    return shlex.join([sys.executable, *arguments])


def submit(array: Path, merge: Path) -> tuple[str, str]:
    """Hand both to SLURM, the second to run when every task of the first has ended; return the numbers of the jobs.

    Raises:
        ConfigError: if `sbatch` refuses.
    """
    first = _sbatch("--parsable", str(array))
    try:
        return first, _sbatch("--parsable", f"--dependency=afterany:{first}", str(merge))
    except ConfigError as error:
        raise ConfigError(f"{error} The array runs as job {first}; merge later, by the same command.") from None


def _sbatch(*arguments: str) -> str:
    done = subprocess.run(["sbatch", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it gives no reason"])[-1].rstrip(".")
        raise ConfigError(f"--submit is refused by sbatch: {said}.")
    return done.stdout.strip().partition(";")[0]
