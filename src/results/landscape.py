"""What a stack is certified to have ended in, as columns and as tables."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from src.population.losses import PopulationLosses
from src.results.rates import counted
from src.theory.certificates import Certificates
from src.theory.spectra import DEGENERATE, MINIMUM, SADDLE, UNDECIDED

STATIONARY = (MINIMUM, SADDLE, DEGENERATE, UNDECIDED)
NOT_CERTIFIED = "not certified"
ERRORS = ("stationary_loss_error", "hessian_error")
NO_LOSS = 1e-12  # a loss that is smaller is 0 but for roundings
LANDSCAPE_HEADINGS = ("geometry", "verdict", "count", "loss", "least curvature", "zero modes", "distance")
LANDSCAPE_CAPTION = (
    "Geometry is that of the weights; verdict, loss and curvature (the smallest eigenvalue of the Hessian that is not "
    "zero) are those of a stationary point near by, as far from the weights as `distance` says (median, largest). "
    "Zero modes: all, and those that symmetry explains. `Dead` are parameters that do nothing; more are flat for real."
)


def landscape_table(certificates: Sequence[Mapping[str, Any]]) -> Table:
    """What a stack's instances are certified to have ended in: see `landscape_cells`."""
    table = Table(caption=LANDSCAPE_CAPTION, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in LANDSCAPE_HEADINGS:
        is_word, is_whole = heading in ("geometry", "verdict"), heading in ("verdict", "loss", "least curvature")
        lines = heading.replace("least ", "least\n")
        least = 10 if heading == "geometry" else None
        table.add_column(lines, justify="left" if is_word else "right", no_wrap=is_whole, min_width=least)
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
        loss = float(row["stationary_loss"])
        point = f"{loss if abs(loss) > NO_LOSS else 0.0:.8e}" if row["verdict"] in STATIONARY else ""
        groups.setdefault((row["geometry"], row["verdict"], point), []).append(row)
    cells = []
    for (geometry, verdict, point), own in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        loss = float(point) if point else median(float(row["loss"]) for row in own)
        curvature = float(own[0]["min_eigenvalue"]) if point else math.nan
        distances = [float(row["distance"]) for row in own] if point else [math.nan]
        cells.append(
            [
                geometry,
                verdict,
                f"{len(own):,}",
                f"{loss:.8f}",
                "" if math.isnan(curvature) else f"{curvature:.3e}",
                _zero_modes(own[0]) if point else "",
                "" if math.isnan(distances[0]) else f"{median(distances):.3f}, {max(distances):.3f}",
            ]
        )
    return cells


def _zero_modes(row: Mapping[str, Any]) -> str:
    """`4 (4)`, or `3 (1), 2 dead`."""
    zeros, rotations, scalings, dead = (
        int(float(row.get(name, 0)))
        for name in ("n_zero_modes", "n_rotations", "n_scalings", "n_dead")  # older tables
    )
    return f"{zeros} ({rotations + scalings})" + (f", {dead} dead" if dead else "")


def remarks(certificates: Sequence[Mapping[str, Any]]) -> list[str]:
    """What else is to be said of the certificates: how exact they are, and where they are those of one side."""
    certified = [row for row in certificates if row["verdict"] != NOT_CERTIFIED]
    if not certified:
        return []
    loss, curvature = (max(float(row[name]) for row in certified) for name in ERRORS)
    methods = ", ".join(dict.fromkeys(row["stationary_method"] for row in certified))
    error = f", error of the loss below {loss:.0e}, of curvatures below {curvature:.0e}" if curvature else ""
    found = [f"losses and curvatures: {methods}{error}"]
    at_kink = [float(row["kink_weight"]) for row in certified if float(row["kink_weight"]) > 0]
    if at_kink:
        several = f"{counted(len(at_kink), 'instance')} at a kink that carries weight (up to {max(at_kink):.3g})"
        found.append(
            f"{several}: the loss has no second derivative there, and the curvature is that of the side below it"
        )
    return found


def certificate_columns(
    losses: PopulationLosses, certificates: Certificates | None, instances: Sequence[int], method: str
) -> dict[str, list[Any]]:
    """See `Landscape`: of all instances, of which these have certificates; NaN where something is not known."""
    n = len(losses.loss)
    known: dict[str, list[Any]] = {
        "loss": losses.loss.tolist(),
        "loss_error": losses.error.tolist(),
        "loss_method": [losses.method] * n,
        "verdict": [NOT_CERTIFIED] * n,
        "stationary_method": [""] * n,
    }
    columns = {name: known.get(name, [math.nan] * n) for name in COLUMNS}
    if certificates is not None:
        for name in (name for name in COLUMNS if name in Certificates._fields and name != "loss"):
            for i, value in zip(instances, getattr(certificates, name).tolist(), strict=True):
                columns[name][i] = value
        for i, verdict in zip(instances, certificates.verdicts, strict=True):
            columns["verdict"][i], columns["stationary_method"][i] = verdict, method
    return columns


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
    "n_scalings",
    "n_dead",
    "n_unsure",
    "stationary_method",
    "stationary_loss_error",
    "hessian_error",
    "kink_weight",
)
