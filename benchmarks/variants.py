"""Whole fits of variants beside the unmodified model's, and beside a plain loop: `python -m benchmarks variants`.

For each variant and number of instances: `fit` with its default callbacks, the unmodified `fit`, and a plain batched
PyTorch loop of the same variant (one batch for all instances, its hooks, autograd), all with fused AdamW. Each is a
process of its own, in turn, for some rounds.
"""

import argparse
import contextlib
import importlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders import BATCH, DECAY, LEARNING_RATE, N_FEATURES, PROBABILITY, TimedCLI, timed
from src import cli
from src.model import ReLUOutputModel, ToyModel

SIZES = (256, 1024)
ROUNDS = 3
STEPS = 5000  # of a fit
SECONDS = 2.0  # about how long a plain loop runs
UNMODIFIED = "src.model.ReLUOutputModel"
PIECEWISE = ("Linear", "Leaky", "Jump", "SquaredReLU", "Untied", "NoBias", "Importance", "L4")
SMOOTH = ("Lp", "GELU", "Softplus")
FREE = ("HiddenReLU", "AbsoluteValue", "ResidualMLP")


class TopTwo(ReLUOutputModel):
    """The largest two of x' alone."""

    def decode(self, h: Tensor) -> Tensor:
        x = super().decode(h)
        values, places = x.topk(2, dim=-1)
        return torch.zeros_like(x).scatter(-1, places, values)


class Transformed(ReLUOutputModel):
    """A Fourier transform of h: what cannot be written out, and is left to autograd on the active examples."""

    def encode(self, x: Tensor) -> Tensor:
        return torch.fft.fft(super().encode(x)).real


class Noisy(ReLUOutputModel):
    """Noise on h: what gives every example numbers of its own, and is left to autograd on all of them."""

    def encode(self, x: Tensor) -> Tensor:
        h = super().encode(x)
        return h + 0.01 * torch.randn_like(h)


OWN = ("TopTwo", "Transformed", "Noisy")
VARIANTS = [
    *(f"src.variants.{name}" for name in (*PIECEWISE, *SMOOTH, *FREE)),
    *(f"benchmarks.variants.{name}" for name in OWN),
]


def fit_rate(kind: str, n_instances: int, n_steps: int) -> tuple[float, str, float]:
    """Model-steps a second of `trainer.fit`, how the model was computed, and how many steps its exact loss takes."""
    found: list[Any] = []

    class Told(TimedCLI):
        def after_fit(self) -> None:
            start = time.perf_counter()
            self.model.losses_over(self.datamodule.population)
            found.extend([self.model.objective.description, time.perf_counter() - start])
            super().after_fit()

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        arguments = [f"--model={kind}", f"--model.n_instances={n_instances}", f"--trainer.max_steps={n_steps}"]
        assert cli.main(["fit", *arguments, f"--trainer.logger.init_args.save_dir={folder}"], Told) == 0
    return n_instances * n_steps / TimedCLI.seconds, found[0], n_steps * found[1] / TimedCLI.seconds


def plain_rate(kind: str, n_instances: int) -> float:
    """Model-steps a second of the loop that one would write."""
    module, _, name = kind.rpartition(".")
    made: type[ToyModel] = getattr(importlib.import_module(module), name)
    model = made(n_features=N_FEATURES, n_instances=n_instances)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=DECAY, fused=True)

    def step() -> None:
        u = torch.rand(BATCH, N_FEATURES)
        x = torch.where(u < PROBABILITY, u / PROBABILITY, 0.0)
        loss = model.error(model.target(x), model(x)).mean(dim=(1, 2)).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    loop = timed(step)
    seconds = loop(5)
    n_steps = max(10, int(5 * SECONDS / seconds))
    return n_instances * n_steps / loop(n_steps)


def in_process(what: str, kind: str, n_instances: int, n_steps: int) -> Any:
    asked = [what, kind, str(n_instances), str(n_steps)]
    command = [sys.executable, "-m", "benchmarks.variants", "--one", *asked]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def span(values: list[float]) -> str:
    return f"{statistics.median(values):,.2f} ({min(values):,.2f} to {max(values):,.2f})"


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks variants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--fit-steps", type=int, default=STEPS)
    parser.add_argument("--only", nargs="+", default=VARIANTS, help="import paths of models")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    if options.one:
        what, kind, n_instances, n_steps = options.one
        is_fit = what == "fit"
        print(
            json.dumps(fit_rate(kind, int(n_instances), int(n_steps)) if is_fit else plain_rate(kind, int(n_instances)))
        )
        return
    headings = "instances | variant | model-steps/s | of the unmodified fit | times its plain loop"
    print(f"| {headings} | exact loss, in steps | computed by |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for size in options.sizes:
        for kind in options.only:
            rates, of_unmodified, of_plain, in_steps, how = [], [], [], [], ""
            for _ in range(options.rounds):
                rate, how, exact = in_process("fit", kind, size, options.fit_steps)
                in_steps.append(exact)
                unmodified, *_ = in_process("fit", UNMODIFIED, size, options.fit_steps)
                rates.append(rate)
                of_unmodified.append(rate / unmodified)
                of_plain.append(rate / in_process("plain", kind, size, 0))
            name = kind.rpartition(".")[2]
            row = f"{statistics.median(rates):,.0f} | {span(of_unmodified)} | {span(of_plain)}"
            row += f" | {statistics.median(in_steps):,.0f} | {how}"
            print(f"| {size:,} | {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
