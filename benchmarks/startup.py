"""Where the time before the first step goes: `python -m benchmarks.startup`.

Each line is a process of its own, in turn, for some rounds; the difference of two lines is what the second adds.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

ROUNDS = 5


class StopAtFirstStep(Callback):
    """Ends the process where training would begin."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        raise SystemExit(0)


def stages(folder: str) -> dict[str, list[str]]:
    fit = ["-m", "src.cli", "fit", "--config=configs/hexagon.yaml", f"--trainer.logger.init_args.save_dir={folder}"]
    return {
        "python": ["-c", "pass"],
        "import torch": ["-c", "import torch"],
        "import lightning": ["-c", "import lightning"],
        "import src.cli": ["-c", "import src.cli"],
        "fit, to the first step": [*fit, "--trainer.callbacks+=benchmarks.startup.StopAtFirstStep"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds: dict[str, list[float]] = {name: [] for name in stages(folder)}
        for _ in range(options.rounds):
            for name, arguments in stages(folder).items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - start)
    print("| | seconds, median (range) |\n|---|---|")
    for name, times in seconds.items():
        print(f"| {name} | {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}) |")


if __name__ == "__main__":
    main()
