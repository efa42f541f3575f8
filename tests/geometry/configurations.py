"""Solids and products of shapes, each from its textbook coordinates, and how they are moved about."""

import itertools
import math

import torch
from torch import Tensor

from tests.geometry.columns import noise, regular, seeded


def around(n: int, from_pole: float, first: float = 0.0) -> Tensor:
    """n unit columns on a circle of the sphere, so many degrees from the pole: [3, n]."""
    azimuth = (first + 360 / n * torch.arange(n, dtype=torch.float64)).deg2rad()
    radius, height = math.sin(math.radians(from_pole)), math.cos(math.radians(from_pole))
    return torch.stack([radius * azimuth.cos(), radius * azimuth.sin(), torch.full_like(azimuth, height)])


def beside(*blocks: Tensor) -> Tensor:
    """Blocks in dimensions of their own."""
    return torch.block_diag(*blocks)


def simplex(dimension: int) -> Tensor:
    """The unit vectors less their mean, seen from within: [dimension, dimension + 1]."""
    corners = torch.eye(dimension + 1, dtype=torch.float64) - 1 / (dimension + 1)
    within = torch.linalg.eigh(corners).eigenvectors[:, 1:]
    simplex = within.mT @ corners
    return simplex / simplex.norm(dim=0)


def signed(*corners: tuple[float, float, float]) -> Tensor:
    """All changes of signs, each corner once: [3, corner]."""
    points = {
        tuple(s * x + 0.0 for s, x in zip(signs, corner, strict=True))
        for corner in corners
        for signs in itertools.product((1, -1), repeat=3)
    }
    return torch.tensor(sorted(points), dtype=torch.float64).mT


def johnson_sphenocorona() -> Tensor:
    """Its unit edges' coordinates (Timofeenko 2009), about the middle of its corners."""
    k = (6 + math.sqrt(6) + 2 * math.sqrt(213 - 57 * math.sqrt(6))) / 30
    upper, lower = math.sqrt(1 - k * k), math.sqrt(0.5 + k - k * k)
    far, down = math.sqrt(3 / 4 - k * k) / upper + 0.5, (1 - 2 * k * k) / (2 * upper)
    points = [(0, s / 2, upper) for s in (1, -1)] + [(s * k, t / 2, 0) for s in (1, -1) for t in (1, -1)]
    points += [(0, s * far, down) for s in (1, -1)] + [(s / 2, 0, -lower) for s in (1, -1)]
    corners = torch.tensor(points, dtype=torch.float64).mT
    return corners - corners.mean(dim=1, keepdim=True)


GOLDEN = (1 + math.sqrt(5)) / 2
DIGON = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
ONE = torch.ones(1, 1, dtype=torch.float64)
POLE = around(1, 0)
ICOSAHEDRON = torch.cat([POLE, around(5, 63.43), around(5, 116.57, 36), -POLE], dim=1)
RECTIFIED = torch.stack([a + b for a, b in itertools.combinations(simplex(4).mT, 2)], dim=1)
RECTIFIED = RECTIFIED / RECTIFIED.norm(dim=0)
CUBE = signed((1, 1, 1)) / math.sqrt(3)

# Solids, each of one block: [3, corner].
SOLIDS: dict[str, Tensor] = {
    "tetrahedron": simplex(3),
    "triangular prism": torch.cat([around(3, 50), around(3, 130)], dim=1),
    "capped octahedron": torch.cat([POLE, around(3, 77.9), around(3, 131, 60)], dim=1),
    "cube": CUBE,
    "square antiprism": torch.cat([around(4, 59), around(4, 121, 45)], dim=1),
    "tricapped triangular prism": torch.cat([around(3, 45), around(3, 135), around(3, 90, 60)], dim=1),
    "capped square antiprism": torch.cat([POLE, around(4, 69), around(4, 126, 45)], dim=1),
    "gyroelongated square bipyramid": torch.cat([POLE, around(4, 65), around(4, 115, 45), -POLE], dim=1),
    "tetracapped triangular prism": torch.cat([POLE, around(3, 64), around(3, 91, 60), around(3, 138)], dim=1),
    "sphenocorona": johnson_sphenocorona(),
    "gyroelongated pentagonal pyramid": ICOSAHEDRON[:, :-1],
    "edge-contracted icosahedron": torch.cat(
        [
            POLE,
            around(2, 58, 90),
            around(2, 80, 31),
            around(2, 80, -31),
            around(2, 120, 90),
            around(2, 144),
        ],
        dim=1,
    ),
    "icosahedron": ICOSAHEDRON,
}
# Products, whose blocks have sizes of their own: [hidden, corner].
PRODUCTS: dict[str, Tensor] = {
    "antipodal pair": DIGON,
    "orthogonal pair": beside(ONE, 1.2 * ONE, torch.zeros(1, 0, dtype=torch.float64)),
    "3 orthogonal": beside(ONE, 1.2 * ONE, 0.9 * ONE),
    "digon x single": beside(DIGON, 1.1 * ONE, torch.zeros(1, 0, dtype=torch.float64)),
    "digon x single x single": beside(DIGON, 0.8 * ONE, 1.2 * ONE),
    "digon x digon x single": beside(DIGON, 1.2 * DIGON, ONE),
    "octahedron": beside(0.8 * DIGON, DIGON, 1.3 * DIGON),
    "triangular bipyramid": beside(regular(3), 0.8 * DIGON),
    "pentagonal bipyramid": beside(regular(5), 1.4 * DIGON),
    "hexagonal bipyramid": beside(regular(6), 0.8 * DIGON),
    "9-gonal bipyramid": beside(regular(9), DIGON),
    "triangle x single": beside(regular(3), 0.8 * ONE),
    "pentagon x single": beside(regular(5), 1.3 * ONE),
    "4-cross-polytope": beside(DIGON, DIGON, 1.2 * DIGON, 0.9 * DIGON),
    "5-cross-polytope": beside(*[DIGON] * 5),
    "4-simplex": simplex(4),
    "5-simplex": simplex(5),
    "rectified 4-simplex": RECTIFIED,
    "rectified 4-simplex x digon": beside(RECTIFIED, DIGON),
    "triangle x triangle": beside(regular(3), 0.8 * regular(3)),
    "pentagon x digon x digon": beside(regular(5), 0.9 * DIGON, 1.2 * DIGON),
    "hexagon x triangle": beside(regular(6), 1.2 * regular(3)),
    "tetrahedron x digon": beside(simplex(3), 1.2 * DIGON),
    "square antiprism x triangle": beside(SOLIDS["square antiprism"], 0.8 * regular(3)),
    "icosahedron x tetrahedron": beside(SOLIDS["icosahedron"], 1.2 * simplex(3)),
}
ALL = SOLIDS | PRODUCTS


def moved(W: Tensor, seed: int) -> Tensor:
    """W turned, perhaps mirrored, and its columns in another order."""
    turn = torch.linalg.qr(noise((len(W), len(W)), 1.0, seed))[0]
    return (turn @ W)[:, torch.randperm(W.shape[1], generator=seeded(seed))]


def in_more_dimensions(W: Tensor, n_hidden: int) -> Tensor:
    return torch.cat([W, W.new_zeros(n_hidden - len(W), W.shape[1])])
