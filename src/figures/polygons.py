"""Polygons, drawn from the columns of W."""

import math
import textwrap
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import CircleCollection, LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patches import Polygon as PathPolygon
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Transform
from torch import Tensor

from src.figures.elements import FAINT, INK, styled
from src.figures.palette import feature_color
from src.geometry.polygons import Polygons, find_polygons, longest
from src.results.rates import counted

PANEL_INCHES = 3.2  # a panel's width, and the height of its polygon
PANEL_HEIGHT = 4.0  # with title and caption
CHARACTERS = 30  # of a title's line
N_NUMBERED = 12  # columns are numbered up to here
MAX_SPOKES = 1000  # in one polygon
LABEL_DISTANCE, LABEL_INCHES = 0.14, 0.16  # of a number beyond its column's tip, where a unit vector is 1, and here
LEAST_LABELLED_UNIT = 0.4  # inches of a unit vector from which its circle has room for a label
FARTHEST = 1e6  # a column's entry beyond this is drawn here
SIDE_INCHES = 2.2  # for the text of a single panel, so that every picture is wider than high
IN_ONE_ROW = 4  # more panels than this are arranged in rows, and so many times
WIDER = 1.5  # as wide as a square of them
LEARNED_WIDTH, UNLEARNED_WIDTH = 2.2, 1.2
MARGIN = 1.2  # a panel reaches so many times as far as its longest column, and no less far than for
USUAL_LENGTH = 1.2  # a column of a trained hexagon


def draw_polygon(
    on: Axes | Figure,
    W: Float[Tensor, "hidden feature"],
    polygons: Polygons,
    instance: int,
    transform: Transform,
    center: tuple[float, float] = (0, 0),
    scale: float = 1,
    away: float = LABEL_DISTANCE,
) -> None:
    """Draw one instance's columns as spokes, its learned ones joined in angular order, over the unit circle.

    Of more than two hidden dimensions the first two are drawn, and of very many columns the longest.

    Args:
        transform: from the coordinates drawn in to pixels, such as `axes.transData`.
        center, scale: where the origin is drawn, and how long a unit vector.
        away: how far from a column's tip its number is.
    """
    W = scale * (torch.cat([W, torch.zeros_like(W)])[:2] if len(W) == 1 else W[:2])
    shown = longest(W, MAX_SPOKES)
    W, learned = W[:, shown], polygons.learned[instance][shown]
    tips = W.T.numpy() + center
    colors = [feature_color(i) for i in shown.tolist()]
    widths = [LEARNED_WIDTH if is_learned else UNLEARNED_WIDTH for is_learned in learned.tolist()]
    corners = [i for i in torch.atan2(W[1], W[0]).argsort().tolist() if learned[i]]
    on.add_artist(Circle(center, scale, fill=False, color=FAINT, linewidth=1, transform=transform))
    if corners:
        on.add_artist(PathPolygon(tips[corners], fill=False, color=INK, alpha=0.6, linewidth=1, transform=transform))
    spokes = [(center, tip) for tip in tips]
    on.add_artist(LineCollection(spokes, colors=colors, linewidths=widths, transform=transform))
    sizes = [8 * width**2 for width in widths]
    on.add_artist(CircleCollection(sizes, offsets=tips, offset_transform=transform, facecolors=colors, zorder=3))
    if len(tips) <= N_NUMBERED:
        figure = on.get_figure(root=True)
        assert figure is not None
        beyond = away * W.numpy() / np.hypot(*W.numpy()).clip(1e-9)
        side = stub_sides(learned).numpy()  # a stub may lie on a learned column, and on another stub
        aside = np.where(learned.numpy(), beyond, [-side * beyond[1], side * beyond[0]])
        on.add_artist(
            PathCollection(
                [_number(i) for i in range(len(tips))],
                offsets=tips + aside.T,
                offset_transform=transform,
                transform=Affine2D().scale(1 / 72) + figure.dpi_scale_trans,  # from points
                facecolors=colors,
                linewidths=0,
            )
        )


def stub_sides(learned: Bool[Tensor, " feature"]) -> Int[Tensor, " feature"]:
    """On which side of its column, 1 or -1, the number of one that is not learned stands: one after the other."""
    return 1 - 2 * ((~learned).cumsum(0) % 2)


def _label_circle(
    figure: Figure, W: Float[Tensor, "hidden feature"], center: tuple[float, float], unit: float, inches: Transform
) -> None:
    """Write `length 1` along the unit circle, in the middle of the widest gap between columns."""
    if len(W) < 2 or unit < LEAST_LABELLED_UNIT:
        return
    angles = torch.atan2(W[1], W[0]).sort().values.double()
    gaps = torch.cat([angles[1:], angles[:1] + 2 * math.pi]) - angles
    middle = float(angles[gaps.argmax()] + gaps.max() / 2)
    turn = math.degrees(middle) - 90
    turn, side = (turn, "bottom") if abs((turn + 180) % 360 - 180) <= 90 else (turn + 180, "top")
    outline = float(W.norm(dim=0).max()) * math.cos(min(math.pi, float(gaps.max())) / 2)
    radius = unit * max(1.0, outline) + LABEL_INCHES / 8
    x, y = center[0] + radius * math.cos(middle), center[1] + radius * math.sin(middle)
    figure.text(
        x, y, "length 1", fontsize=7, rotation=turn, rotation_mode="anchor", ha="center", va=side, transform=inches
    )


@cache
def _number(i: int) -> Path:
    """A number as a shape centred on the origin, which is drawn many times faster than text."""
    path = TextPath((0, 0), str(i), size=9)
    box = path.get_extents()
    return path.transformed(Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2))


@styled
def polygon_figure(
    W: Float[Tensor, "instance hidden feature"],
    names: Sequence[str],
    step: int,
    of_examples: bool = False,
    n_columns: int | None = None,
) -> Figure:
    """One panel an instance, side by side in landscape: its name, its polygon and how many features it learned.

    All panels have one scale, and so have the pictures of a run as long as no column is longer than 1.2.

    Args:
        n_columns: panels in a row; by default up to four, and of more so many that the picture is wider than high.
        of_examples: W are not columns but examples' hidden vectors, and the caption says how many of them stand apart.

    Everything is placed in inches, without axes, each of which would take as long as all that is drawn in it.
    """
    W = W.detach().float().cpu().nan_to_num(0).clamp(-FARTHEST, FARTHEST)  # a diverging model is still drawn
    unit = PANEL_INCHES / 2 / MARGIN / max(USUAL_LENGTH, float(W.norm(dim=1).max()))
    polygons = find_polygons(W)
    n_instances, _, n_features = W.shape
    if n_columns is None:
        n_columns = n_instances if n_instances <= IN_ONE_ROW else math.ceil((WIDER * n_instances) ** 0.5)
    n_rows = math.ceil(n_instances / n_columns)
    beside = SIDE_INCHES if n_instances == 1 else 0.0  # where the text of a single panel stands
    height = PANEL_INCHES if n_instances == 1 else PANEL_HEIGHT
    figure = Figure(figsize=(PANEL_INCHES * n_columns + beside, height * n_rows + 0.2), dpi=100)
    inches = figure.dpi_scale_trans
    for i in range(n_instances):
        row, column = divmod(i, n_columns)
        x, y = PANEL_INCHES * (column + 0.5), height * (n_rows - row - 0.5) + (0.1 if beside else -0.1)
        draw_polygon(figure, W[i], polygons, i, inches, (x, y), unit, LABEL_INCHES)
        _label_circle(figure, W[i], (x, y), unit, inches)
        n_learned, norm = int(polygons.learned[i].sum()), float(W[i].norm())
        title = f"{textwrap.fill(names[i], CHARACTERS)}\n{polygons.names[i]}"
        of_features = f"{n_learned} of {n_features} learned, norm {norm:.2f}"
        of_them = f"{counted(n_learned, 'direction')} of {counted(n_features, 'example')}"
        caption = of_them if of_examples else of_features
        if beside:
            text = "\n\n".join([f"step {step:,}", title, caption.replace(", ", "\n")])
            figure.text(x + PANEL_INCHES / 2, y, text, fontsize=11, va="center", transform=inches)
            return figure
        figure.text(x, y + PANEL_INCHES / 2, title, fontsize=11, ha="center", va="bottom", transform=inches)
        figure.text(x, y - PANEL_INCHES / 2, caption, fontsize=10, ha="center", va="top", transform=inches)
    figure.suptitle(f"step {step:,}", fontsize=10, y=1 - 0.08 / figure.get_figheight())
    return figure
