"""Figures as functions of arrays: `draw_*(axes, arrays)`. No training, no files."""

import io
import math
import textwrap
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import CircleCollection, LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patches import Polygon as PathPolygon
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Transform
from torch import Tensor

from src.geometry import Polygons, find_polygons, longest
from src.palette import feature_color, geometry_color, tint
from src.rates import rates

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
N_IN_GALLERY = 240
GALLERY_COLUMNS = 24


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


def draw_gallery(axes: Axes, W: Float[Tensor, "instance 2 feature"], names: Sequence[str]) -> None:
    """Draw many small polygons in rows, each turned so that its longest column points up, in its geometry's colour."""
    W = W.detach().float().cpu().nan_to_num(0).clamp(-FARTHEST, FARTHEST)
    learned = find_polygons(W).learned
    z = torch.complex(W[:, 0], W[:, 1])
    longest = z.gather(1, z.abs().argmax(dim=1, keepdim=True))
    z = z * (1j * longest.conj() / longest.abs().clamp(min=1e-12))
    spokes, colors = [], []
    for i, (columns, is_learned, name) in enumerate(zip(z, learned, names, strict=True)):
        row, column = divmod(i, GALLERY_COLUMNS)
        center = complex(column, -row)
        tips = [center + 0.36 * tip for tip in columns.tolist()]
        spokes += [((center.real, center.imag), (tip.real, tip.imag)) for tip in tips]
        colors += [geometry_color(name)] * len(tips)
        order = [j for j in columns.angle().argsort().tolist() if is_learned[j]]
        if order:
            outline = [(tips[j].real, tips[j].imag) for j in order]
            axes.add_patch(PathPolygon(outline, facecolor=geometry_color(name), alpha=0.25, linewidth=0))
    axes.add_collection(LineCollection(spokes, colors=colors, linewidths=1.1))
    n_rows = math.ceil(len(names) / GALLERY_COLUMNS)
    axes.set(xlim=(-0.7, min(len(names), GALLERY_COLUMNS) - 0.3), ylim=(-n_rows + 0.3, 0.7), aspect="equal")
    axes.set_axis_off()


def gallery_figure(W: Float[Tensor, "instance 2 feature"], names: Sequence[str]) -> Figure:
    """The first 240 instances as small polygons, one geometry after the other, with the counts of all in the legend."""
    shares = rates(names)
    shown = min(len(names), N_IN_GALLERY)
    order = sorted(range(shown), key=lambda i: list(shares).index(names[i]))
    n_rows = math.ceil(shown / GALLERY_COLUMNS)
    figure = Figure(figsize=(0.5 * GALLERY_COLUMNS, 0.5 * n_rows + 0.9), dpi=100)
    axes = figure.add_axes((0.01, 0.01, 0.98, 1 - 0.85 / figure.get_figheight()))
    draw_gallery(axes, W[order], [names[i] for i in order])
    title = f"the first {shown:,} of {len(names):,} instances"
    figure.suptitle(title, y=1 - 0.12 / figure.get_figheight(), fontsize=11)
    figure.legend(
        handles=[_patch(geometry_color(name), f"{name} {share}") for name, share in shares.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.36 / figure.get_figheight()),
        ncols=4,
        frameon=False,
        fontsize=9,
    )
    return figure


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
    for i, (x, y) in enumerate(initial_W.T.tolist()):
        if i == column:
            axes.plot([x], [y], marker="*", markersize=13, color="white", markeredgecolor="black")
            continue
        axes.plot([0, x], [0, y], color="black", linewidth=1.4)
        axes.plot([x], [y], marker="o", markersize=13, color="white", markeredgecolor="black")
        axes.text(x, y, str(i), ha="center", va="center", fontsize=8)
    order = sorted(shares, key=lambda name: (name.startswith("pentagon without"), name))
    handles: list[Artist] = [_patch(colors[name], f"{name}  {shares[name].share:.1%}") for name in order]
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


def outcome_color(name: str) -> str:
    """The tint of the feature that a pentagon leaves out, or the colour of the geometry."""
    _, without, feature = name.partition("pentagon without ")
    return tint(feature_color(int(feature))) if without and feature.isdecimal() else geometry_color(name)


def basin_figure(
    outcomes: Sequence[Sequence[str]], reach: float, column: int, initial_W: Float[Tensor, "2 feature"], title: str
) -> Figure:
    figure = Figure(figsize=(9, 6.3), dpi=110, layout="constrained")
    axes = figure.subplots()
    draw_basin(axes, outcomes, reach, column, initial_W)
    axes.set_title(title, fontsize=11)
    return figure


def _patch(color: str, label: str) -> PathPolygon:
    """An entry of a legend."""
    return PathPolygon([(0, 0)], facecolor=color, label=label)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()
