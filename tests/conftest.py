"""Shapes in annotations are checked at every call while the tests run."""

import importlib
import pkgutil
from pathlib import Path

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)  # small tensors gain nothing from more, and lose much on a busy machine
ROOT = Path(__file__).parent.parent

with install_import_hook(["src", "callbacks"], "beartype.beartype"):
    for package in ("src", "callbacks"):
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            importlib.import_module(module.name)
