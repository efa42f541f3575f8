"""How much the template costs over a bare PyTorch loop: `python -m benchmarks.loop`.

Trains `configs/hexagon.yaml` with all its callbacks, and the same model, data and optimizer in a loop of nothing but
`zero_grad`, `backward` and `step`, in turn in one process, and prints the time per step of each and their ratio.
"""

import argparse
import statistics
import tempfile
import time

import torch

from src import cli

ROUNDS = 5
WARM_UP_STEPS = 200
NAMES = ("fit, all callbacks", "bare loop, fresh batches", "bare loop, one batch")


def bare_loop(n_steps: int, fresh: bool, seed: int = 11) -> float:
    """Seconds for the loop. `fresh`: draw every batch in its step, as training must; else reuse one batch."""
    generator = torch.Generator().manual_seed(seed)
    W = torch.nn.Parameter(torch.randn(1, 2, 6, generator=generator) * 0.378)
    b = torch.nn.Parameter(torch.zeros(1, 6))
    optimizer = torch.optim.AdamW([W, b], lr=1e-3, weight_decay=0.01, fused=True)

    def batch() -> torch.Tensor:
        u = torch.rand(1024, 6, generator=generator)
        return torch.where(u < 0.057, u / 0.057, 0.0)

    x = batch()
    start = time.perf_counter()
    for _ in range(n_steps):
        if fresh:
            x = batch()
        optimizer.zero_grad()
        reconstruction = torch.relu((x @ W.mT) @ W + b.unsqueeze(1))
        ((x - reconstruction) ** 2).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return time.perf_counter() - start


class TimedCLI(cli.ToyCLI):
    """The command line, with the seconds of `trainer.fit` from its call to its return."""

    seconds = 0.0

    def before_fit(self) -> None:
        super().before_fit()
        self._start = time.perf_counter()

    def after_fit(self) -> None:
        TimedCLI.seconds = time.perf_counter() - self._start
        super().after_fit()


def fit(n_steps: int, folder: str) -> float:
    """Seconds for the whole fit of `configs/hexagon.yaml`, from first hook to last."""
    arguments = ["fit", "--config", "configs/hexagon.yaml", f"--trainer.max_steps={n_steps}"]
    cli.main([*arguments, f"--trainer.logger.init_args.save_dir={folder}"], TimedCLI)
    return TimedCLI.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory() as folder:
        bare_loop(WARM_UP_STEPS, fresh=True)
        for _ in range(options.rounds):
            seconds[NAMES[0]].append(fit(options.steps, folder))
            seconds[NAMES[1]].append(bare_loop(options.steps, fresh=True))
            seconds[NAMES[2]].append(bare_loop(options.steps, fresh=False))
    for name in NAMES:
        times = [1e6 * s / options.steps for s in seconds[name]]
        print(f"{name:26s} {statistics.median(times):6.0f} µs/step (from {min(times):.0f} to {max(times):.0f})")
    for name in NAMES[1:]:
        ratios = [a / b for a, b in zip(seconds[NAMES[0]], seconds[name], strict=True)]
        print(f"fit / {name}: {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
