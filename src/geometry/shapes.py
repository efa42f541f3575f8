"""The catalogue of shapes that columns can form, each by its definition.

A shape is a set of patterns T_k of corners. Its members are the sums of alpha_k T_k: one coefficient where symmetry
leaves nothing but the size open, and more where it leaves open, say, the height of a prism. Names of polytopes are
Coxeter's ("Regular Polytopes", 1948), those of other solids Johnson's ("Convex polyhedra with regular faces", 1966) or
those that are usual for points on a sphere.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

NAMES = {2: "digon", 3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}
SINGLE, DIGON = "single", NAMES[2]


# A corner: each of its coordinates is a coefficient, named, times a number. An empty name is a coordinate of 0.
Corner = tuple[tuple[float, str], tuple[float, str], tuple[float, str]]


@dataclass(frozen=True, eq=False)
class Shape:
    """A family of configurations about the origin, linear in its coefficients.

    Attributes:
        patterns: T_k, mutually orthogonal.
        members: coefficients of configurations from which a fit may start; only of solids, whose corners have to be
            told apart.
    """

    name: str
    patterns: Float[ndarray, "coefficient dimension corner"]
    members: Float[ndarray, "member coefficient"]

    @property
    def dimension(self) -> int:
        return self.patterns.shape[1]

    @property
    def n_corners(self) -> int:
        return self.patterns.shape[2]

    @property
    def n_coefficients(self) -> int:
        return self.patterns.shape[0]

    @cached_property
    def poses(self) -> tuple[Float[ndarray, "pose dimension corner"], Float[ndarray, "pose coefficient"]]:
        """The directions of a solid's corners with some of them in a standard place; and whose coefficients they have.

        The first of them lies on the first axis, the second in the half plane above it, and so on. Poses that differ
        by the names of their corners alone are one.
        """
        poses, coefficients, seen = [], [], set()
        for member, own in enumerate(self.members):
            corners = np.einsum("c,cdk->dk", own, self.patterns)
            corners = corners / np.linalg.norm(corners, axis=0)
            for anchors in itertools.permutations(range(self.n_corners), self.dimension - 1):
                chosen = corners[:, anchors]
                if np.linalg.det(chosen.T @ chosen) < 1e-9:
                    continue
                placed = standard_frames(chosen[None])[0].T @ corners
                mirror = np.where(np.arange(self.dimension) < self.dimension - 1, 1.0, -1.0)[:, None]
                for pose in (placed, placed * mirror):
                    key = (member, *sorted(map(tuple, (np.round(pose.T, 6) + 0.0).tolist())))
                    if key not in seen:
                        seen.add(key)
                        poses.append(pose)
                        coefficients.append(own)
        return np.array(poses), np.array(coefficients)


def standard_frames(anchors: Float[ndarray, "stack dimension anchor"]) -> Float[ndarray, "stack dimension dimension"]:
    """Axes as columns: along the first anchor, towards the second one, and so on; the last one across all, either way.

    Anchors are one fewer than dimensions.
    """
    axes, along = np.linalg.qr(anchors, mode="complete")
    signs = np.sign(np.diagonal(along, axis1=1, axis2=2))
    return np.concatenate([axes[:, :, :-1] * signs[:, None], axes[:, :, -1:]], axis=2)


@cache
def shapes_of(n_corners: int) -> tuple[Shape, ...]:
    """All shapes with so many corners that are no product of others."""
    if n_corners == 1:
        return (_rigid(SINGLE, np.ones((1, 1))),)
    found = [_simplex(n_corners)]
    if n_corners > 4:  # four corners of a square are two digons
        found.append(_polygon(n_corners))
    return (*found, *(solid for solid in _solids() if solid.n_corners == n_corners))


def _rigid(name: str, corners: Float[ndarray, "dimension corner"], is_solid: bool = False) -> Shape:
    return Shape(name, corners[None], np.ones((int(is_solid), 1)))


def _polygon(k: int) -> Shape:
    angle = 2 * math.pi * np.arange(k) / k
    return _rigid(NAMES.get(k, f"{k}-gon"), np.stack([np.cos(angle), np.sin(angle)]))


def _simplex(k: int) -> Shape:
    """k corners in k - 1 dimensions, each at the same angle from every other: the rows of Helmert's matrix."""
    corners = np.zeros((k - 1, k))
    for i in range(1, k):
        corners[i - 1, :i] = 1 / math.sqrt(i * (i + 1))
        corners[i - 1, i] = -i / math.sqrt(i * (i + 1))
    return _rigid({2: DIGON, 3: NAMES[3], 4: "tetrahedron"}.get(k, f"{k - 1}-simplex"), corners)


def _ring(n: int, radius: str, height: str, sign: int = 1, turned: bool = False) -> list[Corner]:
    """Corners evenly spread on a circle about the axis, which may be turned by half the angle between neighbours."""
    angles = [2 * math.pi * (j + turned / 2) / n for j in range(n)]
    return [((math.cos(angle), radius), (math.sin(angle), radius), (float(sign), height)) for angle in angles]


def _apex(height: str, sign: int = 1) -> list[Corner]:
    return [((0.0, ""), (0.0, ""), (float(sign), height))]


def _rectangle(x: str, y: str, height: str) -> list[Corner]:
    """Mirror images in two planes through the axis; in one of them if x or y is empty."""
    signs = itertools.product((1.0, -1.0) if x else (0.0,), (1.0, -1.0) if y else (0.0,))
    return [((along, x), (across, y), (1.0, height)) for along, across in signs]


def _family(name: str, corners: list[Corner], *members: dict[str, float]) -> Shape:
    names = list(members[0])
    patterns = np.zeros((len(names), 3, len(corners)))
    for k, corner in enumerate(corners):
        for axis, (share, coefficient) in enumerate(corner):
            if coefficient:
                patterns[names.index(coefficient), axis, k] = share
    return Shape(name, patterns, np.array([[member[name] for name in names] for member in members], dtype=float))


def _at(radius: str, height: str, degrees: int) -> dict[str, float]:
    """Coefficients of corners on the unit sphere, so far from the pole."""
    return {radius: math.sin(math.radians(degrees)), height: math.cos(math.radians(degrees))}


def _corner_at(x: str, y: str, height: str, degrees: int, azimuth: int) -> dict[str, float]:
    polar = _at("radius", height, degrees)
    across = _at(y, x, azimuth)
    return {height: polar[height], x: polar["radius"] * across[x], y: polar["radius"] * across[y]}


@cache
def _solids() -> tuple[Shape, ...]:
    """Solids, most of them in three dimensions; bipyramids and octahedra are products of polygons and digons.

    The middles of a 4-simplex's edges, ten in four dimensions, are the Petersen code: its cosines are 1/6 and -2/3.
    Angles from the pole are rough: a fit starts from them and finds the coefficients that are best.
    """
    golden = (1 + math.sqrt(5)) / 2
    signs = list(itertools.product((1, -1), repeat=3))
    pairs = list(itertools.product((1, -1), (golden, -golden)))
    icosahedron = [np.roll([0, short, long], k) for k in range(3) for short, long in pairs]
    simplex = _simplex(5).patterns[0]
    edges = np.stack([simplex[:, i] + simplex[:, j] for i, j in itertools.combinations(range(5), 2)], axis=1)
    prism = [*_ring(3, "r", "h"), *_ring(3, "r", "h", -1)]
    antiprism = [*_ring(4, "r", "h"), *_ring(4, "r", "h", -1, turned=True)]
    apex = {"a": 1.0}
    low, middle, high = (_at("r", "h", degrees) for degrees in (40, 50, 60))
    return (
        _rigid("cube", np.array(signs).T.astype(float), is_solid=True),
        _rigid("icosahedron", np.array(icosahedron).T, is_solid=True),
        _rigid("rectified 4-simplex", edges, is_solid=True),
        _family("triangular prism", prism, low, middle, high),
        _family("square antiprism", antiprism, *[_at("r", "h", degrees) for degrees in (50, 60, 70)]),
        _family(
            "tricapped triangular prism",
            [*prism, *_ring(3, "c", "", turned=True)],
            *[{**ring, "c": 1.0} for ring in (low, middle, high)],
        ),
        _family(
            "gyroelongated square bipyramid",
            [*antiprism, *_apex("a"), *_apex("a", -1)],
            *[{**_at("r", "h", degrees), **apex} for degrees in (60, 66, 72)],
        ),
        _family(
            "capped octahedron",
            [*_apex("a"), *_ring(3, "r", "h"), *_ring(3, "s", "l", turned=True)],
            {**apex, **_at("r", "h", 75), **_at("s", "l", 131)},
        ),
        _family(
            "capped square antiprism",
            [*_apex("a"), *_ring(4, "r", "h"), *_ring(4, "s", "l", turned=True)],
            {**apex, **_at("r", "h", 70), **_at("s", "l", 130)},
        ),
        _family(
            "tetracapped triangular prism",
            [*_apex("a"), *_ring(3, "r", "h"), *_ring(3, "s", "l", turned=True), *_ring(3, "t", "k")],
            {**apex, **_at("r", "h", 64), **_at("s", "l", 91), **_at("t", "k", 138)},
        ),
        _family(
            "sphenocorona",
            [
                *_rectangle("", "p", "h"),
                *_rectangle("x", "y", "k"),
                *_rectangle("", "q", "l"),
                *_rectangle("s", "", "m"),
            ],
            {**_at("p", "h", 32), **_corner_at("x", "y", "k", 79, 33), **_at("q", "l", 114), **_at("s", "m", 145)},
        ),
        _family(
            "gyroelongated pentagonal pyramid",
            [*_apex("a"), *_ring(5, "r", "h"), *_ring(5, "s", "l", turned=True)],
            {**apex, **_at("r", "h", 64), **_at("s", "l", 117)},
        ),
        _family(
            "edge-contracted icosahedron",
            [
                *_apex("a"),
                *_rectangle("", "p", "h"),
                *_rectangle("x", "y", "k"),
                *_rectangle("", "q", "l"),
                *_rectangle("s", "", "m"),
            ],
            {
                **apex,
                **_at("p", "h", 58),
                **_corner_at("x", "y", "k", 80, 31),
                **_at("q", "l", 120),
                **_at("s", "m", 144),
            },
        ),
    )
