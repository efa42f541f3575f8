"""How long whole commands take, and where the time before the first step goes: `python -m benchmarks.commands`.

Each line is a process of its own, from its start to its end, in turn, for some rounds.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

ROUNDS = 3


class StopAtFirstStep(Callback):
    """Ends the process where training would begin."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        raise SystemExit(0)


def commands(folder: str) -> dict[str, list[str]]:
    fit = ["-m", "src.cli", "fit", f"--trainer.logger.init_args.save_dir={folder}"]
    no_search = "import gc; gc.freeze()"  # at exit, for garbage, as in `src.cli`
    return {
        "python": ["-c", "pass"],
        "import torch": ["-c", f"import torch; {no_search}"],
        "import lightning": ["-c", f"import lightning; {no_search}"],
        "import src.cli": ["-c", f"import src.cli; {no_search}"],
        "fit, to the first step": [
            *fit,
            "--config=configs/hexagon.yaml",
            "--trainer.callbacks+=benchmarks.commands.StopAtFirstStep",
        ],
        "fit --config configs/hexagon.yaml": [*fit, "--config=configs/hexagon.yaml"],
        "fit --config configs/seeds.yaml": [*fit, "--config=configs/seeds.yaml"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds: dict[str, list[float]] = {name: [] for name in commands(folder)}
        for _ in range(options.rounds):
            for name, arguments in commands(folder).items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - start)
    print("| | seconds, median (range) |\n|---|---|")
    for name, times in seconds.items():
        print(f"| {name} | {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}) |")


if __name__ == "__main__":
    main()
