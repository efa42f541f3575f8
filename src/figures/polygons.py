"""Polygons, drawn from the columns of W."""

import math
import textwrap
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import CircleCollection, LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patches import Polygon as PathPolygon
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Transform
from torch import Tensor

from src.figures.palette import feature_color
from src.geometry.polygons import Polygons, find_polygons, longest

PANEL_INCHES = 3.2  # a panel's width, and the height of its polygon
PANEL_HEIGHT = 4.0  # with title and caption
CHARACTERS = 30  # of a title's line
N_NUMBERED = 12  # columns are numbered up to here
MAX_SPOKES = 1000  # in one polygon
LABEL_DISTANCE = 0.14  # of a number beyond its column's tip
FARTHEST = 1e6  # a column's entry beyond this is drawn here
IN_ONE_ROW = 3  # more panels than this are arranged in a square
LEARNED_WIDTH, UNLEARNED_WIDTH = 2.2, 1.2
MARGIN = 1.3  # axes reach this far beyond the unit circle


def draw_polygon(
    on: Axes | Figure,
    W: Float[Tensor, "hidden feature"],
    polygons: Polygons,
    instance: int,
    transform: Transform,
    center: tuple[float, float] = (0, 0),
    scale: float = 1,
) -> None:
    """Draw one instance's columns as spokes, its learned ones joined in angular order, over the unit circle.

    Of more than two hidden dimensions the first two are drawn, and of very many columns the longest.

    Args:
        transform: from the coordinates drawn in to pixels, such as `axes.transData`.
        center, scale: where the origin is drawn, and how long a unit vector.
    """
    W = scale * (torch.cat([W, torch.zeros_like(W)])[:2] if len(W) == 1 else W[:2])
    shown = longest(W, MAX_SPOKES)
    W, learned = W[:, shown], polygons.learned[instance][shown]
    tips = W.T.numpy() + center
    colors = [feature_color(i) for i in shown.tolist()]
    widths = [LEARNED_WIDTH if is_learned else UNLEARNED_WIDTH for is_learned in learned.tolist()]
    corners = [i for i in torch.atan2(W[1], W[0]).argsort().tolist() if learned[i]]
    on.add_artist(Circle(center, scale, fill=False, color="0.85", linewidth=1, transform=transform))
    if corners:
        on.add_artist(PathPolygon(tips[corners], fill=False, color="0.7", linewidth=1, transform=transform))
    spokes = [(center, tip) for tip in tips]
    on.add_artist(LineCollection(spokes, colors=colors, linewidths=widths, transform=transform))
    sizes = [8 * width**2 for width in widths]
    on.add_artist(CircleCollection(sizes, offsets=tips, offset_transform=transform, facecolors=colors, zorder=3))
    if len(tips) <= N_NUMBERED:
        figure = on.get_figure(root=True)
        assert figure is not None
        away = 1 + LABEL_DISTANCE * scale / np.hypot(*W.numpy()).clip(LABEL_DISTANCE * scale)
        on.add_artist(
            PathCollection(
                [_number(i) for i in range(len(tips))],
                offsets=W.T.numpy() * away[:, None] + center,
                offset_transform=transform,
                transform=Affine2D().scale(figure.dpi / 72),  # from points
                facecolors=colors,
                linewidths=0,
            )
        )


@cache
def _number(i: int) -> Path:
    """A number as a shape centred on the origin, which is drawn many times faster than text."""
    path = TextPath((0, 0), str(i), size=9)
    box = path.get_extents()
    return path.transformed(Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2))


def polygon_figure(
    W: Float[Tensor, "instance hidden feature"], names: Sequence[str], step: int, of_examples: bool = False
) -> Figure:
    """One panel an instance, side by side: its name, its polygon and how many features it learned.

    Args:
        of_examples: W are not columns but examples' hidden vectors, and the caption says how many of them stand apart.

    Everything is placed in inches, without axes, each of which would take as long as all that is drawn in it.
    """
    W = W.detach().float().cpu().nan_to_num(0).clamp(-FARTHEST, FARTHEST)  # a diverging model is still drawn
    polygons = find_polygons(W)
    n_instances, _, n_features = W.shape
    n_columns = n_instances if n_instances <= IN_ONE_ROW else math.ceil(n_instances**0.5)
    n_rows = math.ceil(n_instances / n_columns)
    figure = Figure(figsize=(PANEL_INCHES * n_columns, PANEL_HEIGHT * n_rows + 0.2), dpi=100)
    inches = figure.dpi_scale_trans
    for i in range(n_instances):
        row, column = divmod(i, n_columns)
        x, y = PANEL_INCHES * (column + 0.5), PANEL_HEIGHT * (n_rows - row - 0.5) - 0.1
        reach = MARGIN * max(1.0, float(W[i].norm(dim=0).max()))
        draw_polygon(figure, W[i], polygons, i, inches, (x, y), PANEL_INCHES / 2 / reach)
        n_learned, norm = int(polygons.learned[i].sum()), float(W[i].norm())
        title = f"{textwrap.fill(names[i], CHARACTERS)}\n{polygons.names[i]}"
        figure.text(x, y + PANEL_INCHES / 2, title, fontsize=11, ha="center", va="bottom", transform=inches)
        of_features = f"{n_learned} of {n_features} learned, norm {norm:.2f}"
        caption = f"{n_learned} directions of {n_features:,} examples" if of_examples else of_features
        figure.text(x, y - PANEL_INCHES / 2, caption, fontsize=10, ha="center", va="top", transform=inches)
    figure.suptitle(f"step {step:,}", fontsize=10, color="0.4", y=1 - 0.08 / figure.get_figheight())
    return figure
