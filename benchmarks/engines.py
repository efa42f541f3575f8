"""What Ray costs on one machine: the same sweep by `--jobs 2` and by `--engine ray`, in turn, for some rounds.

    python -m benchmarks.engines

Each is a command of its own, from its start to its end, with shards of 1,024 seeds. The ratio is Ray's time to that of
`--jobs 2`, round by round.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SEEDS = 1024  # of a shard
ENGINES = {"--jobs 2": ["--jobs=2"], "--engine ray": ["--engine=ray"]}


def seconds(engine: list[str], n_shards: int) -> float:
    """From the start of the sweep to its end."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = [sys.executable, "-m", "src.sweep", "--config=configs/seeds.yaml", f"--shards={n_shards}"]
        command = [*sweep, f"--model.n_instances={SEEDS * n_shards}", f"--out={Path(folder) / 'sweep'}", *engine]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shards", type=int, default=8)
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in ENGINES}
    for _ in range(options.rounds):
        for name, engine in ENGINES.items():
            took[name].append(seconds(engine, options.shards))
            print(f"{name}: {took[name][-1]:.1f} s", flush=True)
    ratios = [ray / local for local, ray in zip(*took.values(), strict=True)]
    spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{options.shards} shards of {SEEDS:,} seeds: Ray takes {spread} of the time of --jobs 2")


if __name__ == "__main__":
    main()
