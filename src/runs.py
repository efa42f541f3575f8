"""The run folder: what is in it, written and read in one place.

config.yaml               the whole configuration (Lightning writes it)
events.out.tfevents.*     TensorBoard; feature i's curves are in the sub-run `feature_<i>`
checkpoints/last.ckpt     the latest state to resume from
trajectory.safetensors    what was recorded along the way
census.csv                one row an instance: what it ended in
polygons.png              the last polygon snapshot
"""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from lightning import Trainer
from torch import Tensor

CENSUS = "census.csv"
CHECKPOINT = "checkpoints/last.ckpt"
POLYGONS = "polygons.png"
TRAJECTORY = "trajectory.safetensors"


def run_folder(trainer: Trainer) -> Path:
    """Where this run's files go."""
    folder = Path(trainer.log_dir or trainer.default_root_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, finds the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def write_trajectory(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    write_whole(folder / TRAJECTORY, safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}))


def read_trajectory(folder: Path) -> dict[str, Tensor]:
    """The recorded tensors by name: see `callbacks.trajectory` for their shapes."""
    return safetensors.torch.load_file(folder / TRAJECTORY)


def write_census(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write one row an instance; the first row's keys are the columns."""
    path = folder / CENSUS
    with path.with_name(path.name + ".part").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    os.replace(file.name, path)
    return path


def read_census(folder: Path) -> list[dict[str, str]]:
    with (folder / CENSUS).open(newline="") as file:
        return list(csv.DictReader(file))
