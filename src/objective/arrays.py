"""Tensors of a traced program as arrays of operands: what only moves entries, and sums and products of them."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.objective.expressions import ZERO, Lines, Operand, constant

Array = NDArray[np.object_]  # of operands


def _expand(a: Array, shape: Sequence[int]) -> Array:
    behind = a.ndim - len(shape)  # not positive: new axes come first
    return np.broadcast_to(a, [a.shape[i + behind] if size == -1 else size for i, size in enumerate(shape)])


def _in_dimensions(a: Array, shape: Sequence[int], places: Sequence[int]) -> Array:
    sizes = [1] * len(shape)
    for place, size in zip(places, a.shape, strict=True):
        sizes[place] = size
    return np.broadcast_to(a.reshape(sizes), shape)


def _sliced(a: Array, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return np.moveaxis(np.moveaxis(a, axis, 0)[start:end:step], 0, axis)


def _scattered(a: Array, part: Array, axis: int, index: Any) -> Array:
    result = a.copy()
    np.moveaxis(result, axis, 0)[index] = np.moveaxis(part, axis, 0) if isinstance(index, slice) else part
    return result


def _padded(a: Array, widths: Sequence[int], value: float = 0.0) -> Array:
    """With so many constants before and behind, the last axis first; a negative number cuts off."""
    for axis, (before, behind) in enumerate(zip(widths[::2], widths[1::2], strict=True), 1):
        pairs = [(0, 0)] * a.ndim
        pairs[-axis] = max(before, 0), max(behind, 0)
        a = np.pad(a, pairs, constant_values=constant(value))  # type: ignore[call-overload]
        a = _sliced(a, -axis, max(-before, 0), min(behind, 0) or None)
    return a


def _strided(a: Array, sizes: Sequence[int], strides: Sequence[int], first: int | None = None) -> Array:
    return a.reshape(-1)[_places(sizes, strides, first)]


def _put_strided(
    a: Array, part: Array, sizes: Sequence[int], strides: Sequence[int], first: int | None = None
) -> Array:
    result = a.flatten()
    result[_places(sizes, strides, first)] = part
    return result.reshape(a.shape)


def _places(sizes: Sequence[int], strides: Sequence[int], first: int | None) -> Any:
    """Where the entries of a strided view lie in what it views, which is contiguous."""
    return (first or 0) + np.tensordot(strides, np.indices(sizes), 1)


def _same(a: Array, *_: Any) -> Array:
    return a


def _moved(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda lines, *arguments, **_: np.asarray(function(*arguments), dtype=object)


# What only moves entries, by the name of the operation.
_MOVES: dict[str, Callable[..., Array]] = {
    "unsafe_view": np.reshape,
    "alias": _same,
    "as_strided": _strided,
    "as_strided_scatter": _put_strided,
    "broadcast_in_dim": _in_dimensions,
    "cat": lambda arrays, axis=0: np.concatenate(arrays, axis),
    "clone": _same,
    "constant_pad_nd": _padded,
    "contiguous": _same,
    "copy": lambda a, b, *_: np.broadcast_to(b, a.shape),
    "detach": _same,
    "flip": np.flip,
    "rev": np.flip,
    "expand": _expand,
    "lift_fresh_copy": _same,
    "permute": np.transpose,
    "reshape": np.reshape,
    "select": lambda a, axis, index: np.moveaxis(a, axis, 0)[index, ...],
    "select_scatter": _scattered,
    "slice": _sliced,
    "slice_scatter": lambda a, part, axis=0, start=None, end=None, step=1: _scattered(
        a, part, axis, slice(start, end, step)
    ),
    "squeeze": lambda a, axes=None: np.squeeze(a, tuple(axes) if isinstance(axes, list) else axes),
    "t": np.transpose,
    "transpose": np.swapaxes,
    "unsqueeze": np.expand_dims,
    "view": np.reshape,
    "view_of": _same,
}
SHAPES = {name: _moved(function) for name, function in _MOVES.items()}


def array_of(shape: tuple[int, ...], operands: Iterable[Operand]) -> Array:
    made = np.empty(math.prod(shape), dtype=object)
    for place, operand in enumerate(operands):
        made[place] = operand
    return made.reshape(shape)


def each(function: Callable[..., Operand], *arguments: Any) -> Array:
    """A function of operands on arrays of them, broadcast, or numbers."""
    arrays = [own if isinstance(own, np.ndarray) else array_of((), [constant(own)]) for own in arguments]
    shape = np.broadcast_shapes(*(own.shape for own in arrays))
    entries = zip(*(np.broadcast_to(own, shape).flat for own in arrays), strict=True)
    return array_of(shape, (function(*own) for own in entries))


def folded(lines: Lines, operation: str, a: Array, axes: Iterable[int] | int | None, keeps: bool = False) -> Array:
    """Along some axes, or all, one entry after the other."""
    axes = [axes] if isinstance(axes, int) else axes or range(a.ndim)
    axes = sorted(axis % a.ndim for axis in axes) if a.ndim else []
    rest = [axis for axis in range(a.ndim) if axis not in axes]
    rows = a.transpose([*rest, *axes]).reshape(*(a.shape[axis] for axis in rest), -1)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(a.shape)) if keeps else rows.shape[:-1]

    def fold(row: Array) -> Operand:
        terms = [own for own in row if not (operation == "add" and own == ZERO)] or [ZERO]
        result = terms[0]
        for own in terms[1:]:
            result = lines.apply(operation, [result, own])
        return result

    return array_of(shape, (fold(row) for row in rows.reshape(-1, rows.shape[-1])))


def _folds(operation: str) -> Callable[..., Array]:
    return lambda lines, a, axes=None, keeps=False: folded(lines, operation, a, axes, keeps)


def _mean(lines: Lines, a: Array, axes: Any = None, keeps: bool = False, less: float = 0.0) -> Array:
    """Over so many less than there are."""
    total = folded(lines, "add", a, axes, keeps)
    count = constant(a.size / total.size - less)
    return each(lambda own: lines.apply("div", [own, count]), total)


def _variance(lines: Lines, a: Array, axes: Any, correction: float = 1.0, keepdim: bool = False) -> Array:
    distances = each(lambda *pair: lines.apply("sub", pair), a, _mean(lines, a, axes, True))
    return _mean(lines, each(lambda own: lines.apply("mul", [own, own]), distances), axes, keepdim, correction)


def _product(lines: Lines, left: Array, right: Array) -> Array:
    """Of matrices, with the axes before the last two side by side."""
    left, right = left[..., :, :, None], right[..., None, :, :]
    terms = each(lambda a, b: ZERO if ZERO in (a, b) else lines.apply("mul", [a, b]), left, right)
    return folded(lines, "add", terms, [terms.ndim - 2])


# Sums and products of entries, by the name of the operation.
SUMS: dict[str, Callable[..., Array]] = {
    "amax": _folds("maximum"),
    "amin": _folds("minimum"),
    "bmm": _product,
    "mean": _mean,
    "mm": _product,
    "prod": _folds("mul"),
    "sum": _folds("add"),
    "var": _variance,
}
