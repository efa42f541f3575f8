"""The columns of a W with one hidden dimension: numbers on a line."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import CircleCollection, LineCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Transform
from torch import Tensor

from src.figures.columns import LABEL_INCHES, MARGIN, MAX_SPOKES, N_NUMBERED, draw_numbers, widths_of
from src.figures.elements import INK
from src.figures.palette import feature_color
from src.geometry.polygons import Polygons, longest

LOWERED = 0.3  # the line lies below the middle by this share of the half panel
TALLEST = 1.15  # the marks are stacked up to here, in half panels above the line
WIDTH, HEIGHT = 0.32, 0.19  # of a mark and its number, in inches
NARROW, LOW = 0.14, 0.13  # of a mark alone
STROKE = 0.55  # of a row: the strokes on the line end below the numbers
TICK = 0.06  # inches


def draw_number_line(
    on: Axes | Figure,
    W: Float[Tensor, "1 feature"],
    polygons: Polygons,
    instance: int,
    transform: Transform,
    center: tuple[float, float],
    unit: float,
    half: float,
) -> None:
    """Draw one instance's columns as strokes on a line, and above each a mark with its number, stacked where close.

    Of very many columns the longest are drawn.

    Args:
        transform: from inches to pixels.
        center: of the panel; the line's 0 lies below it.
        unit: how long a unit vector is, in inches.
        half: how far the line reaches to each side, in inches.
    """
    shown = longest(W, MAX_SPOKES)
    values, learned = W[0, shown].double().numpy(), polygons.learned[instance][shown]
    zero = np.array([center[0], center[1] - LOWERED * half * MARGIN])
    _draw_axis(on, transform, zero, half, unit)
    is_numbered = len(values) <= N_NUMBERED
    width, height = (WIDTH, HEIGHT) if is_numbered else (NARROW, LOW)
    rows = stacked(unit * values, width)
    height = min(height, TALLEST * half / (1 + max(rows, default=0)))
    tips = zero + np.stack([unit * values, height * (1 + np.array(rows))], axis=1)
    colors, widths = [feature_color(i) for i in shown.tolist()], np.array(widths_of(learned))
    strokes = [[(x, zero[1]), (x, zero[1] + STROKE * height)] for x in tips[:, 0].tolist()]
    on.add_artist(LineCollection(strokes, colors=colors, linewidths=widths, transform=transform))
    sizes = 8 * widths**2
    on.add_artist(CircleCollection(sizes, offsets=tips, offset_transform=transform, facecolors=colors, zorder=3))
    if is_numbered:
        draw_numbers(on, list(range(len(tips))), tips + np.array([LABEL_INCHES, 0]), colors, transform, zorder=4.0)


def stacked(places: Float[np.ndarray, " mark"], width: float) -> list[int]:
    """The row of each mark, from 0 at the line: the lowest in which no longer column is nearer than `width`."""
    rows: list[list[float]] = []
    found = [0] * len(places)
    for i in np.argsort(-np.abs(places), kind="stable").tolist():
        free = (k for k, row in enumerate(rows) if all(abs(places[i] - other) >= width for other in row))
        found[i] = next(free, len(rows))
        if found[i] == len(rows):
            rows.append([])
        rows[found[i]].append(float(places[i]))
    return found


def _draw_axis(on: Axes | Figure, transform: Transform, zero: Float[np.ndarray, "2"], half: float, unit: float) -> None:
    """The line, and its ticks at -1, 0 and 1 with their numbers."""
    ticks = [(-1, "\N{MINUS SIGN}1"), (0, "0"), (1, "1")] if unit > 4 * TICK else [(0, "0")]
    x, y = zero.tolist()
    lines = [
        [(x - half, y), (x + half, y)],
        *([(x + unit * tick, y - TICK), (x + unit * tick, y)] for tick, _ in ticks),
    ]
    on.add_artist(LineCollection(lines, colors=[INK], linewidths=1, transform=transform))
    for tick, label in ticks:
        on.text(x + unit * tick, y - TICK - 0.04, label, fontsize=8, ha="center", va="top", transform=transform)
