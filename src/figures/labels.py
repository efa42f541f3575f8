"""Where numbers stand beside points of which some lie close together."""

import math

import numpy as np
from jaxtyping import Float

ASIDE = [math.radians(turn) for turn in (0, 25, -25, 50, -50, 75, -75, 105, -105, 140, -140, 180)]
PREFERENCE = 0.12  # the opposite of the wanted direction must be clearer by this share of the distance, and so on
NEAREST_LINE = 0.6  # a line may come so many times nearer than a point


def clear_places(
    points: Float[np.ndarray, "point 2"],
    wanted: Float[np.ndarray, " point"],
    away: float,
    lines: Float[np.ndarray, "line 2 2"],
) -> Float[np.ndarray, "point 2"]:
    """For each point, the first ones first, a place at this distance that is clear of what else is there.

    Args:
        wanted: the angle at which the place is if it is clear there.
        lines: what should not run through a place, from end to end.
    """
    places: list[Float[np.ndarray, 2]] = []
    for point, angle in zip(points, wanted, strict=True):
        angles = angle + np.array(ASIDE)
        tried = point + away * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        others = points[np.abs(points - point).sum(axis=1) > 0]
        to_points = _distances(tried, np.concatenate([others, *(place[None] for place in places)]))
        room = np.minimum(to_points, _line_distances(tried, lines) / NEAREST_LINE)
        cost = PREFERENCE * away * np.abs(ASIDE) / math.pi
        places.append(tried[int(np.argmax(np.minimum(room, away) - cost))])
    return np.array(places).reshape(-1, 2)


def _distances(
    tried: Float[np.ndarray, "trial 2"], points: Float[np.ndarray, "point 2"]
) -> Float[np.ndarray, " trial"]:
    """How far each trial is from the nearest point."""
    if len(points) == 0:
        return np.full(len(tried), math.inf)
    return np.asarray(np.linalg.norm(tried[:, None] - points, axis=2).min(axis=1))


def _line_distances(
    tried: Float[np.ndarray, "trial 2"], lines: Float[np.ndarray, "line 2 2"]
) -> Float[np.ndarray, " trial"]:
    """How far each trial is from the nearest line."""
    if len(lines) == 0:
        return np.full(len(tried), math.inf)
    start, along = lines[:, 0], lines[:, 1] - lines[:, 0]
    part = ((tried[:, None] - start) * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-12)
    foot = start + part.clip(0, 1)[..., None] * along
    return np.asarray(np.linalg.norm(tried[:, None] - foot, axis=2).min(axis=1))
