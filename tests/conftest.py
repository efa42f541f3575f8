"""Shapes in annotations are checked at every call while the tests run."""

from jaxtyping import install_import_hook

with install_import_hook(["src", "callbacks"], "beartype.beartype"):
    import callbacks.census
    import callbacks.feature_losses
    import callbacks.feature_norms
    import callbacks.gradient_norms
    import callbacks.last_checkpoint
    import callbacks.patching
    import callbacks.polygon_snapshots
    import callbacks.progress
    import callbacks.trajectory  # noqa: F401
    import src.cli  # noqa: F401
