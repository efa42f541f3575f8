"""What every instance ended in, as a row of a table and as a line."""

from typing import Any

import torch
from rich.text import Text

from src.geometry.dimensionality import dimensionality
from src.geometry.polygons import DIVERGED, IRREGULAR, Polygons, angles_to_learned
from src.model import ToyModel
from src.population.losses import SAMPLE, PopulationLosses
from src.results.rates import rates

STYLES = {IRREGULAR: "yellow", DIVERGED: "red"}
N_LISTED_FEATURES = 12  # of a model with more, no single feature is listed


def census_rows(model: ToyModel, polygons: Polygons, losses: PopulationLosses) -> list[dict[str, Any]]:
    """One row per instance; see `Census` for its columns."""
    shares = rates(polygons.names)
    columns: dict[str, list[Any]] = {
        "instance": list(range(model.n_instances)),
        "seed": model.seeds,
        "name": model.instance_names,
        **model.instance_columns,
        "geometry": polygons.names,
        **diverged_column(model),
        "n_learned": polygons.learned.sum(dim=1).tolist(),
        "n_overlap": polygons.overlap.sum(dim=1).tolist(),
        "residual": polygons.residual.tolist(),
        "frobenius_norm": model.columns.detach().flatten(1).norm(dim=1).tolist(),
        "loss": losses.loss.tolist(),
        "loss_error": losses.error.tolist(),
        "loss_method": [losses.method] * model.n_instances,
        "smallest_feature_loss": losses.feature_losses.amin(dim=1).tolist(),
        "largest_feature_loss": losses.feature_losses.amax(dim=1).tolist(),
        **unlearned_columns(model, polygons),
        **shape_columns(model, polygons),
        "geometry_count": [shares[name].count for name in polygons.names],
        "geometry_share": [shares[name].share for name in polygons.names],
        "geometry_share_low": [shares[name].low for name in polygons.names],
        "geometry_share_high": [shares[name].high for name in polygons.names],
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def diverged_column(model: ToyModel) -> dict[str, list[Any]]:
    """The step at which each instance diverged, if one has."""
    steps = model.divergence.steps
    return {"diverged_at": [steps.get(i, "") for i in range(model.n_instances)]} if steps else {}


def unlearned_columns(model: ToyModel, polygons: Polygons) -> dict[str, list[str]]:
    """The features that are not learned, their norms and angles: as text, several in a cell, up to 12 features."""
    lists: dict[str, list[str]] = {"unlearned": [], "unlearned_norm": [], "unlearned_angle": []}
    if model.n_features > N_LISTED_FEATURES:
        return {name: [""] * model.n_instances for name in lists}
    W = model.columns.detach().cpu()
    norms = W.norm(dim=1)
    angles = angles_to_learned(W, polygons).rad2deg()
    for features, norm, angle in zip(polygons.unlearned, norms.tolist(), angles.tolist(), strict=True):
        lists["unlearned"].append(" ".join(map(str, features)))
        lists["unlearned_norm"].append(" ".join(f"{norm[i]:.4f}" for i in features))
        lists["unlearned_angle"].append(" ".join(f"{angle[i]:.2f}" for i in features))
    return lists


def shape_columns(model: ToyModel, polygons: Polygons) -> dict[str, list[str]]:
    """Each feature's dimensionality, of up to 12 features, and of what has no name W^T W's eigenvalues that are not 0.

    Both are text, several numbers in a cell; the eigenvalues in descending order, as many as hidden dimensions at most.
    """
    W = model.columns.detach().cpu()
    own = dimensionality(W).tolist() if model.n_features <= N_LISTED_FEATURES else [[]] * model.n_instances
    columns = {"dimensionality": [_numbers(row) for row in own], "gram_eigenvalues": [""] * model.n_instances}
    for i, name in enumerate(polygons.names):
        if name == IRREGULAR and bool(W[i].isfinite().all()):
            eigenvalues = torch.linalg.svdvals(W[i].double()).square().tolist()
            columns["gram_eigenvalues"][i] = _numbers([value for value in eigenvalues if f"{value:.4f}" != "0.0000"])
    return columns


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def instance_line(row: dict[str, Any], n_features: int, feature_losses: list[float]) -> Text:
    """`seed 11: hexagon, 6 of 6 learned, Frobenius norm 2.86, loss 0.00467 ± 0.00003` and the features' losses."""
    if row["loss_method"] == SAMPLE:
        loss = f"{loss_text(row['loss'])} ± {row['loss_error']:.1e} (of a sample)"
    else:
        loss = f"{row['loss']:.8f}"
    line = Text.assemble(
        f"{row['name']}: ",
        (row["geometry"], f"bold {STYLES.get(row['geometry'], 'green')}"),
        f" at step {row['diverged_at']:,}" if row.get("diverged_at", "") != "" else "",
        f", {row['n_learned']} of {n_features} learned, Frobenius norm {row['frobenius_norm']:.3f}, loss {loss}",
    )
    if n_features <= N_LISTED_FEATURES:
        line.append("\n  loss of each feature: " + " ".join(f"{loss:.4f}" for loss in feature_losses), style="dim")
    return line


WIDE_LOSS = 0.0015  # below it five decimals say too little


def loss_text(loss: float) -> str:
    """Five decimals, or of a mean over very many features, which is small, five digits."""
    return f"{loss:.5f}" if not abs(loss) < WIDE_LOSS else f"{loss:.4e}"
