"""Shapes in annotations are checked at every call while the tests run."""

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)  # small tensors gain nothing from more, and lose much on a busy machine

with install_import_hook(["src", "callbacks"], "beartype.beartype"):
    import callbacks.basin_map
    import callbacks.census
    import callbacks.dimensionality
    import callbacks.example_snapshots
    import callbacks.feature_losses
    import callbacks.feature_norms
    import callbacks.gallery
    import callbacks.geometry_shares
    import callbacks.gradient_norms
    import callbacks.landscape
    import callbacks.last_checkpoint
    import callbacks.patching
    import callbacks.patching_rates
    import callbacks.polygon_snapshots
    import callbacks.progress
    import callbacks.training_loss
    import callbacks.trajectory  # noqa: F401
    import src.cli
    import src.sweep  # noqa: F401
