"""Figures as functions of arrays: `draw_*(axes, arrays)`. No training, no files."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patches import Polygon as PathPolygon
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from src.geometry import Polygons, find_polygons
from src.palette import feature_color, geometry_color
from src.rates import Rate, rate, rates

PANEL_INCHES = 3.2
CHARACTERS = 30  # of a title's line
N_NUMBERED = 12  # columns are numbered up to here
LABEL_DISTANCE = 0.14  # of a number beyond its column's tip
FARTHEST = 1e6  # a column's entry beyond this is drawn here
IN_ONE_ROW = 3  # more panels than this are arranged in a square
LEARNED_WIDTH, UNLEARNED_WIDTH = 2.2, 1.2
MARGIN = 1.3  # axes reach this far beyond the unit circle
N_IN_GALLERY = 240
GALLERY_COLUMNS = 24


def draw_polygon(axes: Axes, W: Float[Tensor, "hidden feature"], polygons: Polygons, instance: int) -> None:
    """Draw one instance's columns as spokes, its learned ones joined in angular order, over the unit circle.

    Of more than two hidden dimensions the first two are drawn.
    """
    W = torch.cat([W, torch.zeros_like(W)])[:2] if len(W) == 1 else W[:2]
    tips, learned = W.T.numpy(), polygons.learned[instance]
    colors = [feature_color(i) for i in range(len(tips))]
    widths = [LEARNED_WIDTH if is_learned else UNLEARNED_WIDTH for is_learned in learned.tolist()]
    corners = [i for i in torch.atan2(W[1], W[0]).argsort().tolist() if learned[i]]
    axes.add_patch(Circle((0, 0), 1, fill=False, color="0.85", linewidth=1))
    if corners:
        axes.add_patch(PathPolygon(tips[corners], fill=False, color="0.7", linewidth=1))
    axes.add_collection(LineCollection([((0, 0), tip) for tip in tips], colors=colors, linewidths=widths))
    axes.scatter(tips[:, 0], tips[:, 1], s=[8 * width**2 for width in widths], c=colors, zorder=3)
    if len(tips) <= N_NUMBERED:
        for i, (x, y) in enumerate(tips):
            away = 1 + LABEL_DISTANCE / max(math.hypot(x, y), LABEL_DISTANCE)
            axes.text(x * away, y * away, str(i), color=colors[i], fontsize=9, ha="center", va="center")
    reach = MARGIN * max(1.0, float(W.norm(dim=0).max()))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def polygon_figure(W: Float[Tensor, "instance hidden feature"], names: Sequence[str], step: int) -> Figure:
    """One panel an instance, side by side: its name, its polygon and how many features it learned."""
    W = W.detach().float().cpu().nan_to_num(0).clamp(-FARTHEST, FARTHEST)  # a diverging model is still drawn
    polygons = find_polygons(W)
    n_instances, _, n_features = W.shape
    n_columns = n_instances if n_instances <= IN_ONE_ROW else math.ceil(n_instances**0.5)
    n_rows = math.ceil(n_instances / n_columns)
    figure = Figure(figsize=(PANEL_INCHES * n_columns, (PANEL_INCHES + 0.8) * n_rows + 0.2), dpi=100)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).flatten().tolist()
    for axes in panels[n_instances:]:
        axes.set_axis_off()
    for i, axes in enumerate(panels[:n_instances]):
        draw_polygon(axes, W[i], polygons, i)
        n_learned, norm = int(polygons.learned[i].sum()), float(W[i].norm())
        axes.set_title(f"{textwrap.fill(names[i], CHARACTERS)}\n{polygons.names[i]}", fontsize=11)
        axes.set_xlabel(f"{n_learned} of {n_features} learned, norm {norm:.2f}", fontsize=10)
    figure.suptitle(f"step {step:,}", fontsize=10, color="0.4", y=1 - 0.08 / figure.get_figheight())
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.35 / figure.get_figheight(), wspace=0.05, hspace=0.3)
    figure.subplots_adjust(top=1 - 0.85 / figure.get_figheight())
    return figure


def draw_gallery(axes: Axes, W: Float[Tensor, "instance 2 feature"], names: Sequence[str]) -> None:
    """Draw many small polygons in rows, each turned so that its longest column points up, in its geometry's colour."""
    W = W.detach().float().cpu().nan_to_num(0).clamp(-FARTHEST, FARTHEST)
    learned = find_polygons(W).learned
    z = torch.complex(W[:, 0], W[:, 1])
    longest = z.gather(1, z.abs().argmax(dim=1, keepdim=True))
    z = z * (1j * longest.conj() / longest.abs().clamp(min=1e-12))
    spokes, corners, colors = [], [], []
    for i, (columns, is_learned, name) in enumerate(zip(z, learned, names, strict=True)):
        row, column = divmod(i, GALLERY_COLUMNS)
        center = complex(column, -row)
        tips = [center + 0.36 * tip for tip in columns.tolist()]
        spokes += [((center.real, center.imag), (tip.real, tip.imag)) for tip in tips]
        colors += [geometry_color(name)] * len(tips)
        order = [j for j in columns.angle().argsort().tolist() if is_learned[j]]
        if order:
            corners.append(
                PathPolygon(
                    [(tips[j].real, tips[j].imag) for j in order], facecolor=geometry_color(name), alpha=0.25, linewidth=0
                )
            )
    for corner in corners:
        axes.add_patch(corner)
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
    figure.suptitle(f"the first {shown:,} of {len(names):,} instances", y=1 - 0.12 / figure.get_figheight(), fontsize=11)
    figure.legend(
        handles=[
            PathPolygon([(0, 0)], facecolor=geometry_color(name), label=f"{name} {share}") for name, share in shares.items()
        ],
        loc="upper center", bbox_to_anchor=(0.5, 1 - 0.36 / figure.get_figheight()), ncols=4, frameon=False, fontsize=9,
    )
    return figure


def draw_shares(
    axes: Axes, steps: Sequence[int], counts: Mapping[str, Sequence[int]], n_instances: int
) -> None:
    """Draw the share of each geometry against the training step, with its 95 % Wilson interval as a band."""
    ends: list[tuple[float, str, Rate]] = []
    for name, course in counts.items():
        bands = [rate(count, n_instances) for count in course]
        color = geometry_color(name)
        axes.plot(steps, [band.share for band in bands], color=color, linewidth=1.8)
        axes.fill_between(steps, [band.low for band in bands], [band.high for band in bands], color=color, alpha=0.2)
        ends.append((bands[-1].share, name, bands[-1]))
    ends.sort(reverse=True)
    axes.legend(
        handles=[PathPolygon([(0, 0)], facecolor=geometry_color(name), label=f"{name}  {last}") for _, name, last in ends],
        title="share after the last step (95 % interval)", fontsize=9, title_fontsize=9, frameon=False,
        loc="center left", bbox_to_anchor=(1.01, 0.5), alignment="left",
    )
    axes.set(xlabel="step", ylabel="share of instances", ylim=(-0.02, 1.02), xlim=(steps[0], max(steps[-1], 1)))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)


def shares_figure(steps: Sequence[int], counts: Mapping[str, Sequence[int]], n_instances: int) -> Figure:
    figure = Figure(figsize=(9.5, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    draw_shares(axes, steps, counts, n_instances)
    axes.set_title(f"geometry of {n_instances:,} instances while they train", fontsize=11)
    return figure


def draw_rates(axes: Axes, outcomes: Mapping[str, Mapping[str, Rate]]) -> None:
    """Draw one bar a cell, divided by geometry, with 95 % Wilson intervals as lines about the end of each share.

    Args:
        outcomes: for each cell, by its name, the rate of each geometry.
    """
    frequency: dict[str, float] = {}
    for shares in outcomes.values():
        for name, share in shares.items():
            frequency[name] = frequency.get(name, 0.0) + share.share
    order = sorted(frequency, key=lambda name: -frequency[name])
    for y, shares in enumerate(outcomes.values()):
        left = 0.0
        for name in order:
            share = shares.get(name)
            if share is None:
                continue
            axes.barh(y, share.share, left=left, height=0.62, color=geometry_color(name), edgecolor="white")
            if share.share > 0.045:
                axes.text(left + share.share / 2, y, f"{share.share:.1%}", ha="center", va="center", fontsize=8, color="white")
            left += share.share
        for name, share in shares.items():
            start = sum(shares[other].share for other in order[: order.index(name)] if other in shares)
            if share.share < 0.999:
                axes.plot([start + share.low, start + share.high], [y + 0.4, y + 0.4], color=geometry_color(name), lw=2)
    axes.legend(
        handles=[PathPolygon([(0, 0)], facecolor=geometry_color(name), label=name) for name in order],
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(6, len(order)), frameon=False, fontsize=9,
    )
    axes.set(yticks=range(len(outcomes)), yticklabels=list(outcomes), xlim=(0, 1.005), xlabel="share of instances")
    axes.set_ylim(len(outcomes) - 0.45, -0.55)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)


def rates_figure(outcomes: Mapping[str, Mapping[str, Rate]]) -> Figure:
    figure = Figure(figsize=(9, 1.3 + 0.42 * len(outcomes)), dpi=100, layout="constrained")
    draw_rates(figure.subplots(), outcomes)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()
