"""How time and memory grow with the number of instances: `python -m benchmarks.instances`.

Begins to fit `configs/seeds.yaml` with all its callbacks, each size in a process of its own, in turn. Prints the time
per optimizer step (the median over blocks of 50, from the start of one to the start of the next), what it comes to per
instance, the time of everything but these steps (start, pictures, census), and the peak memory.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

from src import cli

SIZES = (64, 256, 1024, 4096, 16384)
N_BLOCKS = 10
ROUNDS = 3
BLOCK = 50  # data.block_size


class BlockTimer(Callback):
    """Notes when each block began, and ends the fit after some."""

    starts: list[float] = []  # noqa: RUF012 - of the one fit in the process

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.starts.append(time.perf_counter())
        trainer.should_stop = len(self.starts) == N_BLOCKS


def measure(n_instances: int) -> dict[str, float]:
    """Seconds a step, seconds of the whole command, and peak bytes, of one fit in this process."""
    arguments = ["fit", "--config=configs/seeds.yaml", f"--model.n_instances={n_instances}"]
    arguments.append("--trainer.callbacks+=benchmarks.instances.BlockTimer")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        status = cli.main([*arguments, f"--trainer.logger.init_args.save_dir={folder}"])
        seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(status)
    starts = sys.modules["benchmarks.instances"].BlockTimer.starts
    step = statistics.median(b - a for a, b in itertools.pairwise(starts)) / BLOCK
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"step": step, "rest": seconds - N_BLOCKS * BLOCK * step, "bytes": peak}


def in_process(n_instances: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.instances", "--one", str(n_instances)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    results: dict[int, list[dict[str, float]]] = {size: [] for size in options.sizes}
    for _ in range(options.rounds):
        for size in options.sizes:
            results[size].append(in_process(size))
    print(f"{'instances':>9}  {'ms/step':>8}  {'µs/step/instance':>16}  {'all else, s':>11}  {'peak MiB':>8}")
    for size, runs in results.items():
        step, rest = (statistics.median(run[name] for run in runs) for name in ("step", "rest"))
        peak = max(run["bytes"] for run in runs) / 2**20
        print(f"{size:9,}  {1e3 * step:8.2f}  {1e6 * step / size:16.2f}  {rest:11.1f}  {peak:8,.0f}")


if __name__ == "__main__":
    main()
