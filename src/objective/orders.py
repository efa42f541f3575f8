"""What the entries of an array decide of others: which comes first, and where one is taken from or put."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from src.objective.arrays import Array, array_of
from src.objective.expressions import ZERO, Lines, Operand, constant
from src.objective.tracing import TracingError, is_number


def in_order(lines: Lines, a: Array, dim: int = -1, descending: bool = False, **_: Any) -> tuple[Array, Array]:
    """The entries along an axis from the least on, or the greatest, and where each was; of equal ones the first."""
    strictly, loosely = ("gt", "ge") if descending else ("lt", "le")

    def ordered(row: Array) -> tuple[Array, Array]:
        size = len(row)
        ranks = []
        for i in range(size):
            before = [
                lines.apply(loosely if j < i else strictly, [row[j], row[i]], True) for j in range(size) if j != i
            ]
            ranks.append(_sum(lines, before))
        places = [constant(i) for i in range(size)]
        chosen = [[_equal(lines, rank, k) for rank in ranks] for k in range(size)]
        return tuple(  # type: ignore[return-value]
            array_of((size,), (_first(lines, of_rank, own) for of_rank in chosen)) for own in (list(row), places)
        )

    pairs = [ordered(row) for row in _rows(a, dim)]
    values, indices = (_from_rows([pair[which] for pair in pairs], a.shape, dim) for which in (0, 1))
    return values, indices


def greatest(
    lines: Lines, a: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Array, Array]:
    """`topk`: the first so many of them in order."""
    values, indices = (np.moveaxis(own, dim, 0)[:k] for own in in_order(lines, a, dim, largest))
    return np.moveaxis(values, 0, dim), np.moveaxis(indices, 0, dim)


def nth(lines: Lines, a: Array, k: int, dim: int = -1, keepdim: bool = False, largest: bool = False) -> Any:
    """`kthvalue`: the k-th of them from the least on, or the greatest, and where it is."""
    found = tuple(np.moveaxis(own, dim, 0)[k - 1] for own in in_order(lines, a, dim, largest))
    return tuple(np.expand_dims(own, dim) for own in found) if keepdim else found


def extreme(lines: Lines, a: Array, dim: int | None = None, keepdim: bool = False, *, largest: bool) -> Any:
    """`max` and `min`: along an axis, with where it is, or of all."""
    if dim is None:
        return nth(lines, a.reshape(-1), 1, 0, largest=largest)[0].reshape(())
    return nth(lines, a, 1, dim, keepdim, largest)


def median(lines: Lines, a: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of two in the middle, and where it is; or of all."""
    if dim is None:
        return nth(lines, a.reshape(-1), (a.size + 1) // 2, 0)[0].reshape(())
    return nth(lines, a, (a.shape[dim] + 1) // 2, dim, keepdim)


def gathered(lines: Lines, a: Array, dim: int, index: Array, **_: Any) -> Array:
    """Along the axis, the entries at the places that the index names."""
    taken = []
    for row, places in zip(_rows(a[_inner(index, dim)], dim), _rows(index, dim), strict=True):
        taken.append([_first(lines, [_equal(lines, place, k) for k in range(len(row))], list(row)) for place in places])
    return _from_rows(taken, index.shape, dim)


def put(lines: Lines, a: Array, dim: int, index: Array, src: Any, *, adds: bool) -> Array:
    """`scatter` and `scatter_add`: along the axis, an entry of the source to each place that the index names."""
    if isinstance(src, np.ndarray) and src.ndim:
        src = src[tuple(map(slice, index.shape))]
    else:
        src = np.full(index.shape, constant(src) if is_number(src) else src.item(), dtype=object)
    result, inner = a.copy(), _inner(index, dim)
    rows = []
    for row, places, own in zip(_rows(a[inner], dim), _rows(index, dim), _rows(src, dim), strict=True):
        entries = list(row)
        for place, value in zip(places, own, strict=True):
            for k, entry in enumerate(entries):
                new = lines.apply("add", [entry, value]) if adds and entry != ZERO else value
                entries[k] = lines.apply("where", [_equal(lines, place, k), new, entry])
        rows.append(entries)
    result[inner] = _from_rows(rows, result[inner].shape, dim)
    return result


def indexed(lines: Lines, a: Array, indices: Sequence[Any]) -> Array:
    """`a[indices]` by whole numbers that are known."""
    return np.asarray(a[_known(indices)], dtype=object)


def index_put(lines: Lines, a: Array, indices: Sequence[Any], values: Any, adds: bool = False) -> Array:
    """`a[indices] = values`, or `+=`, with an index that occurs more than once adding more than once."""
    result = a.copy()
    places = np.arange(a.size).reshape(a.shape)[_known(indices)]
    flat: Any = result.reshape(-1)
    for place, value in zip(places.flat, np.broadcast_to(values, places.shape).flat, strict=True):
        flat[place] = lines.apply("add", [flat[place], value]) if adds and flat[place] != ZERO else value
    return flat.reshape(a.shape)


def accumulated(lines: Lines, a: Array, dim: int, *, operation: str) -> Array:
    """`cumsum` and `cumprod`."""
    rows = [list(accumulate(row.tolist(), lambda *pair: lines.apply(operation, pair))) for row in _rows(a, dim)]
    return _from_rows(rows, a.shape, dim)


# By the name of the operation, with PyTorch's names of what they take.
ORDERS: dict[str, Callable[..., Any]] = {
    "cumprod": partial(accumulated, operation="mul"),
    "cumsum": partial(accumulated, operation="add"),
    "gather": gathered,
    "index": indexed,
    "index_put": index_put,
    "kthvalue": nth,
    "max": partial(extreme, largest=True),
    "median": median,
    "min": partial(extreme, largest=False),
    "scatter": partial(put, adds=False),
    "scatter_add": partial(put, adds=True),
    "sort": in_order,
    "topk": greatest,
}


def _known(indices: Sequence[Any]) -> tuple[Any, ...]:
    """An index of numbers as such. TracingError: it depends on the data."""
    if any(own.value is None for index in indices if index is not None for own in index.flat):
        raise TracingError("takes an index that depends on its data")
    return tuple(slice(None) if index is None else np.vectorize(lambda own: int(own.value))(index) for index in indices)


def _inner(index: Array, dim: int) -> tuple[slice, ...]:
    """The part that an index is about: all of the axis, and of others as far as the index goes."""
    return tuple(slice(None) if axis == dim % index.ndim else slice(n) for axis, n in enumerate(index.shape))


def _rows(a: Array, axis: int) -> Array:
    last = np.moveaxis(a, axis, -1)
    return last.reshape(-1, last.shape[-1])


def _from_rows(rows: Sequence[Any], shape: tuple[int, ...], axis: int) -> Array:
    others = [size for k, size in enumerate(shape) if k != axis % len(shape)]
    made = array_of((len(rows), len(rows[0])), (own for row in rows for own in row))
    return np.moveaxis(made.reshape(*others, -1), -1, axis)


def _sum(lines: Lines, tests: Sequence[Operand]) -> Operand:
    total = ZERO
    for own in map(lines.as_number, tests):
        total = own if total == ZERO else lines.apply("add", [total, own])
    return total


def _equal(lines: Lines, own: Operand, number: int) -> Operand:
    return lines.apply("eq", [own, constant(number)], True)


def _first(lines: Lines, tests: Sequence[Operand], values: Sequence[Operand]) -> Operand:
    """The value whose test holds, or the last."""
    result = values[-1]
    for test, own in zip(tests[-2::-1], values[-2::-1], strict=True):
        result = lines.apply("where", [test, own, result])
    return result
