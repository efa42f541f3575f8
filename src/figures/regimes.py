"""The figure of the data regimes, drawn from arrays: dimensionalities, losses and stars over the number of examples.

After Henighan et al. 2023, "Superposition, Memorization, and Double Descent", and the post's Figure 2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from src.figures.columns import MARGIN
from src.figures.elements import FAINT, INK, styled
from src.figures.palette import GEOMETRY_COLORS
from src.geometry.polygons import longest
from src.results.regimes import Regime

OF_FEATURES, OF_EXAMPLES, OF_TRAINING = (GEOMETRY_COLORS[name] for name in ("pentagon", "octagon", "square"))
N_POINTS = 60  # features, the largest, or examples, the first, drawn one by one
MAX_SPOKES = 500  # of a star
COLUMN_INCHES = 0.68
MIN_COLUMNS = 6  # wide enough for the legend
CHART_INCHES = (3.4, 2.1)
LEAST_DIMENSIONALITY = 0.002  # that is drawn, or what the examples share evenly
LOGARITHMIC_FROM = 10  # times what a model that returns nothing loses
HEADROOM = 1.1
ABOVE: dict[str, Any] = {  # the axes: where a legend is on no line
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "ncols": 3,
    "frameon": False,
    "fontsize": 9,
}
LEAST_LOSS = 0.05  # that is drawn on a logarithmic axis
NEAR_CIRCLE = 0.5  # vectors at least so long are drawn with the unit circle


def draw_dimensionalities(axes: Axes, regimes: Sequence[Regime]) -> None:
    """Draw dimensionalities in the best instance, of the largest features and the first examples, and their summaries.

    Lines are summaries of all, bands their range over the instances.
    """
    places = np.arange(len(regimes))
    for name, color, dashes, shift, of in (
        ("features: the largest five, mean", OF_FEATURES, "-", -0.1, "feature"),
        ("examples, median", OF_EXAMPLES, "--", 0.1, "example"),
    ):
        summaries = [regime.largest_features if of == "feature" else regime.median_example for regime in regimes]
        for x, regime in zip(places, regimes, strict=True):
            values = (regime.feature_dimensionality if of == "feature" else regime.example_dimensionality)[regime.best]
            shown = values.topk(min(N_POINTS, len(values))).values if of == "feature" else values[:N_POINTS]
            axes.plot([x + shift] * len(shown), shown, ".", color=color, markersize=3, alpha=0.5, rasterized=True)
        best = [float(summary[regime.best]) for summary, regime in zip(summaries, regimes, strict=True)]
        axes.plot(places, best, color=color, linewidth=1.6, linestyle=dashes, label=name)
        low, high = ([float(edge) for edge in edges] for edges in zip(*(s.aminmax() for s in summaries), strict=True))
        axes.fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)
    finite = [(x, regime.even_share) for x, regime in zip(places, regimes, strict=True) if regime.n_examples]
    shares = [share for _, share in finite]
    axes.plot([x for x, _ in finite], shares, color=INK, linewidth=1, linestyle=":", label="m / T")
    axes.set(ylabel="dimensionality", yscale="log", ylim=(min([LEAST_DIMENSIONALITY, *shares]) / 2, 1.5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(**ABOVE)


def draw_losses(axes: Axes, regimes: Sequence[Regime]) -> None:
    """Draw the test and training loss of the best instance, with the range over all instances as bands."""
    places = np.arange(len(regimes))
    for name, color, dashes, losses in (
        ("held-out examples", INK, "-", [regime.test_loss for regime in regimes]),
        ("training examples", OF_TRAINING, "--", [regime.training_loss for regime in regimes]),
    ):
        best = [own[regime.best] for own, regime in zip(losses, regimes, strict=True)]
        axes.plot(places, best, color=color, linestyle=dashes, linewidth=1.6, label=name)
        axes.fill_between(places, [min(own) for own in losses], [max(own) for own in losses], color=color, alpha=0.15)
    axes.axhline(1, color=FAINT, linewidth=0.8, zorder=0)
    most = max(max(own.test_loss) for own in regimes)
    axes.set(ylabel="squared error\nof an example", ylim=(0, HEADROOM * most))
    if most > LOGARITHMIC_FROM:
        axes.set(yscale="log", ylim=(LEAST_LOSS, None))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    axes.legend(**ABOVE)


def draw_star(axes: Axes, vectors: Float[Tensor, "2 point"], color: str) -> None:
    """Draw vectors as spokes from the origin, the longest of very many, and the unit circle if they reach so far."""
    tips = vectors[:, longest(vectors, MAX_SPOKES)].T.numpy()
    reach = MARGIN * max(1e-9, float(np.hypot(*tips.T).max(initial=0)))
    if reach >= MARGIN * NEAR_CIRCLE:
        axes.add_patch(Circle((0, 0), 1, fill=False, color=FAINT, linewidth=0.8))
    reach = max(reach, MARGIN) if reach >= MARGIN * NEAR_CIRCLE else reach
    axes.add_collection(
        LineCollection([((0, 0), tip) for tip in tips], colors=color, linewidths=0.7, alpha=0.7, rasterized=True)
    )
    axes.plot(*tips.T, ".", color=color, markersize=2.5, rasterized=True)  # hundreds of points: pixels are smaller
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@styled
def regimes_figure(regimes: Sequence[Regime], title: str = "") -> Figure:
    """Dimensionalities, losses, and the best instance's stars, a column for each number of examples.

    Stars are drawn in the plane: of other than two hidden dimensions there are none.
    """
    has_stars = regimes[0].W.shape[1] == 2
    n_columns = len(regimes)
    width = COLUMN_INCHES * max(n_columns, MIN_COLUMNS) + 1.1
    star = (width - 1.1) / n_columns
    heights = [*CHART_INCHES, *([star] * 2 if has_stars else [])]
    height = sum(heights) + 1.8
    figure = Figure(figsize=(width, height), dpi=100)
    charts = figure.add_gridspec(
        2,
        1,
        height_ratios=CHART_INCHES,
        hspace=0.34,
        left=0.95 / width,
        right=1 - 0.15 / width,
        top=1 - 0.65 / height,
        bottom=(sum(heights[2:]) + 0.7) / height,
    )
    above = figure.add_subplot(charts[0])
    below = figure.add_subplot(charts[1], sharex=above)
    draw_dimensionalities(above, regimes)
    draw_losses(below, regimes)
    labels = [regime.label for regime in regimes]
    for axes in (above, below):
        axes.grid(axis="y", color=FAINT)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(xticks=range(n_columns), xticklabels=labels, xlim=(-0.5, n_columns - 0.5))
    below.set_xlabel("T, examples in the training set")
    for row, (name, color) in enumerate((("features", OF_FEATURES), ("examples", OF_EXAMPLES)) if has_stars else ()):
        for column, regime in enumerate(regimes):
            place = (0.95 / width + column * star / width, (1 - row) * star / height, star / width, star / height)
            axes = figure.add_axes(place)
            draw_star(axes, (regime.W if name == "features" else regime.hidden_vectors)[regime.best], color)
            if column == 0:
                axes.set_ylabel(name, color=color)
    if has_stars:
        scale = "stars are drawn each to its own scale; circles have a radius of 1"
        figure.text(0.95 / width, (2 * star + 0.04) / height, scale, fontsize=7.5)
    if title:
        figure.suptitle(title, fontsize=11, y=1 - 0.12 / figure.get_figheight())
    return figure
