"""How time and memory grow with the number of instances: `python -m benchmarks.instances`.

Fits `configs/seeds.yaml` with all its callbacks for a few hundred steps, each size in a process of its own, the sizes
in turn, and prints the time per optimizer step (from the difference of a long and a short fit, so that the start and
the census are left out), what it comes to per instance, the time of the start and the census, and the peak memory.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from src import cli

SIZES = (64, 256, 1024, 4096, 16384)
SHORT = 50  # steps of the fit that is subtracted
MODEL_STEPS = 200_000  # steps times instances between the short fit and the long one, within
FEWEST, MOST = 50, 3000  # steps
ROUNDS = 3


def measure(n_instances: int, n_steps: int) -> dict[str, float]:
    """Seconds and peak bytes of one fit in this process."""
    arguments = ["fit", "--config", "configs/seeds.yaml", f"--model.n_instances={n_instances}"]
    with tempfile.TemporaryDirectory() as folder:
        arguments += [f"--trainer.max_steps={n_steps}", f"--trainer.logger.init_args.save_dir={folder}"]
        start = time.perf_counter()
        status = cli.main(arguments)
        seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(status)
    return {"seconds": seconds, "bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def in_process(n_instances: int, n_steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.instances", "--one", str(n_instances), str(n_steps)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    more = {size: min(MOST, max(FEWEST, MODEL_STEPS // size)) for size in options.sizes}
    short: dict[int, list[dict[str, float]]] = {size: [] for size in options.sizes}
    long: dict[int, list[dict[str, float]]] = {size: [] for size in options.sizes}
    for _ in range(options.rounds):
        for size in options.sizes:
            short[size].append(in_process(size, SHORT))
            long[size].append(in_process(size, SHORT + more[size]))
    print(f"{'instances':>9}  {'ms/step':>8}  {'µs/step/instance':>16}  {'start and census, s':>19}  {'peak MiB':>8}")
    for size in options.sizes:
        steps = [(b["seconds"] - a["seconds"]) / more[size] for a, b in zip(short[size], long[size], strict=True)]
        step = statistics.median(steps)
        rest = statistics.median(run["seconds"] for run in short[size]) - SHORT * step
        peak = max(run["bytes"] for run in long[size]) / 2**20
        print(f"{size:9,}  {1e3 * step:8.2f}  {1e6 * step / size:16.2f}  {rest:19.1f}  {peak:8,.0f}")


if __name__ == "__main__":
    main()
