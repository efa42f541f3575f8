"""What models of finite training sets store, over the size of the set: examples, or features (the post's Figure 2)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.box import SIMPLE
from rich.table import Table
from torch import Tensor

from src.geometry.polygons import find_polygons
from src.runs.folder import CENSUS, read_stored
from src.runs.tables import read_rows

N_LARGEST = 5  # features whose dimensionality is summed up: as many as a pentagon has
STORED_FROM = 0.5  # of the longest hidden vector: examples on a ring are stored, those near the origin are not
N_NAMED = 12  # examples up to which their polygon has a name worth telling
CAPTION = (
    "Of each T the instance with the least training loss. Losses are squared errors of an example, summed over its "
    "features. D is the dimensionality, of the five features that have most of it (mean) and of the median example, "
    "the latter over m / T; "
    "stored are the examples whose hidden vector is at least half as long as the longest."
)


@dataclass(frozen=True)
class Regime:
    """The instances that were trained on one number of examples.

    Attributes:
        n_examples: T; None for fresh examples at every step.
        seeds: of the instances.
        training_loss, test_loss, test_loss_error: squared error of an example, summed over its features; of endless
            data the first is NaN.
        W: their columns, and
        hidden_vectors: where the examples lie; of fresh ones, a part of the held-out sample.
        feature_dimensionality, example_dimensionality: of both.
    """

    n_examples: int | None
    seeds: list[int]
    training_loss: list[float]
    test_loss: list[float]
    test_loss_error: list[float]
    W: Float[Tensor, "instance hidden feature"]
    hidden_vectors: Float[Tensor, "instance hidden example"]
    feature_dimensionality: Float[Tensor, "instance feature"]
    example_dimensionality: Float[Tensor, "instance example"]

    @property
    def best(self) -> int:
        """The instance of least training loss, which is all that training knows; of endless data, least test loss."""
        losses = self.test_loss if self.n_examples is None else self.training_loss
        return min(range(len(self.seeds)), key=losses.__getitem__)

    @property
    def label(self) -> str:
        return "\N{INFINITY}" if self.n_examples is None else f"{self.n_examples:,}"

    @property
    def even_share(self) -> float:
        """m / T, at most 1: the dimensionality of each example if they share the hidden space evenly."""
        return 0.0 if self.n_examples is None else min(1.0, self.W.shape[1] / self.n_examples)

    @property
    def largest_features(self) -> Float[Tensor, " instance"]:
        """Mean dimensionality of the five features that have most of it."""
        count = min(N_LARGEST, self.feature_dimensionality.shape[1])
        return self.feature_dimensionality.topk(count, dim=1).values.mean(dim=1)

    @property
    def stored_share(self) -> Float[Tensor, " instance"]:
        """Of the examples, those whose hidden vector is at least half as long as the longest."""
        length = self.hidden_vectors.norm(dim=1)
        return (length >= STORED_FROM * length.amax(dim=1, keepdim=True)).float().mean(dim=1)

    @property
    def median_example(self) -> Float[Tensor, " instance"]:
        return self.example_dimensionality.median(dim=1).values


def read_regime(n_examples: int | None, folders: Sequence[Path]) -> Regime:
    """The runs of one number of examples, shards of its seeds: their censuses and what their models store."""
    census = [row for folder in folders for row in read_rows(folder / CENSUS)]
    parts = [read_stored(folder) for folder in folders]
    stored = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    n_features = stored["W"].shape[2]
    losses = {
        name: [n_features * float(row.get(name, math.nan)) for row in census]
        for name in ("training_loss", "loss", "loss_error")
    }
    return Regime(
        n_examples,
        [int(row["seed"]) for row in census],
        losses["training_loss"],
        losses["loss"],
        losses["loss_error"],
        **stored,
    )


def regime_rows(regimes: Sequence[Regime]) -> list[dict[str, Any]]:
    """A row for each instance.

    Returns: rows with `n_examples, seed, training_loss, test_loss, test_loss_error` (as in `Regime`; the first and the
        third are empty for endless data), `feature_geometry, n_learned, largest_features` (mean dimensionality of
        five), `example_geometry` (up to 12 examples), `stored_share` (of the examples), `median_example`
        (dimensionality), `hidden_over_examples` (m / T) and `is_best`.
    """
    rows = []
    for regime in regimes:
        of_features, of_examples = find_polygons(regime.W), find_polygons(regime.hidden_vectors)
        is_few = regime.n_examples is not None and regime.n_examples <= N_NAMED
        columns: dict[str, list[Any]] = {
            "n_examples": ["" if regime.n_examples is None else regime.n_examples] * len(regime.seeds),
            "seed": regime.seeds,
            "training_loss": ["" if math.isnan(loss) else loss for loss in regime.training_loss],
            "test_loss": regime.test_loss,
            "test_loss_error": regime.test_loss_error,
            "feature_geometry": of_features.names,
            "n_learned": of_features.learned.sum(dim=1).tolist(),
            "largest_features": regime.largest_features.tolist(),
            "example_geometry": of_examples.names if is_few else [""] * len(regime.seeds),
            "stored_share": regime.stored_share.tolist(),
            "median_example": regime.median_example.tolist(),
            "hidden_over_examples": [regime.even_share] * len(regime.seeds),
            "is_best": [i == regime.best for i in range(len(regime.seeds))],
        }
        rows += [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return rows


def regime_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The best instance of each size."""
    table = Table(caption=CAPTION, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("T", "training", "test", "features", "D of 5", "examples", "stored", "D over m/T"):
        is_word = heading in ("features", "examples")
        table.add_column(heading, justify="left" if is_word else "right", no_wrap=True)
    for row in rows:
        if not row["is_best"]:
            continue
        n_examples, share = row["n_examples"], row["hidden_over_examples"]
        table.add_row(
            "\N{INFINITY}" if n_examples == "" else f"{n_examples:,}",
            "" if n_examples == "" else f"{row['training_loss']:.4f}",
            f"{row['test_loss']:.4f}",
            row["feature_geometry"],
            f"{row['largest_features']:.3f}",
            row["example_geometry"],
            f"{row['stored_share']:.0%}",
            f"{row['median_example'] / share:.2f}" if share else "",
        )
    return table


def order_of(n_examples: int | None) -> float:
    """To sort sizes by, endless data last."""
    return math.inf if n_examples is None else float(n_examples)
