"""Figures of shares with their 95 % Wilson intervals: against time, cell by cell, and over two settings."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from src.figures.elements import FAINT, styled
from src.figures.palette import geometry_color, geometry_dash, geometry_marker, luminance
from src.results.rates import Rate, counted, rate

N_CELLS = 60  # whose rates one picture shows
DARK = 0.45  # luminance below which text in a cell is white
N_PANELS = 4  # geometries that a grid of rates shows


def draw_shares(axes: Axes, steps: Sequence[int], counts: Mapping[str, Sequence[int]], n_instances: int) -> None:
    """Draw the share of each geometry against the training step, with its 95 % Wilson interval as a band."""
    ends: list[tuple[float, str, Rate]] = []
    for name, course in counts.items():
        bands = [rate(count, n_instances) for count in course]
        color = geometry_color(name)
        axes.plot(steps, [band.share for band in bands], color=color, linewidth=1.8, linestyle=geometry_dash(name))
        axes.fill_between(steps, [band.low for band in bands], [band.high for band in bands], color=color, alpha=0.2)
        ends.append((bands[-1].share, name, bands[-1]))
    ends.sort(reverse=True)
    axes.legend(
        handles=[
            Line2D([], [], color=geometry_color(name), linestyle=geometry_dash(name), label=f"{name}  {last}")
            for _, name, last in ends
        ],
        title="share after the last step (95 % interval)",
        fontsize=9,
        title_fontsize=9,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        alignment="left",
    )
    axes.set(xlabel="step", ylabel="share of instances", ylim=(-0.02, 1.02), xlim=(steps[0], max(steps[-1], 1)))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)


@styled
def shares_figure(steps: Sequence[int], counts: Mapping[str, Sequence[int]], n_instances: int) -> Figure:
    figure = Figure(figsize=(9.5, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    draw_shares(axes, steps, counts, n_instances)
    axes.set_title(f"geometry of {counted(n_instances, 'instance')} by training step", fontsize=11)
    return figure


def draw_rates(axes: Axes, outcomes: Mapping[str, Mapping[str, Rate]]) -> None:
    """Draw each cell's shares as points with their 95 % Wilson intervals, a line for each geometry.

    Args:
        outcomes: for each cell, by its name, the rate of each geometry.
    """
    y, ticks = 0.0, []
    for k, shares in enumerate(outcomes.values()):
        top = y
        for name, share in shares.items():
            color = geometry_color(name)
            axes.plot([share.low, share.high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
            axes.plot([share.share], [y], marker=geometry_marker(name), markersize=7, color=color)
            axes.text(
                1.08,
                y,
                f"{share.share:.1%}",
                color=color,
                fontsize=8.5,
                va="center",
                ha="right",
                transform=axes.get_yaxis_transform(),
            )
            axes.text(1.095, y, name, color=color, fontsize=8.5, va="center", transform=axes.get_yaxis_transform())
            y += 1
        ticks.append((top + y - 1) / 2)
        if k % 2 == 0:
            axes.axhspan(top - 0.7, y - 0.3, color=FAINT, alpha=0.1, zorder=0, linewidth=0)
        y += 0.4
    axes.set(
        yticks=ticks, yticklabels=list(outcomes), xlim=(-0.015, 1.015), xlabel="share of instances (95 % interval)"
    )
    axes.set_ylim(y - 0.7, -0.7)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)


@styled
def rates_figure(outcomes: Mapping[str, Mapping[str, Rate]], title: str = "") -> Figure:
    """`draw_rates` of the first 60 cells."""
    shown = dict(itertools.islice(outcomes.items(), N_CELLS))
    if len(shown) < len(outcomes):
        title = "\n".join(filter(None, [title, f"the first {len(shown)} of {counted(len(outcomes), 'cell')}"]))
    n_lines = sum(map(len, shown.values())) + 0.4 * len(shown) + title.count("\n")
    figure = Figure(figsize=(9.5, (1.1 if title else 0.8) + 0.2 * n_lines), dpi=100, layout="constrained")
    axes = figure.subplots()
    draw_rates(axes, shown)
    if title:
        axes.set_title(title, fontsize=9.5, loc="left")
    return figure


def draw_rate_grid(
    axes: Axes, shares: Mapping[tuple[str, str], Rate], columns: Sequence[str], rows: Sequence[str], color: str
) -> None:
    """Draw one geometry's share over two settings, darker where it is larger, with its 95 % interval below it.

    Args:
        shares: by (column, row); a cell without one is left empty.
        columns, rows: the settings' values, rows from the top.
    """
    colormap = LinearSegmentedColormap.from_list("share", ["#f7f7f7", color]).with_extremes(bad=FAINT)
    missing = [[(column, row) not in shares for column in columns] for row in rows]
    values = [[shares[column, row].share if (column, row) in shares else 0.0 for column in columns] for row in rows]
    axes.imshow(np.ma.masked_array(values, missing), cmap=colormap, vmin=0, vmax=1, aspect="auto")
    for (column, row), share in shares.items():
        x, y = columns.index(column), rows.index(row)
        ink = "white" if luminance(colormap(share.share)) < DARK else "#202124"
        axes.text(x, y - 0.12, f"{share.share:.1%}", ha="center", va="center", fontsize=9, color=ink)
        interval = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
        axes.text(x, y + 0.22, interval, ha="center", va="center", fontsize=6.5, color=ink)
    axes.set(xticks=range(len(columns)), xticklabels=columns, yticks=range(len(rows)), yticklabels=rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@styled
def rate_grid_figure(outcomes: Mapping[tuple[str, str], Mapping[str, Rate]], settings: tuple[str, str]) -> Figure:
    """A panel for each of the commonest geometries, over the values of two settings."""
    columns = list(dict.fromkeys(column for column, _ in outcomes))
    rows = list(dict.fromkeys(row for _, row in outcomes))
    total: Counter[str] = Counter()
    for of_cell in outcomes.values():
        total.update({name: share.share for name, share in of_cell.items()})
    names = [name for name, _ in total.most_common(N_PANELS)]
    size = (1.6 + 0.85 * len(columns), 0.5 + len(names) * (0.55 + 0.5 * len(rows)))
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    panels = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0].tolist()
    for axes, name in zip(panels, names, strict=True):
        sizes = {cell: next(iter(own.values())).n for cell, own in outcomes.items()}
        shares = {cell: own.get(name, rate(0, sizes[cell])) for cell, own in outcomes.items()}
        draw_rate_grid(axes, shares, columns, rows, geometry_color(name))
        axes.set_title(f"share that ends in: {name}", fontsize=10, loc="left")
        axes.set_ylabel(settings[1])
    panels[-1].set_xlabel(settings[0])
    return figure
