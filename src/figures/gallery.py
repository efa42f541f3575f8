"""Many small polygons, or solids, coloured by geometry."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Polygon as PathPolygon
from torch import Tensor

from src.figures.columns import drawable
from src.figures.elements import legend_patch, styled
from src.figures.hulls import hull_of
from src.figures.palette import geometry_color
from src.figures.solids import eye_distance, learned_of
from src.figures.views import clearest_view, project
from src.geometry.polygons import find_polygons
from src.results.rates import counted, rates

N_IN_GALLERY = 240
GALLERY_COLUMNS = 24
UNIT = 0.36  # of a small picture, whose side is 1
LEGEND_COLUMNS, LEGEND_ROW = 4, 0.19  # entries side by side, and inches from one row of them to the next
IN_SPACE = 3  # hidden dimensions


def draw_gallery(axes: Axes, W: Float[Tensor, "instance 2 feature"], names: Sequence[str]) -> None:
    """Draw many small polygons in rows, each turned so that its longest column points up, in its geometry's colour."""
    W = drawable(W)
    learned = find_polygons(W).learned
    z = torch.complex(W[:, 0], W[:, 1])
    longest = z.gather(1, z.abs().argmax(dim=1, keepdim=True))
    z = z * (1j * longest.conj() / longest.abs().clamp(min=1e-12))
    spokes, colors = [], []
    for i, (columns, is_learned, name) in enumerate(zip(z, learned, names, strict=True)):
        row, column = divmod(i, GALLERY_COLUMNS)
        center = complex(column, -row)
        tips = [center + UNIT * tip for tip in columns.tolist()]
        spokes += [((center.real, center.imag), (tip.real, tip.imag)) for tip in tips]
        colors += [geometry_color(name)] * len(tips)
        order = [j for j in columns.angle().argsort().tolist() if is_learned[j]]
        if order:
            outline = [(tips[j].real, tips[j].imag) for j in order]
            axes.add_patch(PathPolygon(outline, facecolor=geometry_color(name), alpha=0.25, linewidth=0))
    axes.add_collection(LineCollection(spokes, colors=colors, linewidths=1.1))
    _set_rows(axes, len(names))


def draw_solid_gallery(axes: Axes, W: Float[Tensor, "instance 3 feature"], names: Sequence[str]) -> None:
    """Draw many small solids in rows: the hull of each instance's learned columns, from where it is clearest.

    A hull that is no solid has the spokes of its columns.
    """
    W = drawable(W)
    polygons = find_polygons(W)
    faces, fills, lines, inks = [], [], [], []
    for i, name in enumerate(names):
        row, column = divmod(i, GALLERY_COLUMNS)
        points = learned_of(W[i], polygons, i)
        seen, distance = points @ clearest_view(points).T, eye_distance(points)
        tips = UNIT * project(seen, np.eye(3), distance)[0] + [column, -row]
        hull = hull_of(seen)
        are_seen = hull.faces_seen(seen, np.array([0, 0, distance]))
        own = [tips[face] for face, is_seen in zip(hull.faces, are_seen, strict=True) if is_seen]
        faces += own
        fills += [to_rgba(geometry_color(name), 0.25)] * len(own)
        edges = zip(hull.edges, hull.edges_seen(are_seen), strict=True)
        drawn = [(tips[list(edge)], 1.0 if is_seen else 0.3) for edge, is_seen in edges]
        if not hull.is_solid:
            drawn += [(np.array([(column, -row), tip]), 1.0) for tip in tips]
        lines += [line for line, _ in drawn]
        inks += [to_rgba(geometry_color(name), alpha) for _, alpha in drawn]
    axes.add_collection(PolyCollection(faces, facecolors=fills, linewidths=0))
    axes.add_collection(LineCollection(lines, colors=inks, linewidths=0.9, capstyle="round"))
    _set_rows(axes, len(names))


def _set_rows(axes: Axes, n_shown: int) -> None:
    n_rows = math.ceil(n_shown / GALLERY_COLUMNS)
    axes.set(xlim=(-0.7, min(n_shown, GALLERY_COLUMNS) - 0.3), ylim=(-n_rows + 0.3, 0.7), aspect="equal")
    axes.set_axis_off()


@styled
def gallery_figure(W: Float[Tensor, "instance hidden feature"], names: Sequence[str]) -> Figure:
    """The first 240 instances as small polygons, one geometry after the other, with the counts of all in the legend.

    Columns are in the plane or in space: with three hidden dimensions the small pictures are solids.
    """
    shares = rates(names)
    shown = min(len(names), N_IN_GALLERY)
    order = sorted(range(shown), key=lambda i: list(shares).index(names[i]))
    n_rows = math.ceil(shown / GALLERY_COLUMNS)
    head = 0.85 + LEGEND_ROW * max(0, math.ceil(len(shares) / LEGEND_COLUMNS) - 2)
    figure = Figure(figsize=(0.5 * GALLERY_COLUMNS, 0.5 * n_rows + head + 0.05), dpi=100)
    axes = figure.add_axes((0.01, 0.01, 0.98, 1 - head / figure.get_figheight()))
    draw = draw_solid_gallery if W.shape[1] == IN_SPACE else draw_gallery
    draw(axes, W[order], [names[i] for i in order])
    title = f"the first {shown:,} of {counted(len(names), 'instance')}"
    figure.suptitle(title, y=1 - 0.12 / figure.get_figheight(), fontsize=11)
    figure.legend(
        handles=[legend_patch(geometry_color(name), f"{name} {share}") for name, share in shares.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.36 / figure.get_figheight()),
        ncols=LEGEND_COLUMNS,
        frameon=False,
        fontsize=9,
    )
    return figure
