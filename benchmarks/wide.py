"""A wide model on few examples: `python -m benchmarks.wide`.

n = 10,000 features, m = 2, T = 1,000 examples at S = 0.999 (each feature active with probability 0.001), the full batch
at every step, one instance, AdamW: eager PyTorch on dense examples, this project's objective on sparse ones, the same
without its C++ part, and a whole `fit` with configs/regimes.yaml at the paper's settings: its pictures, curves,
checkpoints and census included. Each runs in a process of its own, in turn. Peak memory is what the steps add to the
process that already holds model, optimizer and examples; it is compared with one dense [batch, feature] array.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.__main__ import span
from benchmarks.contenders import TimedCLI
from src import cli
from src.data import FiniteFeatures
from src.objective import build, loss_and_gradient

N_FEATURES, N_HIDDEN, N_EXAMPLES, PROBABILITY = 10_000, 2, 1_000, 0.001
ROUNDS, SECONDS, WARM_UP = 3, 3.0, 2
EAGER, FUSED, CLOSED = "eager, dense x", "fused, sparse x", "closed form, sparse x"
FIT, FIT_STEPS = "fit, paper's settings", 5000


def sparse_examples() -> torch.Tensor:
    """Unit-length examples [example, feature], sparse COO, never dense on the way."""
    return FiniteFeatures(N_FEATURES, PROBABILITY, N_EXAMPLES).examples


def loop(name: str) -> Callable[[], None]:
    """One step of the contender."""
    generator = torch.Generator().manual_seed(0)
    xavier = (2 / (N_FEATURES + N_HIDDEN)) ** 0.5
    W = torch.nn.Parameter(xavier * torch.randn(1, N_HIDDEN, N_FEATURES, generator=generator))
    b = torch.nn.Parameter(torch.zeros(1, N_FEATURES))
    optimizer = torch.optim.AdamW([W, b], lr=1e-3, weight_decay=0.01, fused=True)
    x = sparse_examples()
    if name == EAGER:
        x = x.to_dense()

    def eager() -> None:
        optimizer.zero_grad()
        loss_and_gradient.reference_losses(W, b, x).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def ours() -> None:
        _, W.grad, b.grad = loss_and_gradient.losses_and_gradients(W, b, x)
        optimizer.step()

    return eager if name == EAGER else ours


def peak_bytes() -> int:
    """The process's highest resident memory so far, or since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def measure_fit() -> dict[str, float]:
    """The steps of a whole `fit`, by the time from its call to its return; its memory is that of all it does."""
    settings = {"data.n_examples": N_EXAMPLES, "model.n_instances": 1, "trainer.max_steps": FIT_STEPS}
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        place = f"--trainer.logger.init_args.save_dir={folder}"
        before = peak_bytes()
        configs = [f"--config=configs/{name}.yaml" for name in ("regimes", "references/henighan_2023")]
        status = cli.main(["fit", *configs, *arguments, place], TimedCLI)
    assert status == 0
    return {"rate": FIT_STEPS / TimedCLI.seconds, "bytes": peak_bytes() - before}


def measure(name: str) -> dict[str, float]:
    if name == FIT:
        return measure_fit()
    step = loop(name)
    torch.rand(500, 500) @ torch.rand(500, 500)  # what a first matrix product sets up is not the steps' own
    forget_peak()
    before = peak_bytes()
    start = time.perf_counter()
    for _ in range(WARM_UP):
        step()
    n_steps = max(WARM_UP, int(SECONDS / ((time.perf_counter() - start) / WARM_UP)))
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    return {"rate": n_steps / (time.perf_counter() - start), "bytes": peak_bytes() - before}


def in_process(name: str) -> dict[str, float]:
    environment = {**os.environ, **({build.SWITCH: "0"} if name == CLOSED else {})}
    command = [sys.executable, "-m", "benchmarks.wide", "--one", name]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    results: dict[str, list[dict[str, float]]] = {EAGER: [], FUSED: [], CLOSED: [], FIT: []}
    for _ in range(options.rounds):
        for name, runs in results.items():
            runs.append(in_process(name))
    dense = 4 * N_EXAMPLES * N_FEATURES
    print("| | steps/s | times eager | peak memory, MiB | of one dense array |\n|---|---|---|---|---|")
    for name, runs in results.items():
        ratios = [run["rate"] / base["rate"] for run, base in zip(runs, results[EAGER], strict=True)]
        rate, peak = statistics.median(run["rate"] for run in runs), max(run["bytes"] for run in runs)
        print(f"| {name} | {rate:,.1f} | {span(ratios, 1)} | {peak / 2**20:,.1f} | {peak / dense:.2f} |")


if __name__ == "__main__":
    main()
