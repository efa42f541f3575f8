"""Whether a long run stays as large as it began: memory, open files, and what it leaves on the disk, over its steps.

    python -m benchmarks.long_run --out docs/results/long_run.csv --figure docs/long_run.svg

A `fit` of one instance in a process of its own, looked at once in a while. The defaults are a million steps with a
record at every block: as many as there can be.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from src.figures.elements import FAINT, INK, styled, write_figure
from src.runs.checkpoints import last_readable, read_checkpoint
from src.runs.folder import CHECKPOINT, TRAJECTORY
from src.runs.tables import write_rows

MIB = 2**20
RECORDERS = ("feature_norms.FeatureNorms", "gradient_norms.GradientNorms", "feature_losses.FeatureLosses")
OTHERS = ("polygon_snapshots.PolygonSnapshots", "curves.Curves", "progress.PolygonProgressBar", "census.Census")


def callbacks(n_records: int) -> str:
    """The default ones, recording so often."""
    often = [*RECORDERS, "trajectory.Trajectory"]
    recording = [f"{{class_path: callbacks.{name}, init_args: {{n_records: {n_records}}}}}" for name in often]
    others = [f"{{class_path: callbacks.{name}}}" for name in (*OTHERS, "last_checkpoint.LastCheckpoint")]
    return f"[{', '.join(recording + others)}]"


def look(process: psutil.Process, folder: Path) -> dict[str, float | int]:
    """What the run takes now."""
    checkpoint = last_readable(folder / CHECKPOINT)
    files = [path for path in folder.rglob("*") if path.is_file()]
    sizes = {path: path.stat().st_size for path in files if path.is_file()}
    return {
        "step": 0 if checkpoint is None else read_checkpoint(checkpoint)["global_step"],
        "memory_MiB": round(process.memory_info().rss / MIB, 1),
        "open_files": process.num_fds(),
        "threads": process.num_threads(),
        "files": len(sizes),
        "event_files_MiB": round(sum(size for path, size in sizes.items() if "tfevents" in path.name) / MIB, 2),
        "checkpoint_MiB": round(sizes.get(folder / CHECKPOINT, 0) / MIB, 2),
        "trajectory_MiB": round(sizes.get(folder / TRAJECTORY, 0) / MIB, 2),
    }


def long_run(max_steps: int, n_records: int, every: float) -> list[dict[str, float | int]]:
    """What a run took, each so many seconds from its first checkpoint on."""
    rows: list[dict[str, float | int]] = []
    with tempfile.TemporaryDirectory() as place:
        settings = [f"--trainer.max_steps={max_steps}", f"--trainer.callbacks={callbacks(n_records)}"]
        settings.append(f"--trainer.logger.init_args.save_dir={place}")
        command = [sys.executable, "-m", "src.cli", "fit", "--config=configs/hexagon.yaml", *settings]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        folder, process = Path(place) / "hexagon" / "version_0", psutil.Process(run.pid)
        while run.poll() is None:
            if (folder / CHECKPOINT).is_file():
                rows.append(look(process, folder))
            time.sleep(every)
        if run.returncode != 0:
            raise RuntimeError(f"the run ended with status {run.returncode}")
    return rows


@styled
def figure(rows: Sequence[Mapping[str, float | int]]) -> Figure:
    """Memory, and the sizes of what is written, over the steps."""
    drawn = Figure(figsize=(9, 3), layout="constrained")
    left, right = drawn.subplots(1, 2)
    steps = [row["step"] / 1e6 for row in rows]
    left.plot(steps, [row["memory_MiB"] for row in rows], color=INK)
    left.set(xlabel="million steps", ylabel="memory, MiB", ylim=(0, 1.2 * max(row["memory_MiB"] for row in rows)))
    for name, label, dash in (
        ("event_files_MiB", "event files", "-"),
        ("checkpoint_MiB", "checkpoint, with the trajectory in it", "--"),
    ):
        right.plot(steps, [row[name] for row in rows], dash, color=INK, label=label)
    right.set(xlabel="million steps", ylabel="written, MiB", ylim=(0, None))
    right.legend(frameon=False)
    for axes in (left, right):
        axes.grid(color=FAINT)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max_steps", type=int, default=1_000_000)
    parser.add_argument("--n_records", type=int, default=20_000)
    parser.add_argument("--every", type=float, default=5, help="seconds between looks")
    parser.add_argument("--out", type=Path, help="a CSV of all looks")
    parser.add_argument("--figure", type=Path, help="a picture of the same")
    options = parser.parse_args()
    rows = long_run(options.max_steps, options.n_records, options.every)
    if options.out is not None:
        write_rows(options.out, rows)
    if options.figure is not None:
        write_figure(options.figure, figure(rows))
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows[:: max(1, len(rows) // 20)]:
        table.add_row(*(f"{value:,}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
