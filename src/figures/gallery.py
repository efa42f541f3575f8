"""Many small polygons, coloured by geometry."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon as PathPolygon
from torch import Tensor

from src.figures.elements import legend_patch, styled
from src.figures.palette import geometry_color
from src.figures.polygons import FARTHEST
from src.geometry.polygons import find_polygons
from src.results.rates import counted, rates

N_IN_GALLERY = 240
GALLERY_COLUMNS = 24


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


@styled
def gallery_figure(W: Float[Tensor, "instance 2 feature"], names: Sequence[str]) -> Figure:
    """The first 240 instances as small polygons, one geometry after the other, with the counts of all in the legend."""
    shares = rates(names)
    shown = min(len(names), N_IN_GALLERY)
    order = sorted(range(shown), key=lambda i: list(shares).index(names[i]))
    n_rows = math.ceil(shown / GALLERY_COLUMNS)
    figure = Figure(figsize=(0.5 * GALLERY_COLUMNS, 0.5 * n_rows + 0.9), dpi=100)
    axes = figure.add_axes((0.01, 0.01, 0.98, 1 - 0.85 / figure.get_figheight()))
    draw_gallery(axes, W[order], [names[i] for i in order])
    title = f"the first {shown:,} of {counted(len(names), 'instance')}"
    figure.suptitle(title, y=1 - 0.12 / figure.get_figheight(), fontsize=11)
    figure.legend(
        handles=[legend_patch(geometry_color(name), f"{name} {share}") for name, share in shares.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.36 / figure.get_figheight()),
        ncols=4,
        frameon=False,
        fontsize=9,
    )
    return figure
