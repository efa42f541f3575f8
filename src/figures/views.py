"""From where a solid is looked at, and how it is projected onto the page.

In a view's coordinates x points to the right, y upwards and z to the reader.
"""

import math

import numpy as np
from jaxtyping import Float

TILT = math.radians(20)  # the eye is so far above the horizontal plane
DISTANCE = 5.0  # of the eye from the origin, in lengths of the longest column
N_TURNS = 72  # ways round that are tried for a clear view
SIMILAR = 0.35  # a solid turned onto itself within this, where its longest column is 1, has that symmetry
MOST_FOLD, WORTH = 8, 0.03  # each further fold of an axis makes up for so much less exactness
ALIKE = 0.1  # axes of the same symmetry are as good as each other within this
MOST_AXES = 12  # points of which the symmetry is looked for
CLEAR = 0.35  # points this far apart on the page, where the longest column is 1, are far enough

_LYING = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # the third coordinate upwards, from the first


def turned(degrees: float) -> Float[np.ndarray, "3 3"]:
    """The view in which the third hidden coordinate points upwards, turned about it by so many degrees."""
    return _tilted(_LYING, math.radians(degrees))


def clearest_view(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "3 3"]:
    """The view of a solid as it is usually drawn: upright on its axis of highest symmetry, no corner behind another."""
    lengths = np.linalg.norm(points, axis=1)
    if len(points) == 0 or lengths.max() == 0:
        return turned(0.0)
    points = points / lengths.max()
    upright = _upright(_axis(points))
    views = np.stack([_tilted(upright, 2 * math.pi * k / N_TURNS) for k in range(N_TURNS)])
    if len(points) == 1 or len(points) > MOST_AXES:
        return np.asarray(views[0])
    flat = np.array([*points, [0.0, 0.0, 0.0]]) @ views[:, :2].transpose(0, 2, 1)  # [view, corner, 2]
    closest = _distances(flat).min(axis=1)
    sideways = _distances(flat[:, :-1, :1]).sum(axis=1)  # a view from the front of a symmetric solid looks flat
    clear = 2 * len(points) * closest + sideways
    return np.asarray(views[int(np.round(clear, 6).argmax())])


def project(
    points: Float[np.ndarray, "point 3"], view: Float[np.ndarray, "3 3"], distance: float
) -> tuple[Float[np.ndarray, "point 2"], Float[np.ndarray, " point"]]:
    """Where points are on the page, nearer ones larger, and how near they are to the reader: their z."""
    seen = points @ view.T
    return seen[:, :2] * (distance / (distance - seen[:, 2:])), seen[:, 2]


def _distances(flat: Float[np.ndarray, "view point axis"]) -> Float[np.ndarray, "view pair"]:
    """How far apart points are on the page, each two of them; `CLEAR` is far enough."""
    first, second = np.triu_indices(flat.shape[1], 1)
    return np.asarray(np.linalg.norm(flat[:, first] - flat[:, second], axis=-1).clip(max=CLEAR))


def _tilted(upright: Float[np.ndarray, "3 3"], turn: float) -> Float[np.ndarray, "3 3"]:
    c, s = math.cos(turn), math.sin(turn)
    up, down = math.cos(TILT), math.sin(TILT)
    about = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.asarray(np.array([[1, 0, 0], [0, up, -down], [0, down, up]]) @ about @ upright)


def _upright(axis: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """A rotation that takes the axis upwards."""
    right = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    right /= np.linalg.norm(right)
    return np.stack([right, axis, np.cross(right, axis)])


def _axis(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "3"]:
    """The axis about which a turn by the smallest part of a circle takes the points onto themselves.

    Without any symmetry it is the longest column.
    """
    lengths = np.linalg.norm(points, axis=1)
    longest = np.asarray(points[lengths.argmax()] / lengths.max())
    if not 2 < len(points) <= MOST_AXES:
        return longest
    i, j, k = (index.ravel() for index in np.indices((len(points),) * 3))
    ordered = (i < j) & (j < k)
    across = np.cross(points[j] - points[i], points[k] - points[i])[ordered]
    across *= np.where((across * points[i[ordered]]).sum(axis=1, keepdims=True) < 0, -1, 1)  # away from the origin
    axes = np.concatenate([points, across])
    sizes = np.linalg.norm(axes, axis=1)
    axes = axes[sizes > 1e-3] / sizes[sizes > 1e-3, None]
    axes = axes[np.unique(np.round(axes, 2), axis=0, return_index=True)[1]]
    folds = range(2, min(len(points), MOST_FOLD) + 1)
    gaps = np.stack([_gaps(points, axes, 2 * math.pi / n_fold) for n_fold in folds])  # [fold, axis]
    cost = gaps - WORTH * np.array(folds)[:, None]
    fold, best = np.unravel_index(cost.argmin(), cost.shape)
    if gaps[fold, best] < SIMILAR:
        alike = axes[gaps[fold] < gaps[fold, best] + ALIKE]
        return np.asarray(alike[(alike @ points.T).max(axis=1).argmax()])  # a corner rather than a face on top
    return longest


def _gaps(
    points: Float[np.ndarray, "point 3"], axes: Float[np.ndarray, "axis 3"], turn: float
) -> Float[np.ndarray, " axis"]:
    """How far the points, turned about each axis, are at most from the nearest points as they were."""
    along = (axes @ points.T)[:, :, None] * axes[:, None]
    across = points - along
    sideways = np.cross(axes[:, None], points[None])
    moved = along + math.cos(turn) * across + math.sin(turn) * sideways  # Rodrigues' formula
    apart = np.linalg.norm(moved[:, :, None] - points, axis=-1)
    return np.asarray(apart.min(axis=2).max(axis=1))
