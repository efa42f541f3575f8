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

from src.figures.elements import legend_patch, styled
from src.figures.palette import feature_color, geometry_color, tint
from src.results.rates import rates


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
    _name_regions(axes, outcomes, reach)
    for i, (x, y) in enumerate(initial_W.T.tolist()):
        if i == column:
            axes.plot([x], [y], marker="*", markersize=13, color="white", markeredgecolor="black")
            continue
        axes.plot([0, x], [0, y], color="black", linewidth=1.4)
        axes.plot([x], [y], marker="o", markersize=13, color="white", markeredgecolor="black")
        axes.text(x, y, str(i), ha="center", va="center", fontsize=8)
    order = sorted(shares, key=lambda name: (name.startswith("pentagon without"), name))
    handles: list[Artist] = [legend_patch(colors[name], f"{name}  {shares[name].share:.1%}") for name in order]
    handles.append(Line2D([], [], marker="o", color="black", markerfacecolor="white", label="the other columns' start"))
    handles.append(
        Line2D(
            [],
            [],
            marker="*",
            linestyle="",
            color="black",
            markerfacecolor="white",
            markersize=12,
            label=f"column {column}'s own start",
        )
    )
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set_xlabel(f"initial column {column}, first hidden dimension")
    axes.set_ylabel(f"initial column {column}, second hidden dimension")


def _name_regions(axes: Axes, outcomes: Sequence[Sequence[str]], reach: float) -> None:
    """Write which feature is left out where the region of each such pentagon is widest."""
    names = np.array(outcomes)
    for name in np.unique(names).tolist():
        feature = name.removeprefix("pentagon without ")
        if feature != name:
            depth = distance_transform_edt(np.pad(names == name, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(depth.argmax(), depth.shape)
            place = [reach * (2 * (k + 0.5) / size - 1) for k, size in zip((x, y), names.shape[::-1], strict=True)]
            axes.text(place[0], place[1], f"without {feature}", ha="center", va="center", fontsize=8, color="#202124")


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
