"""How many model-steps a second: `python -m benchmarks`, and of variants `python -m benchmarks variants`.

Model-steps are instances times optimizer steps. Every contender (`benchmarks/contenders.py`) runs with every number of
instances, each in a process of its own, in turn, for some rounds. The table has the median rate, its ratio to the
classic loop, round by round, the peak memory of the process; then what `fit` keeps of the bare objective's rate, and
what the arithmetic of a step would allow on these cores.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from benchmarks.contenders import BATCH, CONTENDERS, N_FEATURES, N_HIDDEN, PROBABILITY
from src.cli import PARALLEL_FROM
from src.objective import build
from src.results.rates import counted

SIZES = (1, 64, 1024, 4096, 16384)
ROUNDS = 3
SECONDS = 3.0  # about how long a loop runs
BARE_SECONDS = 10.0  # as long as `fit`, whose share of its rate is asked for: the machine's moods even out
FIT_STEPS = 10_000  # `fit` runs as long as its configuration says, with all that it does once
WARM_UP = 2
CLASSIC, FIT, BARE = "classic loop", "fit, default callbacks", "bare objective"
MATRIX = 2048
Result = dict[str, float]


def measure(name: str, n_instances: int, fit_steps: int) -> Result:
    """Model-steps a second and peak bytes, in this process."""
    loop = CONTENDERS[name](n_instances)
    if name == FIT:
        n_steps = fit_steps
    else:
        if name == BARE or n_instances * BATCH * N_FEATURES < PARALLEL_FROM:
            torch.set_num_threads(1)  # as `fit` does; the fused objective has its own
        n_steps = WARM_UP
        wanted = BARE_SECONDS if name == BARE else SECONDS
        while (seconds := loop(n_steps)) < SECONDS / 4:  # the first steps set things up, and say little of the others
            n_steps *= 4
        n_steps = max(WARM_UP, int(n_steps * wanted / seconds))
    seconds = loop(n_steps)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rate": n_instances * n_steps / seconds, "bytes": peak}


def in_process(name: str, n_instances: int, fit_steps: int) -> Result:
    command = [sys.executable, "-m", "benchmarks", "--one", name, str(n_instances), "--fit-steps", str(fit_steps)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: Result = json.loads(output.splitlines()[-1])
    return result


def flops_per_model_step() -> float:
    """Additions, multiplications and comparisons that the fused objective needs for one instance and step, expected.

    An example with one active feature costs 8 per feature: z, ReLU, its square, and the two sums of the gradient. One
    with more costs 6 m + 6 per feature and 4 m per active entry, for the hidden vector and back.
    """
    p, n, m = PROBABILITY, N_FEATURES, N_HIDDEN
    none, lone = (1 - p) ** n, n * p * (1 - p) ** (n - 1)
    entries = n * p - lone  # active entries per example, in examples with more than one
    return BATCH * (lone * 8 * n + (1 - none - lone) * (6 * m + 6) * n + entries * 4 * m)


def flops_per_second() -> float:
    """What these cores do in a large matrix product."""
    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * MATRIX**3 / min(times)


def span(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def main() -> None:
    if sys.argv[1:2] == ["variants"]:
        from benchmarks import variants  # noqa: PLC0415 - which this does not need

        variants.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--fit-steps", type=int, default=FIT_STEPS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]), options.fit_steps)))
        return
    if build.library() is None:
        print("The fused objective could not be built: this measures the closed form.")
    results: dict[tuple[str, int], list[Result]] = {}
    peak_rate: list[float] = []
    for k in range(options.rounds):
        peak_rate.append(flops_per_second())
        for size in options.sizes:
            for name in CONTENDERS:
                print(f"round {k + 1} of {options.rounds}: {size:,} instances, {name}", file=sys.stderr)
                results.setdefault((name, size), []).append(in_process(name, size, options.fit_steps))
    print_table(results)
    print_roofline(results, peak_rate)


def print_table(results: dict[tuple[str, int], list[Result]]) -> None:
    print("\n| instances | | model-steps/s | times the classic loop | peak MiB |\n|---|---|---|---|---|")
    for (name, size), runs in results.items():
        ratios = [run["rate"] / base["rate"] for run, base in zip(runs, results[CLASSIC, size], strict=True)]
        rate, peak = statistics.median(run["rate"] for run in runs), max(run["bytes"] for run in runs) / 2**20
        print(f"| {size:,} | {name} | {rate:,.0f} | {span(ratios, 1)} | {peak:,.0f} |")
    print()
    for name, size in results:
        if name == FIT:
            pairs = zip(results[FIT, size], results[BARE, size], strict=True)
            shares = [100 * of_fit["rate"] / of_bare["rate"] for of_fit, of_bare in pairs]
            print(f"fit at {counted(size, 'instance')} keeps {span(shares)} % of the bare objective's rate")


def print_roofline(results: dict[tuple[str, int], list[Result]], peak_rate: list[float]) -> None:
    needed, available = flops_per_model_step(), statistics.median(peak_rate)
    best, size = max((run["rate"], size) for (name, size), runs in results.items() if name == BARE for run in runs)
    print(
        f"\nroofline: a model-step needs {needed / 1e3:.1f} kflop, {torch.get_num_threads()} threads do "
        f"{available / 1e9:.0f} Gflop/s in a matrix product of {MATRIX:,}: at most {available / needed:,.0f} "
        f"model-steps/s. The bare objective with its optimizer reached {100 * best * needed / available:.0f} % of "
        f"that, at {size:,} instances."
    )


if __name__ == "__main__":
    main()
