"""One Gram panel an instance, with what its colours mean."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.transforms import Transform
from torch import Tensor

from src.figures.columns import USUAL_LENGTH, drawable
from src.figures.elements import styled
from src.figures.gram import (
    BARS,
    BEYOND,
    GAP,
    MOST,
    PRODUCTS,
    SUPERPOSITION,
    draw_colors,
    draw_gram,
    gram_limit,
    has_shares,
)
from src.geometry.polygons import find_polygons

SIDE, LEFT, TOP, BELOW, RIGHT = 2.5, 0.42, 0.78, 0.32, 0.40  # inches: a map, and what is around it
LEGEND = 0.95  # inches, below all panels
IN_ONE_ROW = 2  # more panels than this are arranged in rows of 2, and more than 4 in rows of 4
CHARACTERS = 48  # of a line of a title
BAR = (1.3, 0.11)  # inches of a colour bar


@styled
def gram_figure(W: Float[Tensor, "instance hidden feature"], names: Sequence[str], step: int) -> Figure:
    """W^T W of each instance, and of each feature its length, superposition and dimensionality; see `draw_gram`.

    All panels have one scale of colours and lengths.
    """
    W = drawable(W)
    polygons = find_polygons(W)
    limit, reach = gram_limit(W), max(USUAL_LENGTH, float(W.norm(dim=1).max()))
    n_instances, n_hidden, n_features = W.shape
    n_columns = n_instances if n_instances <= IN_ONE_ROW else 2 if n_instances <= 2 * IN_ONE_ROW else 4
    n_rows = math.ceil(n_instances / n_columns)
    width, height = LEFT + SIDE * (1 + GAP + BARS + BEYOND) + RIGHT, TOP + SIDE + BELOW
    figure = Figure(figsize=(max(width * n_columns, 5.6), height * n_rows + LEGEND + 0.2), dpi=100)
    inches = figure.dpi_scale_trans
    margin = (figure.get_figwidth() - width * n_columns) / 2
    for i in range(n_instances):
        row, column = divmod(i, n_columns)
        left, top = margin + width * column + LEFT, LEGEND + height * (n_rows - row) - TOP
        draw_gram(figure, W[i], inches, (left, top), SIDE, limit, reach)
        title = "\n".join(textwrap.shorten(line, CHARACTERS) for line in (names[i], polygons.names[i]))
        figure.text(left, top + 0.24, title, fontsize=11, va="bottom", transform=inches)
        caption = f"{int(polygons.learned[i].sum()):,} of {n_features:,} learned, m = {n_hidden}"
        caption += f"; the {MOST:,} longest" if n_features > MOST else ""
        figure.text(left, top - SIDE - 0.06, caption, fontsize=9, va="top", transform=inches)
    figure.suptitle(f"step {step:,}", fontsize=10, y=1 - 0.08 / figure.get_figheight())
    _draw_legend(figure, inches, figure.get_figwidth() / 2, limit, has_shares(SIDE, n_features))
    return figure


def _draw_legend(figure: Figure, inches: Transform, middle: float, limit: float, shares: bool) -> None:
    """A bar for each scale of colours, side by side about the middle, and a line of what else is drawn."""
    edge = f"{limit:.3g}"
    scales = (
        (middle - 1.9, PRODUCTS, (f"\N{MINUS SIGN}{edge}", "0", edge), "map: W\u1d40W"),
        (middle + 0.5, SUPERPOSITION, ("0", "", "1 or more"), "bar: superposition"),
    )
    ramp = np.linspace(0, 1, 128)[None]
    for left, colors, labels, title in scales:
        draw_colors(figure, ramp, colors, inches, (left, 0.46), BAR, (0.0, 1.0))
        figure.text(left, 0.46 + BAR[1] + 0.05, title, fontsize=8.5, va="bottom", transform=inches)
        for share, label in zip((0, 0.5, 1), labels, strict=True):
            figure.text(left + share * BAR[0], 0.41, label, fontsize=7.5, ha="center", va="top", transform=inches)
    line = "a bar is as long as the feature's column; the grey line is 1"
    line += "; the number is its dimensionality" if shares else ""
    figure.text(middle, 0.08, line, fontsize=7.5, ha="center", va="bottom", transform=inches)
