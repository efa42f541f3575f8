"""Solids, drawn in perspective from the columns of a W with three hidden dimensions."""

import math

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import CircleCollection, LineCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.transforms import Transform
from torch import Tensor

from src.figures.columns import (
    LABEL_DISTANCE,
    MAX_SPOKES,
    N_NUMBERED,
    USUAL_LENGTH,
    draw_numbers,
    stub_sides,
    widths_of,
)
from src.figures.elements import FAINT, INK
from src.figures.hulls import hull_of
from src.figures.labels import clear_places
from src.figures.palette import feature_color
from src.figures.views import DISTANCE, TILT, clearest_view, project
from src.geometry.polygons import Polygons, longest

LIGHT = np.array([-0.35, 0.75, 0.56])  # where it comes from: the left, above, and the reader
DARKEST, LIGHTEST = 0.20, 0.05  # how opaque a face is that is turned away from the light, and towards it
FARTHEST_ALPHA = 0.45  # how opaque the farthest column is; the nearest is wholly
LEAST_NUMBER_ALPHA = 0.9  # a number has to be read
GROWTH = 0.3  # a tip at the nearest point is larger, and at the farthest smaller, by this share
HIDDEN = (0, (3.0, 2.5))  # the dashes of an edge behind faces
SPHERES, EDGES_BEHIND, SPOKES, TIPS_BEHIND, FACES, EDGES, TIPS, NUMBERS = 1.0, 1.5, 2.0, 2.2, 2.4, 2.6, 3.0, 4.0


def draw_solid(
    on: Axes | Figure,
    W: Float[Tensor, "3 feature"],
    polygons: Polygons,
    instance: int,
    transform: Transform,
    center: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    away: float = LABEL_DISTANCE,
    view: Float[np.ndarray, "3 3"] | None = None,
) -> None:
    """Draw one instance's columns as spokes in perspective, with the hull of its learned ones, in the unit sphere.

    What is nearer is larger, darker and drawn later; edges behind faces are dashed. Of very many columns the longest
    are drawn.

    Args:
        transform: from the coordinates drawn in to pixels, such as `axes.transData`.
        center, scale: where the origin is drawn, and how long a unit vector.
        away: how far from a column's tip its number is.
        view: `views.turned` or another rotation; by default the clearest view of this instance.
    """
    shown = longest(W, MAX_SPOKES)
    points, learned = W[:, shown].T.double().numpy(), polygons.learned[instance][shown]
    view = clearest_view(points[learned.numpy()]) if view is None else view
    distance = eye_distance(points)
    flat, near = project(points, view, distance)
    tips = scale * flat + center
    near = near / max(1.0, float(np.abs(near).max(initial=0)))  # -1 to 1
    colors = [
        to_rgba(feature_color(i), FARTHEST_ALPHA + (1 - FARTHEST_ALPHA) * (1 + z) / 2)
        for i, z in zip(shown.tolist(), near.tolist(), strict=True)
    ]
    widths = np.array(widths_of(learned))
    _draw_sphere(on, distance, transform, center, scale)
    corners = np.flatnonzero(learned.numpy())
    behind, edges = _draw_hull(on, points[corners] @ view.T, tips[corners], distance, transform)
    hidden = {int(corners[k]) for k in behind}
    order = np.argsort(near, kind="stable")
    spokes = np.stack([np.broadcast_to(center, tips.shape), tips], axis=1)
    lines = LineCollection(list(spokes[order]), colors=[colors[i] for i in order], linewidths=widths[order])
    lines.set(transform=transform, zorder=SPOKES)
    on.add_artist(lines)
    sizes = 8 * (widths * (1 + GROWTH * near)) ** 2
    for zorder, own in (
        (TIPS_BEHIND, [i for i in order if i in hidden]),
        (TIPS, [i for i in order if i not in hidden]),
    ):
        on.add_artist(
            CircleCollection(
                sizes[own],
                offsets=tips[own],
                offset_transform=transform,
                facecolors=[colors[i] for i in own],
                zorder=zorder,
            )
        )
    if len(tips) <= N_NUMBERED:
        outwards = np.arctan2(flat[:, 1] + 1e-9, flat[:, 0])  # of a column towards the reader, upwards
        aside = np.where(learned.numpy(), 0, stub_sides(learned).numpy() * math.pi / 2)
        first = order[::-1]
        places = np.empty_like(tips)
        places[first] = clear_places(tips[first], (outwards + aside)[first], away, np.concatenate([spokes, edges]))
        inks = [(*color[:3], max(color[3], LEAST_NUMBER_ALPHA)) for color in colors]
        draw_numbers(on, list(range(len(tips))), places, inks, transform, NUMBERS)


def learned_of(W: Float[Tensor, "3 feature"], polygons: Polygons, instance: int) -> Float[np.ndarray, "point 3"]:
    """The learned columns of one instance as points, of which `views.clearest_view` is taken."""
    return np.asarray(W[:, polygons.learned[instance]].T.double().numpy())


def tips_on_page(
    W: Float[Tensor, "3 feature"], view: Float[np.ndarray, "3 3"]
) -> tuple[Float[Tensor, "2 feature"], float]:
    """Where `draw_solid` draws the tips about the origin, and its unit sphere's radius, for a unit vector of length 1.

    The tips are as shares of that radius.
    """
    points = W.T.double().numpy()
    distance = eye_distance(points)
    radius = outline_radius(distance)
    return torch.from_numpy(project(points, view, distance)[0].T / radius).float(), radius


def outline_radius(distance: float) -> float:
    """Of the unit sphere on the page, seen from so far: a little more than 1."""
    return distance / math.sqrt(distance**2 - 1)


def eye_distance(points: Float[np.ndarray, "point 3"]) -> float:
    """How far from the origin the eye is."""
    return DISTANCE * max(USUAL_LENGTH, float(np.linalg.norm(points, axis=1).max(initial=0)))


def _draw_sphere(
    on: Axes | Figure, distance: float, transform: Transform, center: tuple[float, float], scale: float
) -> None:
    """The unit sphere's outline and its equator, the far half of it dashed."""
    outline = scale * outline_radius(distance)
    on.add_artist(Circle(center, outline, fill=False, color=FAINT, linewidth=1, transform=transform, zorder=SPHERES))
    angles = np.linspace(0, math.pi, 49)
    for side, style in ((1, "-"), (-1, HIDDEN)):
        x, y, z = np.cos(angles), -side * np.sin(angles) * math.sin(TILT), side * np.sin(angles) * math.cos(TILT)
        half = scale * np.stack([x, y], axis=1) * (distance / (distance - z))[:, None] + center
        line = LineCollection([half], colors=[FAINT], linewidths=0.8, linestyles=[style], transform=transform)
        line.set_zorder(SPHERES)
        on.add_artist(line)


def _draw_hull(
    on: Axes | Figure,
    points: Float[np.ndarray, "corner 3"],
    tips: Float[np.ndarray, "corner 2"],
    distance: float,
    transform: Transform,
) -> tuple[set[int], Float[np.ndarray, "edge 2 2"]]:
    """Faces that are seen, shaded, and all edges.

    Args:
        points: the corners as the reader sees them, in a view's coordinates.
        tips: where they are on the page.

    Returns:
        The corners that lie behind faces, and the edges on the page.
    """
    hull = hull_of(points)
    faces_seen = hull.faces_seen(points, np.array([0, 0, distance]))
    edges_seen = hull.edges_seen(faces_seen)
    seen = [k for k, is_seen in enumerate(faces_seen) if is_seen]
    shades = [DARKEST + (LIGHTEST - DARKEST) * (1 + float(hull.normals[k] @ LIGHT)) / 2 for k in seen]
    faces = PolyCollection([tips[hull.faces[k]] for k in seen], facecolors=[to_rgba(INK, own) for own in shades])
    faces.set(transform=transform, zorder=FACES, linewidth=0)
    on.add_artist(faces)
    for is_seen in (False, True):
        own = [edge for edge, seen_too in zip(hull.edges, edges_seen, strict=True) if seen_too == is_seen]
        lines = LineCollection([tips[list(edge)] for edge in own], colors=[to_rgba(INK, 0.9 if is_seen else 0.5)])
        lines.set(linewidth=1.3 if is_seen else 0.9, linestyle="-" if is_seen else HIDDEN)
        lines.set(transform=transform, zorder=EDGES if is_seen else EDGES_BEHIND, capstyle="round")
        on.add_artist(lines)
    edges = np.array([tips[list(edge)] for edge in hull.edges]).reshape(-1, 2, 2)
    return hull.corners_hidden(faces_seen) if hull.is_solid else set(), edges
