"""Polygons, drawn from the columns of W."""

import math
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import CircleCollection, LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patches import Polygon as PathPolygon
from matplotlib.transforms import Transform
from torch import Tensor

from src.figures.columns import (
    LABEL_DISTANCE,
    LABEL_INCHES,
    MARGIN,
    MAX_SPOKES,
    N_NUMBERED,
    USUAL_LENGTH,
    draw_numbers,
    drawable,
    stub_sides,
    widths_of,
)
from src.figures.elements import FAINT, INK, styled
from src.figures.gram import MOST, draw_gram, gram_limit
from src.figures.number_line import draw_number_line
from src.figures.palette import feature_color
from src.figures.solids import draw_solid, learned_of, tips_on_page
from src.figures.views import clearest_view, turned
from src.geometry.polygons import Polygons, find_polygons, longest
from src.results.rates import counted

PANEL_INCHES = 3.2  # a panel's width, and the height of its polygon
PANEL_HEIGHT = 4.0  # with title and caption
CHARACTERS = 30  # of a title's line
LEAST_LABELLED_UNIT = 0.4  # inches of a unit vector from which its circle has room for a label
SIDE_INCHES = 2.2  # for the text of a single panel, so that every picture is wider than high
IN_ONE_ROW = 4  # more panels than this are arranged in rows, and so many times
WIDER = 1.5  # as wide as a square of them
IN_THE_PLANE, IN_SPACE = 2, 3  # hidden dimensions
GRAM_SIDE, GRAM_LEFT = 1.75, 0.32  # inches: of a Gram matrix in a panel, and the room for its numbers


def draw_polygon(
    on: Axes | Figure,
    W: Float[Tensor, "2 feature"],
    polygons: Polygons,
    instance: int,
    transform: Transform,
    center: tuple[float, float] = (0, 0),
    scale: float = 1,
    away: float = LABEL_DISTANCE,
) -> None:
    """Draw one instance's columns as spokes, its learned ones joined in angular order, over the unit circle.

    Of very many columns the longest are drawn.

    Args:
        transform: from the coordinates drawn in to pixels, such as `axes.transData`.
        center, scale: where the origin is drawn, and how long a unit vector.
        away: how far from a column's tip its number is.
    """
    W = scale * W
    shown = longest(W, MAX_SPOKES)
    W, learned = W[:, shown], polygons.learned[instance][shown]
    tips = W.T.numpy() + center
    colors = [feature_color(i) for i in shown.tolist()]
    widths = widths_of(learned)
    corners = [i for i in torch.atan2(W[1], W[0]).argsort().tolist() if learned[i]]
    on.add_artist(Circle(center, scale, fill=False, color=FAINT, linewidth=1, transform=transform))
    if corners:
        on.add_artist(PathPolygon(tips[corners], fill=False, color=INK, alpha=0.6, linewidth=1, transform=transform))
    spokes = [(center, tip) for tip in tips]
    on.add_artist(LineCollection(spokes, colors=colors, linewidths=widths, transform=transform))
    sizes = [8 * width**2 for width in widths]
    on.add_artist(CircleCollection(sizes, offsets=tips, offset_transform=transform, facecolors=colors, zorder=3))
    if len(tips) <= N_NUMBERED:
        beyond = away * W.numpy() / np.hypot(*W.numpy()).clip(1e-9)
        side = stub_sides(learned).numpy()  # a stub may lie on a learned column, and on another stub
        aside = np.where(learned.numpy(), beyond, [-side * beyond[1], side * beyond[0]])
        draw_numbers(on, list(range(len(tips))), tips + aside.T, colors, transform)


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


@styled
def polygon_figure(
    W: Float[Tensor, "instance hidden feature"],
    names: Sequence[str],
    step: int,
    of_examples: bool = False,
    n_columns: int | None = None,
    turn: float | None = None,
) -> Figure:
    """One panel an instance, side by side in landscape: its name, its polygon and how many features it learned.

    With one hidden dimension a line takes the polygon's place, with three a solid in perspective, and with more the
    Gram matrix. All panels have one scale, and so have the pictures of a run as long as no column is longer than 1.2.

    Args:
        n_columns: panels in a row; by default up to four, and of more so many that the picture is wider than high.
        of_examples: W are not columns but examples' hidden vectors, and the caption says how many of them stand apart.
        turn: solids are seen upright in the third hidden coordinate and turned about it by so many degrees; by default
            each from where it is clearest.

    Everything is placed in inches, without axes, each of which would take as long as all that is drawn in it.
    """
    W = drawable(W)
    polygons = find_polygons(W)
    n_instances, n_hidden, n_features = W.shape
    draw = _drawing_of(W, polygons, turn)
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
        draw(figure, i, (x, y))
        n_learned, norm = int(polygons.learned[i].sum()), float(W[i].norm())
        title = "\n".join(textwrap.fill(line, CHARACTERS) for line in (names[i], polygons.names[i]))
        of_features = f"{n_learned} of {n_features} learned, norm {norm:.2f}"
        of_them = f"{counted(n_learned, 'direction')} of {counted(n_features, 'example')}"
        caption = of_them if of_examples else of_features
        if n_hidden > IN_SPACE:
            caption += f"\nm = {n_hidden}: Gram matrix" + (f" of the {MOST:,} longest" if n_features > MOST else "")
        if beside:
            text = "\n\n".join([f"step {step:,}", title, caption.replace(", ", "\n")])
            figure.text(x + PANEL_INCHES / 2, y, text, fontsize=11, va="center", transform=inches)
            return figure
        figure.text(x, y + PANEL_INCHES / 2, title, fontsize=11, ha="center", va="bottom", transform=inches)
        figure.text(x, y - PANEL_INCHES / 2, caption, fontsize=10, ha="center", va="top", transform=inches)
    figure.suptitle(f"step {step:,}", fontsize=10, y=1 - 0.08 / figure.get_figheight())
    return figure


def _drawing_of(
    W: Float[Tensor, "instance hidden feature"], polygons: Polygons, turn: float | None
) -> Callable[[Figure, int, tuple[float, float]], None]:
    """What draws an instance about a point of the figure, in inches: a line, polygon, solid or Gram matrix."""
    reach = max(USUAL_LENGTH, float(W.norm(dim=1).max()))
    unit = PANEL_INCHES / 2 / MARGIN / reach
    limit, n_hidden = gram_limit(W), W.shape[1]
    view = None if turn is None else turned(turn)

    def draw(figure: Figure, i: int, center: tuple[float, float]) -> None:
        inches = figure.dpi_scale_trans
        if n_hidden == 1:
            draw_number_line(figure, W[i], polygons, i, inches, center, unit, unit * reach)
        elif n_hidden == IN_THE_PLANE:
            draw_polygon(figure, W[i], polygons, i, inches, center, unit, LABEL_INCHES)
            _label_circle(figure, W[i], center, unit, inches)
        elif n_hidden == IN_SPACE:
            own = clearest_view(learned_of(W[i], polygons, i)) if view is None else view
            draw_solid(figure, W[i], polygons, i, inches, center, unit, LABEL_INCHES, own)
            tips, outline = tips_on_page(W[i], own)
            _label_circle(figure, tips, center, unit * outline, inches)
        else:
            corner = (center[0] - PANEL_INCHES / 2 + GRAM_LEFT, center[1] + GRAM_SIDE / 2)
            draw_gram(figure, W[i], inches, corner, GRAM_SIDE, limit, reach)

    return draw
