"""How the numbers that were measured of every instance are distributed, cell by cell."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from src.figures.elements import FAINT, INK, styled
from src.figures.rates import N_CELLS
from src.results.metrics import metric_row

N_BINS = 90
FILL, MEAN = "#0072b2", "#d55e00"
HEIGHT = 0.85  # of the highest bar, where a cell's row is 1


@styled
def metric_figure(name: str, cells: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """A histogram for each cell, all over the same axis, with the mean and its 95 % interval.

    Args:
        name: of the metric.
        cells: for each cell, by its name, the numbers of each instance.
    """
    shown = dict(itertools.islice(cells.items(), N_CELLS))
    numbers = {cell: np.array([x for own in rows for x in own if np.isfinite(x)]) for cell, rows in shown.items()}
    every = np.concatenate([*numbers.values(), np.zeros(0)])
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, N_BINS + 1)
    figure = Figure(figsize=(9.5, 0.9 + 0.55 * len(shown)), dpi=100, layout="constrained")
    axes = figure.subplots()
    for y, (cell, own) in enumerate(numbers.items()):
        heights = np.histogram(own, edges)[0] / max(1, len(own))
        top = max(float(heights.max()), 1e-9)
        axes.bar(edges[:-1], -HEIGHT * heights / top, np.diff(edges), y + 0.5, align="edge", color=FILL, linewidth=0)
        axes.axhline(y + 0.5, color=FAINT, linewidth=1, zorder=0)
        row = metric_row(shown[cell])
        axes.plot([row["low"], row["high"]], [y + 0.5] * 2, color=MEAN, linewidth=3, solid_capstyle="butt")
        axes.plot([row["mean"]], [y + 0.5], marker="^", color=MEAN, markersize=7, clip_on=False)
        interval = f" ({row['low']:.4g} to {row['high']:.4g})" if row["n"] > 1 else ""
        axes.text(
            1.02, y + 0.2, f"{row['mean']:.4g}{interval}", color=INK, fontsize=8.5, transform=axes.get_yaxis_transform()
        )
    axes.set(yticks=range(len(shown)), yticklabels=list(shown), xlabel=f"{name} (mean with 95 % interval)")
    axes.set_ylim(len(shown) - 0.4, -0.5)
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    return figure
