"""A plane of initial columns, each point in the colour of what training from it ended in."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from src.figures.elements import INK, legend_patch, styled
from src.figures.palette import feature_color, geometry_color, tint
from src.results.rates import rates

BESIDE = 0.06  # of the map's reach: how far labels of regions are from the columns
LEAST_DEPTH = 0.06  # of the map's side: how deep a region is that has room for its name


def draw_basin(
    axes: Axes,
    outcomes: Sequence[Sequence[str]],
    reach: float,
    column: int,
    initial_W: Float[Tensor, "2 feature"],
) -> None:
    """Draw a plane of initial columns, each point in the colour of what training from it ended in.

    Args:
        outcomes: [row][column] from the bottom left: a geometry, or `pentagon without <feature>`.
        reach: half the side of the square.
        column: the feature whose initial column is the point.
        initial_W: the seed's own columns; all but `column` are the same at every point.
    """
    flat = [name for row in outcomes for name in row]
    shares = rates(flat)
    colors = {name: outcome_color(name) for name in shares}
    pixels = [[to_rgb(colors[name]) for name in row] for row in outcomes]
    axes.imshow(pixels, origin="lower", extent=(-reach, reach, -reach, reach), interpolation="nearest")
    others = [i for i in range(initial_W.shape[1]) if i != column]
    _name_regions(axes, outcomes, reach, initial_W[:, others])
    for i, (x, y) in enumerate(initial_W.T.tolist()):
        if i == column:
            axes.plot([x], [y], marker="*", markersize=13, color="white", markeredgecolor="black")
            continue
        axes.plot([0, x], [0, y], color="black", linewidth=1.4)
        axes.plot([x], [y], marker="o", markersize=13, color="white", markeredgecolor="black")
        axes.text(x, y, str(i), ha="center", va="center", fontsize=8, color="black")
    order = sorted(shares, key=lambda name: (name.startswith("pentagon without"), name))
    handles: list[Artist] = [legend_patch(colors[name], f"{name}  {shares[name].share:.1%}") for name in order]
    handles.append(Line2D([], [], marker="o", color=INK, markerfacecolor="white", label="the other columns' start"))
    handles.append(
        Line2D(
            [],
            [],
            marker="*",
            linestyle="",
            color=INK,
            markerfacecolor="white",
            markersize=12,
            label=f"column {column}'s own start",
        )
    )
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set_xlabel(f"initial column {column}, first hidden dimension")
    axes.set_ylabel(f"initial column {column}, second hidden dimension")


def _name_regions(
    axes: Axes, outcomes: Sequence[Sequence[str]], reach: float, spokes: Float[Tensor, "2 other"]
) -> None:
    """Write which feature is left out where the region of each such pentagon is widest, beside the columns."""
    names = np.array(outcomes)
    grid = [reach * (2 * (np.arange(size) + 0.5) / size - 1) for size in names.shape[::-1]]
    x, y = np.meshgrid(*grid)
    is_free = np.ones(names.shape, dtype=bool)
    for u, v in spokes.T.tolist():
        along = np.clip((x * u + y * v) / max(u * u + v * v, 1e-12), 0, 1)  # of the nearest point on the spoke
        is_free &= np.hypot(x - along * u, y - along * v) > BESIDE * reach
    for name in np.unique(names).tolist():
        feature = name.removeprefix("pentagon without ")
        if feature == name:
            continue
        depth = distance_transform_edt(np.pad((names == name) & is_free, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        if depth[row, column] >= LEAST_DEPTH * len(names):
            place = x[row, column], y[row, column]
            axes.text(*place, f"without {feature}", ha="center", va="center", fontsize=8, color="#202124")


def outcome_color(name: str) -> str:
    """The tint of the feature that a pentagon leaves out, or the colour of the geometry."""
    _, without, feature = name.partition("pentagon without ")
    return tint(feature_color(int(feature))) if without and feature.isdecimal() else geometry_color(name)


@styled
def basin_figure(
    outcomes: Sequence[Sequence[str]], reach: float, column: int, initial_W: Float[Tensor, "2 feature"], title: str
) -> Figure:
    figure = Figure(figsize=(9, 6.3), dpi=110, layout="constrained")
    axes = figure.subplots()
    draw_basin(axes, outcomes, reach, column, initial_W)
    axes.set_title(title, fontsize=11)
    return figure
