"""Sweeps in this process: their arguments, and an engine that remembers what it ran."""

import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from src import cli
from src.sweep import __main__ as sweep
from src.sweep.cells import Cell
from tests.running import ROOT, SMALL_VALIDATION

CALLBACKS = [{"class_path": f"callbacks.{name}"} for name in ("census.Census", "last_checkpoint.LastCheckpoint")]
BASE = [
    f"--config={ROOT}/configs/seeds.yaml",
    f"--trainer.callbacks={json.dumps(CALLBACKS)}",
    "--model.n_instances=5",
    "--trainer.max_steps=20",
    f"--data.validation_size={SMALL_VALIDATION}",
]


class Engine:
    """Runs cells in this process; remembers which, and fails those of one name."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.ran: list[str] = []

    def __call__(
        self, cells: Sequence[Cell], n_jobs: int | None, say: Callable[[str], None]
    ) -> Generator[tuple[Cell, int], None, None]:
        for cell in cells:
            self.ran.append(f"{cell.name}/{cell.folder.name}")
            if cell.name == self.fails:
                cell.output.parent.mkdir(parents=True, exist_ok=True)
                cell.output.write_text("a line\nerror: it went wrong.\n")
                yield cell, 1
            else:
                yield cell, cli.main(["fit", *cell.arguments, *cell.resumption])


def run(folder: Path, *arguments: str, engine: Engine | None = None) -> int:
    return sweep.main([*BASE, f"--out={folder}", *arguments], engine or Engine())
