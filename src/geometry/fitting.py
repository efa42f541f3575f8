"""How far columns are from the nearest member of a family of configurations, for a stack of them at once.

A family is linear in its coefficients: corner i of a member is Q sum_k alpha_k T_k[:, i], with an orthonormal frame Q.
Given the coefficients, the best frame is a polar factor (orthogonal Procrustes: Schönemann 1966); given the frame, the
best coefficients are projections. The two are taken in turns until nothing changes. The members' corners are the
columns in some order, which for a solid has to be found first.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from src.geometry.shapes import Shape, standard_frames

MAX_TURNS = 60
UNCHANGED = 1e-15  # of the share of the columns' power that the member explains
N_ORDERS = 2  # of the corners of a solid, from which fits start
MAX_REORDERINGS = 3
STACK_AT_ONCE = 256
NOTHING = 1e-9  # of a length: a column across the dimensions that are looked at


class Fit(NamedTuple):
    """The nearest members. `residual` is a share of the columns' Frobenius norm."""

    residual: Float[ndarray, " stack"]
    frame: Float[ndarray, "stack hidden dimension"]
    coefficients: Float[ndarray, "stack coefficient"]


class Placed(NamedTuple):
    """Columns as corners of a shape: corner k is column `order[k]`."""

    residual: Float[ndarray, " stack"]
    order: Int[ndarray, "stack corner"]
    coefficients: Float[ndarray, "stack coefficient"]


def fit(
    V: Float[ndarray, "stack hidden corner"],
    patterns: Float[ndarray, "coefficient dimension corner"],
    coefficients: Float[ndarray, "stack coefficient"],
) -> Fit:
    """The nearest member of a family to columns in the order of its corners, from the coefficients given on."""
    power = np.square(patterns).sum(axis=(1, 2))
    coefficients = coefficients.copy()
    frame = np.zeros((*V.shape[:2], patterns.shape[1]))
    total = np.square(V).sum(axis=(1, 2))
    explained = np.zeros(len(V))
    going = np.arange(len(V))
    flat = patterns.reshape(len(patterns), -1)
    for _ in range(MAX_TURNS):
        own = V[going]
        members = (coefficients[going] @ flat).reshape(-1, *patterns.shape[1:])
        left, _, right = np.linalg.svd(own @ members.swapaxes(1, 2), full_matrices=False)
        turned = left @ right
        seen = (turned.swapaxes(1, 2) @ own).reshape(len(own), -1)
        best = seen @ flat.T / power
        now = np.square(best) @ power / total[going]
        frame[going], coefficients[going] = turned, best
        is_going = now - explained[going] > UNCHANGED
        explained[going] = now
        going = going[is_going]
        if not len(going):
            break
    members = (coefficients @ flat).reshape(-1, *patterns.shape[1:])
    residual = np.sqrt(np.square(V - frame @ members).sum(axis=(1, 2)) / total)
    return Fit(residual, frame, coefficients)


def place(V: Float[ndarray, "stack hidden corner"], shape: Shape) -> Placed:
    """The columns of each of a stack as corners of the nearest configuration of a shape."""
    if not len(shape.members):
        order = _by_angle(V) if shape.dimension == 2 else np.broadcast_to(np.arange(V.shape[2]), V[:, 0].shape)
        ones = np.ones((len(V), shape.n_coefficients))
        found = fit(_in_order(V, order), shape.patterns, ones)
        return Placed(found.residual, order, found.coefficients)
    parts = [_place_solid(V[k : k + STACK_AT_ONCE], shape) for k in range(0, len(V), STACK_AT_ONCE)]
    return Placed(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _place_solid(V: Float[ndarray, "stack hidden corner"], shape: Shape) -> Placed:
    orders, coefficients = _first_orders(_within(V, shape.dimension), shape)
    n_stack, n_orders, n_corners = orders.shape
    V = np.repeat(V, n_orders, axis=0)
    order, coefficients = orders.reshape(-1, n_corners), coefficients.reshape(n_stack * n_orders, -1)
    found = fit(_in_order(V, order), shape.patterns, coefficients)
    residual, coefficients = found.residual, found.coefficients
    frame = found.frame
    going = np.arange(len(V))
    for _ in range(MAX_REORDERINGS):
        corners = frame[going] @ np.einsum("sc,cdk->sdk", coefficients[going], shape.patterns)
        order_now = _matching(-(corners.swapaxes(1, 2) @ V[going]))
        going, order_now = going[differs := (order_now != order[going]).any(axis=1)], order_now[differs]
        if not len(going):
            break
        again = fit(_in_order(V[going], order_now), shape.patterns, coefficients[going])
        better = again.residual < residual[going]
        going, order_now = going[better], order_now[better]
        residual[going], order[going] = again.residual[better], order_now
        frame[going], coefficients[going] = again.frame[better], again.coefficients[better]
    best = residual.reshape(n_stack, n_orders).argmin(axis=1) + np.arange(n_stack) * n_orders
    return Placed(residual[best], order[best], coefficients[best])


def _first_orders(V: Float[ndarray, "stack dimension corner"], shape: Shape) -> tuple[ndarray, ndarray]:
    """Orders of the columns as corners, [stack, order, corner], from the poses whose corners are nearest to them.

    Some columns, one fewer than dimensions, are put where corners of each pose are: the longest, and then each time
    the one that is the nearest to upright on those before.
    """
    poses, coefficients = shape.poses
    length = np.linalg.norm(V, axis=1)
    unit = V / np.where(length > NOTHING * length.max(axis=1, keepdims=True), length, np.inf)[:, None]
    stack = np.arange(len(V))
    anchors = list[ndarray]()
    left = unit
    for _ in range(shape.dimension - 1):
        anchors.append(np.linalg.norm(left, axis=1).argmax(axis=1) if anchors else length.argmax(axis=1))
        axis = left[stack, :, anchors[-1]]
        axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
        left = left - axis[:, :, None] * np.einsum("sd,sdk->sk", axis, left)[:, None]
    chosen = np.take_along_axis(unit, np.stack(anchors, axis=1)[:, None], axis=2)
    seen = standard_frames(chosen).swapaxes(1, 2) @ unit
    cosine = np.einsum("pdk,sdi->spki", poses, seen)
    score = cosine.max(axis=2).sum(axis=2) + cosine.max(axis=3).sum(axis=2)
    nearest = np.argsort(-score, axis=1, kind="stable")[:, :N_ORDERS]
    orders = _matching(-cosine[stack[:, None], nearest].reshape(-1, *cosine.shape[2:]))
    scale = np.sqrt(np.square(length).mean(axis=1))[:, None, None]
    return orders.reshape(*nearest.shape, -1), scale * coefficients[nearest]


def _matching(cost: Float[ndarray, "stack corner column"]) -> Int[ndarray, "stack corner"]:
    """The column of each corner with the least cost in all: the nearest one, unless two corners have the same."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - as in `results.rates`

    order = cost.argmin(axis=2)
    disputed = (np.diff(np.sort(order, axis=1), axis=1) == 0).any(axis=1)
    for k in np.flatnonzero(disputed):
        order[k] = linear_sum_assignment(cost[k])[1]
    return order


def _within(V: Float[ndarray, "stack hidden corner"], dimension: int) -> Float[ndarray, "stack dimension corner"]:
    """The columns within the dimensions that hold most of them."""
    if V.shape[1] == dimension:
        return V
    left = np.linalg.svd(V, full_matrices=False)[0][:, :, :dimension]
    return left.swapaxes(1, 2) @ V


def _by_angle(V: Float[ndarray, "stack hidden corner"]) -> Int[ndarray, "stack corner"]:
    """The order of the columns round the plane that holds most of them."""
    x, y = np.moveaxis(_within(V, 2), 1, 0)
    return np.argsort(np.arctan2(y, x), axis=1, kind="stable")


def _in_order(V: Float[ndarray, "stack hidden corner"], order: Int[ndarray, "stack corner"]) -> ndarray:
    return np.take_along_axis(V, order[:, None], axis=2)
