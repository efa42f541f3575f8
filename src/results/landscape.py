"""What a stack is certified to have ended in, as columns and as tables."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from src.population.losses import CLOSED_FORM
from src.theory.certificates import Certificates
from src.theory.spectra import DEGENERATE, MINIMUM, SADDLE

STATIONARY = (MINIMUM, SADDLE, DEGENERATE)
LANDSCAPE_HEADINGS = ("geometry", "verdict", "count", "loss", "least curvature", "zero modes", "distance")
LANDSCAPE_CAPTION = (
    "Geometry is that of the weights; verdict, loss and curvature (the smallest eigenvalue of the Hessian that is not "
    "zero) are those of a stationary point near by, as far from the weights as `distance` says (median, largest). "
    "Zero modes: all, and those of rotations."
)


def landscape_table(certificates: Sequence[Mapping[str, Any]]) -> Table:
    """What a stack's instances are certified to have ended in: see `landscape_cells`."""
    table = Table(caption=LANDSCAPE_CAPTION, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in LANDSCAPE_HEADINGS:
        is_word = heading in ("geometry", "verdict")
        table.add_column(heading, justify="left" if is_word else "right", no_wrap=is_word or heading == "loss")
    for cells in landscape_cells(certificates):
        table.add_row(*cells)
    return table


def landscape_markdown(certificates: Sequence[Mapping[str, Any]]) -> str:
    """The same for TensorBoard."""
    lines = [LANDSCAPE_HEADINGS, ["---"] * len(LANDSCAPE_HEADINGS), *landscape_cells(certificates)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + f"\n\n{LANDSCAPE_CAPTION}"


def landscape_cells(certificates: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row for each geometry, verdict and stationary loss among the certificates, most frequent first.

    Two stationary points of the same loss to eight digits are the same but for symmetry, or hardly different.

    Args:
        certificates: rows as `callbacks.landscape` makes them, or as they are read from `landscape.csv`.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in certificates:
        point = f"{float(row['stationary_loss']):.8e}" if row["verdict"] in STATIONARY else ""
        groups.setdefault((row["geometry"], row["verdict"], point), []).append(row)
    cells = []
    for (geometry, verdict, point), own in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        loss = float(point) if point else median(float(row["loss"]) for row in own)
        known = [float(own[0]["min_eigenvalue"]), float(own[0]["n_zero_modes"]), float(own[0]["n_rotations"])]
        curvature, zeros, rotations = known if point else [math.nan] * 3
        distances = [float(row["distance"]) for row in own] if point else [math.nan]
        cells.append(
            [
                geometry,
                verdict,
                f"{len(own):,}",
                f"{loss:.8f}",
                "" if math.isnan(curvature) else f"{curvature:.3e}",
                "" if math.isnan(zeros) else f"{zeros:.0f} ({rotations:.0f})",
                "" if math.isnan(distances[0]) else f"{median(distances):.3f}, {max(distances):.3f}",
            ]
        )
    return cells


NOT_CERTIFIED = "not certified"


def certificate_columns(certificates: Certificates) -> dict[str, list[Any]]:
    """See `Landscape`."""
    return {
        "loss": certificates.loss.tolist(),
        "gradient_norm": certificates.gradient_norm.tolist(),
        "min_eigenvalue": certificates.min_eigenvalue.tolist(),
        "n_zero_modes": certificates.n_zero_modes.tolist(),
        "verdict": certificates.verdicts,
        "loss_error": certificates.loss_error.tolist(),
        "loss_method": [CLOSED_FORM] * len(certificates.verdicts),
        "n_rotations": certificates.n_rotations.tolist(),
        "n_negative": certificates.n_negative.tolist(),
        "distance": certificates.distance.tolist(),
        "stationary_loss": certificates.stationary_loss.tolist(),
        "stationary_gradient_norm": certificates.stationary_gradient_norm.tolist(),
    }


def uncertified_columns(loss: list[float], error: list[float], method: str) -> dict[str, list[Any]]:
    """The same columns where there is no certificate: NaN for what is not known."""
    unknown = [math.nan] * len(loss)
    known: dict[str, list[Any]] = {
        "loss": loss,
        "verdict": [NOT_CERTIFIED] * len(loss),
        "loss_error": error,
        "loss_method": [method] * len(loss),
    }
    return {name: known.get(name, unknown) for name in COLUMNS}


COLUMNS = (
    "loss",
    "gradient_norm",
    "min_eigenvalue",
    "n_zero_modes",
    "verdict",
    "loss_error",
    "loss_method",
    "n_rotations",
    "n_negative",
    "distance",
    "stationary_loss",
    "stationary_gradient_norm",
)
