"""A run as a row of TensorBoard's HPARAMS: what was set, and what the instances ended in."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from src.model import ToyModel
from src.results.rates import rates

NAMED = ("hexagon", "pentagon", "square")  # geometries with a column of their own
OPTIMIZER_SETTINGS = ("momentum", "weight_decay")
DATA_SETTINGS = ("n_examples", "batch_size", "seed", "stream")


def settings_of(model: ToyModel, optimizer: Optimizer, data: Mapping[str, Any], max_steps: int) -> dict[str, Any]:
    """The settings that runs differ in, those first that matter most.

    Args:
        data: settings of the data module and of its distribution, by name.
    """
    settings = {
        "optimizer": type(optimizer).__name__,
        "lr": optimizer.defaults.get("lr"),
        "n_features": model.n_features,
        "p": data.get("feature_probability"),
        "seeds": seeds_text(model.seeds),
        "n_hidden": model.n_hidden,
        "model": type(model).__name__,
        "start": type(model.start).__name__,
        "init_std": model.init_std,
        "max_steps": max_steps,
        **{name: optimizer.defaults.get(name) for name in OPTIMIZER_SETTINGS},
        **{f"data_{name}" if name == "seed" else name: data.get(name) for name in DATA_SETTINGS},
    }
    plain = (bool, int, float, str)
    kept = {name: value for name, value in settings.items() if value is not None}
    return {name: value if isinstance(value, plain) else str(value) for name, value in kept.items()}


def seeds_text(seeds: Sequence[int]) -> str:
    """`11`, `0 to 1023` or `0, 11, 0`."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    several = f" and {len(seeds) - 4} more" if len(seeds) > 4 else ""
    return ", ".join(map(str, seeds[:4])) + several


def outcome_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Shares of geometries, and the lowest loss, of a census: a mean over unlike models would say nothing."""
    shares = {name: own.share for name, own in rates([row["geometry"] for row in rows]).items()}
    named = {f"outcome/{name}": shares.get(name, 0.0) for name in NAMED}
    return {**named, "outcome/others": 1 - sum(named.values()), "outcome/lowest_loss": min(row["loss"] for row in rows)}
