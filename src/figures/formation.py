"""An animated SVG of polygons forming, from a run's recorded weights."""

import math
from collections.abc import Sequence
from html import escape

from jaxtyping import Float
from torch import Tensor

from src.figures.columns import LABEL_DISTANCE, MARGIN, N_NUMBERED, USUAL_LENGTH, drawable, stub_sides
from src.figures.elements import INK
from src.figures.palette import feature_color
from src.geometry.polygons import find_polygons, longest

PANEL, TITLE, AXIS = 220, 46, 34  # pixels: a panel's side, the room above and below
SECONDS, HOLD = 8, 0.25  # a turn of the animation, and the part of it in which the last frame stays
MAX_SPOKES = 64  # of a polygon, the longest


def formation_svg(W: Float[Tensor, "record instance 2 feature"], steps: Sequence[int], names: Sequence[str]) -> str:
    """Every instance's columns as they move from record to record, side by side on one scale, over and over.

    The records follow each other evenly: where they are dense, early, the animation is slow. The corners that are
    joined are the columns that end as learned, in the order in which they end.
    """
    W = drawable(W)
    polygons = find_polygons(W[-1])
    scale = PANEL / 2 / (MARGIN * max(USUAL_LENGTH, float(W.norm(dim=2).max())))
    width, height = PANEL * len(names), TITLE + PANEL + AXIS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="DejaVu Sans, Verdana, sans-serif" text-anchor="middle" fill="{INK}">',
        f"<title>{escape('; '.join(names))}: the columns of W from step {steps[0]:,} to step {steps[-1]:,}</title>",
    ]
    for i, name in enumerate(names):
        x, y = PANEL * (i + 0.5), TITLE + PANEL / 2
        parts.append(f'<text x="{x}" y="18" font-size="13">{escape(name)}</text>')
        parts.append(f'<text x="{x}" y="36" font-size="12">{polygons.names[i]}</text>')
        parts.append(f'<circle cx="{x}" cy="{y}" r="{scale:.1f}" fill="none" stroke="{INK}" stroke-opacity="0.35"/>')
        parts.append(f'<text x="{x}" y="{y + scale + 11:.1f}" font-size="8">length 1</text>')
        parts += _panel(W[:, i] * scale, polygons.learned[i], x, y)
    parts += _time_axis(steps, width, TITLE + PANEL + 8)
    return "\n".join([*parts, "</svg>\n"])


def _panel(W: Float[Tensor, "record 2 feature"], learned: Tensor, x: float, y: float) -> list[str]:
    """One instance's outline, spokes, tips and numbers, around (x, y) in pixels."""
    parts = []
    end = W[-1]
    corners = [k for k in (-end[1]).atan2(end[0]).argsort().tolist() if learned[k]]
    tips = [[(x + u, y - v) for u, v in frame.T.tolist()] for frame in W]
    if corners:
        outlines = [" ".join(f"{frame[k][0]:.1f},{frame[k][1]:.1f}" for k in corners) for frame in tips]
        animation = _animate("points", outlines)
        parts.append(
            f'<polygon points="{outlines[-1]}" fill="none" stroke="{INK}" stroke-opacity="0.6">{animation}</polygon>'
        )
    sides = stub_sides(learned).tolist()
    beyond = LABEL_DISTANCE * PANEL / 2 / MARGIN
    for k in longest(end, MAX_SPOKES).tolist():
        color, stroke = feature_color(k), 2.4 if learned[k] else 1.4
        at = {axis: [f"{frame[k][j]:.1f}" for frame in tips] for j, axis in enumerate(("x", "y"))}
        moves = _animate("x2", at["x"]) + _animate("y2", at["y"])
        line = f'x1="{x}" y1="{y}" x2="{at["x"][-1]}" y2="{at["y"][-1]}" stroke="{color}" stroke-width="{stroke}"'
        parts.append(f"<line {line}>{moves}</line>")
        moves = _animate("cx", at["x"]) + _animate("cy", at["y"])
        parts.append(
            f'<circle cx="{at["x"][-1]}" cy="{at["y"][-1]}" r="{1.5 * stroke}" fill="{color}">{moves}</circle>'
        )
        if W.shape[2] <= N_NUMBERED:
            places = []
            for frame in W[:, :, k].tolist():
                length = max(math.hypot(*frame), 1e-9)
                u, v = (beyond * part / length for part in frame)
                u, v = (u, v) if learned[k] else (-sides[k] * v, sides[k] * u)
                places.append((f"{x + frame[0] + u:.1f}", f"{y - frame[1] - v + 4:.1f}"))
            moves = _animate("x", [place[0] for place in places]) + _animate("y", [place[1] for place in places])
            text = f'x="{places[-1][0]}" y="{places[-1][1]}" font-size="11" fill="{color}"'
            parts.append(f"<text {text}>{k}{moves}</text>")
    return parts


def _time_axis(steps: Sequence[int], width: int, y: int) -> list[str]:
    """A line with the step of each quarter of the records, and a dot that runs along it."""
    left, right = 24.0, width - 24.0
    places = [left + (right - left) * k / max(1, len(steps) - 1) for k in range(len(steps))]
    marked = sorted({round(share * (len(steps) - 1)) for share in (0, 0.25, 0.5, 0.75, 1)})
    dot = _animate("cx", [f"{place:.1f}" for place in places])
    return [
        f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}" stroke="{INK}" stroke-opacity="0.5"/>',
        *(f'<text x="{places[k]:.1f}" y="{y + 18}" font-size="10">{steps[k]:,}</text>' for k in marked),
        f'<circle cx="{right}" cy="{y}" r="4" fill="{INK}">{dot}</circle>',
    ]


def _animate(attribute: str, values: Sequence[str]) -> str:
    """The attribute's course, one value a record, and the last one held."""
    times = [f"{(1 - HOLD) * k / max(1, len(values) - 1):.4f}" for k in range(len(values))]
    course, when = ";".join([*values, values[-1]]), ";".join([*times, "1"])
    timing = f'dur="{SECONDS}s" repeatCount="indefinite"'
    return f'<animate attributeName="{attribute}" values="{course}" keyTimes="{when}" {timing}/>'
