"""Functions of z and x that may be polynomials between kinks in z, and what becomes of them in calculations."""

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from src.population.pieces import Pieces, Polynomial, plus, times

MAX_POWER = 8  # of a polynomial, in all
ROUNDING = 1e-12  # two kinks that are nearer than this, relative to their size, are one
ONE = {(0, 0): 1.0}


class KinkError(Exception):
    """Why kinks are not known, as what the function does."""


class Piecewise(NamedTuple):
    """A function of z and x: its kinks in z, and its polynomials between them, or None where it is another function."""

    kinks: tuple[float, ...]
    polynomials: tuple[Polynomial | None, ...]

    @property
    def pieces(self) -> Pieces | None:
        """The function, if it is a polynomial everywhere."""
        if None in self.polynomials:
            return None
        return Pieces(self.kinks, self.polynomials)  # type: ignore[arg-type]


def constant(value: Any) -> Piecewise:
    """A number, the same for all z and x."""
    return Piecewise((), (_polynomial(value),))


def combined(function: Callable[..., Polynomial | None], *shapes: Piecewise) -> Piecewise:
    """A function of what several shapes are, between all their kinks; None where one of them is no polynomial."""
    kinks = _joined(*(own.kinks for own in shapes))
    polynomials = []
    for point in _points_between(kinks):
        parts = [_at(own, point) for own in shapes]
        polynomials.append(None if None in parts else function(*parts))
    if any(p is not None and max((r + q for r, q in p), default=0) > MAX_POWER for p in polynomials):
        return Piecewise(kinks, (None,) * len(polynomials))
    return Piecewise(kinks, tuple(polynomials))


def minus(one: Piecewise, other: Piecewise) -> Piecewise:
    return combined(lambda p, q: plus(p, q, -1.0), one, other)


def negative(shape: Piecewise) -> Piecewise:
    return combined(lambda p: times({(0, 0): -1.0}, p), shape)


def divided(one: Piecewise, other: Piecewise) -> Piecewise:
    """A quotient is a polynomial if what it is divided by is a number.

    Raises:
        KinkError: if it is divided by another polynomial, which may be 0.
    """
    of_no_polynomial(other)
    return combined(lambda p, q: times(p, {(0, 0): 1 / q[0, 0]}) if set(q) == {(0, 0)} else None, one, other)


def to_power(base: Piecewise, exponent: float) -> Piecewise:
    """KinkError: the power is not a whole number."""
    if exponent != int(exponent) or exponent < 0:
        raise KinkError(f"takes the power {exponent:g}")
    one = Piecewise((), (ONE,))
    for _ in range(int(exponent)):
        one = combined(times, one, base)
    return one


def smooth(name: str, shape: Piecewise) -> Piecewise:
    """A smooth function by its name in `math`: of a number a number, else no polynomial."""

    def of(polynomial: Polynomial) -> Polynomial | None:
        if set(polynomial) - {(0, 0)} or not hasattr(math, name):
            return None
        try:
            return _polynomial(getattr(math, name)(_number(polynomial)))
        except ValueError:
            return None

    return combined(of, shape)


def of_no_polynomial(shape: Piecewise) -> Piecewise:
    """The same, for a function that is singular somewhere.

    Raises:
        KinkError: if it is a polynomial of z or x, which takes every value, unless it is a number.
    """
    if any(p is not None and set(p) - {(0, 0)} for p in shape.polynomials):
        raise KinkError("takes a function that may be singular")
    return shape


def compared(name: str, one: Piecewise, other: Piecewise) -> Piecewise:
    """Where two numbers compare so (`gt`, `le`, ...), as 0 or 1.

    Raises:
        KinkError: if it is not known where: one of them depends on x, or is no polynomial.
    """
    holds, difference = getattr(operator, name), _with_roots(minus(one, other))
    points = zip(_points_between(difference.kinks), difference.polynomials, strict=True)
    return Piecewise(difference.kinks, tuple(_polynomial(holds(_value(p or {}, point), 0.0)) for point, p in points))


def logic(function: Callable[[float, float], float], one: Piecewise, other: Piecewise) -> Piecewise:
    return combined(lambda p, q: _polynomial(function(_number(p), _number(q))), one, other)


def where(is_so: Piecewise, one: Piecewise, other: Piecewise) -> Piecewise:
    """The one where a test is 1, the other elsewhere."""
    kinks = _joined(is_so.kinks, one.kinks, other.kinks)
    chosen = ((point, _number(_at(is_so, point) or {})) for point in _points_between(kinks))
    return Piecewise(kinks, tuple(_at(one if holds else other, point) for point, holds in chosen))


def merged(shape: Piecewise) -> Piecewise:
    """Without kinks at which nothing changes."""
    kinks, polynomials = [], [shape.polynomials[0]]
    for kink, polynomial in zip(shape.kinks, shape.polynomials[1:], strict=True):
        if polynomial is None or polynomial != polynomials[-1]:
            kinks.append(kink)
            polynomials.append(polynomial)
    return Piecewise(tuple(kinks), tuple(polynomials))


def _polynomial(value: Any) -> Polynomial:
    return {(0, 0): float(value)} if value != 0 else {}


def _number(polynomial: Polynomial) -> float:
    return polynomial.get((0, 0), 0.0)


def _value(polynomial: Polynomial, z: float) -> float:
    return sum((a * z**r for (r, _), a in polynomial.items()), 0.0)


def _with_roots(shape: Piecewise) -> Piecewise:
    """With a kink wherever the function is 0."""
    roots: list[float] = []
    ends = [-math.inf, *shape.kinks, math.inf]
    for low, high, p in zip(ends[:-1], ends[1:], shape.polynomials, strict=True):
        if p is None:
            raise KinkError("has a kink where a function that is no polynomial has a value")
        if any(q for _, q in p):
            raise KinkError("has a kink that depends on x")
        degree = max((r for r, _ in p), default=0)
        if degree and all(math.isfinite(own) for own in p.values()):  # nothing reaches infinity
            every = np.roots([p.get((r, 0), 0.0) for r in range(degree, -1, -1)])
            roots += [float(t.real) for t in every if abs(t.imag) < ROUNDING * (1 + abs(t)) and low < t.real < high]
    kinks = _joined(shape.kinks, tuple(roots))
    return Piecewise(kinks, tuple(_at(shape, point) for point in _points_between(kinks)))


def _joined(*kinks: tuple[float, ...]) -> tuple[float, ...]:
    joined: list[float] = []
    for kink in sorted(t for own in kinks for t in own):
        if not joined or kink - joined[-1] > ROUNDING * max(1.0, abs(kink)):
            joined.append(kink)
    return tuple(joined)


def _points_between(kinks: tuple[float, ...]) -> list[float]:
    """A point in each interval between the kinks."""
    if not kinks:
        return [0.0]
    return [kinks[0] - 1, *((a + b) / 2 for a, b in itertools.pairwise(kinks)), kinks[-1] + 1]


def _at(shape: Piecewise, point: float) -> Polynomial | None:
    return shape.polynomials[sum(kink < point for kink in shape.kinks)]
