"""Figures of what theory predicts, drawn from arrays: what features cost, and which geometry is best at which p."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from src.figures.elements import FAINT, INK, styled
from src.figures.palette import DASHES, geometry_color, geometry_marker
from src.theory.branches import Branch
from src.theory.critical_points import MAX_VERTICES, polygon_cost
from src.theory.crossings import Crossing
from src.theory.post import best_continuous_number, loss_change
from src.theory.spectra import MINIMUM

P_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
EQUATION = r"unit norm, no bias: $\Delta L = F\,(L_F - p/3)$, $L_F = \frac{2}{3}\,p\,\max(0, \cos\frac{2\pi}{F})^2$"
MOST_ABOVE = 0.2  # a branch whose loss exceeds the best one's by more than this share is outside the lower panel


def draw_loss_change(axes: Axes) -> None:
    """Draw equation 4 of the post, continuous in F, and what is left of it when norm and bias are free.

    Both are in units of what an ignored feature costs, p / 3, and negative.
    """
    numbers = np.linspace(2, 8, 601).tolist()
    axes.plot(numbers, [3 * loss_change(F) for F in numbers], color=INK, linewidth=1.4)
    whole = range(2, 9)
    changes = [3 * loss_change(F) for F in whole]
    axes.plot(whole, changes, "o", color=INK, label=EQUATION)
    best, continuous = min(whole, key=loss_change), best_continuous_number()
    label = f"least at F = {best}; between whole numbers at {continuous:.4f}"
    axes.plot([best], [3 * loss_change(best)], "o", markersize=12, markerfacecolor="none", color=INK, label=label)
    axes.plot([continuous], [3 * loss_change(continuous)], "|", markersize=14, color=INK)
    polygons = range(2, MAX_VERTICES + 1)
    free = [polygon_cost(k) - k for k in polygons]
    names = ["digon", "triangle", "square", "pentagon", "hexagon", "heptagon", "octagon"]
    axes.plot(polygons, free, color=INK, linewidth=1.0, linestyle="--")
    for k, change in zip(polygons, free, strict=True):
        name = names[k - 2] if k <= 8 else ""
        axes.plot([k], [change], geometry_marker(name), markersize=8, color=geometry_color(name))
    axes.plot([], [], "s", color=INK, label="norm and bias solved for, one feature at a time")
    axes.set(xlabel="F, features represented", ylabel="change of the loss, over p / 3", xlim=(1.8, MAX_VERTICES + 0.2))
    axes.grid(color=FAINT)
    axes.set_ylim(top=2.2)  # room for the legend, above all that is drawn
    axes.set_yticks([tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= 0])
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)


@styled
def loss_change_figure() -> Figure:
    figure = Figure(figsize=(7.5, 4.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    draw_loss_change(axes)
    axes.set_title("What representing F features in the plane saves", fontsize=11)
    return figure


def draw_branches(axes: Axes, branches: Sequence[Branch], grid: Sequence[float], heights: np.ndarray) -> None:
    """Draw one height a branch and p: solid where it is a minimum, dotted where it is a saddle.

    Branches that are a minimum somewhere have a colour each, the others are grey.
    """
    p, colors = np.array(grid), branch_styles(branches)
    for branch, height in zip(branches, heights, strict=True):
        exists = np.array([bool(verdict) for verdict in branch.verdicts])
        is_minimum = np.array([verdict == MINIMUM for verdict in branch.verdicts])
        color, dashes = colors.get(id(branch), (INK, "-"))
        axes.plot(p[exists], height[exists], color=color, linewidth=1.0, linestyle=":", zorder=1)
        # A segment is solid if both its ends are minima.
        axes.plot(p, np.where(is_minimum, height, np.nan), color=color, linewidth=2.0, linestyle=dashes, zorder=2)
    axes.set_xscale("log")
    axes.grid(color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)


def branch_styles(branches: Sequence[Branch]) -> dict[int, tuple[str, Any]]:
    """For each branch that is a minimum somewhere its polygon's colour, and a dash that no other of it has."""
    styles: dict[int, tuple[str, Any]] = {}
    of_polygon: Counter[str] = Counter()
    for branch in branches:
        if MINIMUM in branch.verdicts:
            polygon = branch.name.split(" + ")[0]
            styles[id(branch)] = (geometry_color(polygon), DASHES[of_polygon[polygon] % len(DASHES)])
            of_polygon[polygon] += 1
    return styles


@styled
def phase_figure(
    branches: Sequence[Branch], crossings: Sequence[Crossing], grid: Sequence[float], title: str
) -> Figure:
    """The loss of every branch against p, absolute and over the best one's, with the p at which the best changes.

    Where no other branch comes near the best one there is one panel, whose losses are on a logarithmic axis.
    """
    losses = np.stack([branch.loss.numpy() for branch in branches])
    over = losses / np.nanmin(losses, axis=0) - 1
    has_two = bool(((over > 0) & (over < MOST_ABOVE)).any())
    figure = Figure(figsize=(9.5, 8 if has_two else 4.5), dpi=110, layout="constrained")
    panels = figure.subplots(1 + has_two, 1, sharex=True, squeeze=False, height_ratios=(1, 1.2)[: 1 + has_two])[:, 0]
    above, below = panels[0], panels[-1]
    draw_branches(above, branches, grid, losses * 3 / np.array(grid))
    if has_two:
        draw_branches(below, branches, grid, over)
        below.set(ylabel="loss above the best one's", ylim=(-0.005, MOST_ABOVE))
        below.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        above.set_yscale("log")
    for crossing in crossings:
        if not math.isnan(crossing.p):
            for axes in panels:
                axes.axvline(crossing.p, color=INK, linewidth=0.8)
            place = {"transform": above.get_xaxis_transform(), "rotation": 90, "ha": "center", "va": "bottom"}
            above.text(crossing.p, 1.01, f"{crossing.p:.4g}", fontsize=8.5, **place)
    above.set_ylabel("loss, over that of a model without features")
    below.set_xlabel("p, the probability that a feature is active")
    ticks = [p for p in P_TICKS if grid[0] * 0.999 <= p <= grid[-1] * 1.001]
    below.set_xticks(ticks)
    below.xaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p:g}"))
    below.xaxis.minorticks_off()
    if has_two:
        below.yaxis.minorticks_off()
    styles = branch_styles(branches)
    handles = [
        Line2D([], [], color=styles[id(branch)][0], linestyle=styles[id(branch)][1], linewidth=2, label=branch.name)
        for branch in branches
        if id(branch) in styles
    ]
    handles.append(Line2D([], [], color=INK, linestyle=":", linewidth=1, label="not a minimum here"))
    handles.append(Line2D([], [], color=INK, alpha=0.4, linestyle=":", linewidth=1, label="nowhere a minimum"))
    above.legend(handles=handles, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(f"Stationary points of {title}: which geometry is best at which p", fontsize=11)
    return figure
