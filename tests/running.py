"""Short fits for tests: the command line in this process, and a bare trainer."""

import sys
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

from src import cli
from src.data import SparseFeatures
from src.model import ToyModel
from src.runs.folder import CENSUS, CHECKPOINT, read_trajectory
from src.runs.tables import read_rows

ROOT = Path(__file__).parent.parent
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the device or the folder that it needs")
SMALL_VALIDATION = 2000
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}  # a trainer without logger or files
FEW_EXAMPLES = [
    "--data.n_features=50",
    "--data.feature_probability=0.1",
    "--data.n_examples=20",
    "--data.validation_size=200",
    "--model.n_instances=2",
    "--model.lr_scheduler.init_args.warmup_steps=10",
]


def run_cli(folder: Path, *arguments: str, config: str | Path = "configs/hexagon.yaml", max_steps: int = 120) -> int:
    """`fit` with a config, in few steps, into a folder; returns the exit status."""
    return cli.main(
        [
            "fit",
            f"--config={ROOT / config}",
            f"--trainer.logger.init_args.save_dir={folder}",
            f"--trainer.max_steps={max_steps}",
            *arguments,
        ]
    )


def slow(*values: Any) -> Any:
    """A case of a parametrized test that only the slow run has."""
    return pytest.param(*values, marks=pytest.mark.slow)


def read_census(run: Path) -> list[dict[str, str]]:
    return read_rows(run / CENSUS)


def run_of(folder: Path, experiment: str = "hexagon", version: int = 0) -> Path:
    return folder / experiment / f"version_{version}"


def fit(model: ToyModel, max_steps: int = 60, data: SparseFeatures | None = None, **trainer: Any) -> ToyModel:
    """Train without logger or files; returns the model."""
    data = data or SparseFeatures(n_features=model.n_features, validation_size=SMALL_VALIDATION)
    options = {**QUIET, "num_sanity_val_steps": 0, **trainer}
    lightning.Trainer(max_steps=max_steps, **options).fit(model, datamodule=data)
    return model


def state(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / CHECKPOINT, weights_only=True)["state_dict"]


def run_regimes(folder: Path, *arguments: str, max_steps: int) -> int:
    return run_cli(folder, *FEW_EXAMPLES, *arguments, config="configs/regimes.yaml", max_steps=max_steps)


__all__ = [
    "QUIET",
    "ROOT",
    "SMALL_VALIDATION",
    "fit",
    "on_linux",
    "read_census",
    "read_trajectory",
    "run_cli",
    "run_of",
    "run_regimes",
    "slow",
    "state",
]
