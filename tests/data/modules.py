"""Small data modules with a stand-in for their trainer, and what they train on."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from src.data import SparseFeatures

# With a fixed seed a statistical test passes or fails for good. At this level a right sample fails for one seed in a
# million; a share of active entries that is off by a thirtieth, at p = 0.057, fails for nearly all.
ALPHA = 1e-6


def sparse_features(instance_seeds: list[int] | None = None, max_steps: int = 6, **arguments: Any) -> SparseFeatures:
    """A small data module whose trainer trains instances of these seeds; with None it has no trainer."""
    data = SparseFeatures(**{"n_features": 3, "feature_probability": 0.5, "batch_size": 4, "block_size": 5} | arguments)
    if instance_seeds is not None:
        module = SimpleNamespace(seeds=instance_seeds)
        data.trainer = SimpleNamespace(max_steps=max_steps, lightning_module=module)
    return data


def training_data(data: SparseFeatures) -> Tensor:
    """Every step of the run."""
    return torch.cat(list(data.train_dataloader()))
