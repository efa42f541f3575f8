"""What an answer costs as polynomials in z and x, one on each side of the points where it has a kink in z."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

Term = tuple[int, int]  # the powers r and q of z^r x^q
Polynomial = Mapping[Term, float]


class Pieces(NamedTuple):
    """A cost c(z, x) that is a polynomial in z and x between kinks.

    Attributes:
        kinks: where one polynomial ends and the next begins, ascending in z.
        polynomials: one more than kinks, by term.
    """

    kinks: tuple[float, ...]
    polynomials: tuple[Polynomial, ...]

    def jumps(self) -> Iterator[tuple[float, Polynomial]]:
        """Each kink with what is added beyond it, by the powers of u = z - kink and of x.

        So c(z, x) is the first polynomial and, for each kink, what is added there with u_+ in place of u.
        """
        for k, kink in enumerate(self.kinks):
            before, after = self.polynomials[k : k + 2]
            yield kink, about(kink, plus(after, before, -1.0))


def plus(one: Polynomial, other: Polynomial, factor: float = 1.0) -> dict[Term, float]:
    """The first and `factor` times the second, without terms that vanish."""
    terms = list(dict.fromkeys([*one, *other]))
    total = {term: one.get(term, 0.0) + factor * other.get(term, 0.0) for term in terms}
    return {term: value for term, value in total.items() if value != 0}


def times(one: Polynomial, other: Polynomial) -> dict[Term, float]:
    """The product of two polynomials."""
    total: dict[Term, float] = {}
    for (r, q), a in one.items():
        for (s, t), b in other.items():
            total[r + s, q + t] = total.get((r + s, q + t), 0.0) + a * b
    return {term: value for term, value in total.items() if value != 0}


def about(point: float, polynomial: Polynomial) -> dict[Term, float]:
    """The polynomial of z as one of u = z - point."""
    if point == 0:
        return dict(polynomial)
    total: dict[Term, float] = {}
    for (r, q), a in polynomial.items():
        for k in range(r + 1):
            total[k, q] = total.get((k, q), 0.0) + a * math.comb(r, k) * point ** (r - k)
    return {term: value for term, value in total.items() if value != 0}


# (x - ReLU(z))^2: from the kink on z^2 - 2 x z is added.
RELU = Pieces((0.0,), ({(0, 2): 1.0}, {(0, 2): 1.0, (2, 0): 1.0, (1, 1): -2.0}))
