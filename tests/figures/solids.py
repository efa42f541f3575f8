"""Solids whose corners are known."""

import math

import torch
from torch import Tensor

UP = torch.tensor([[0.0, 0.0, 1.0]])


def ring(k: int, height: float = 0.0, radius: float = 1.0, turn: float = 0.0) -> Tensor:
    angles = torch.arange(k) * 2 * math.pi / k + turn
    return torch.stack([radius * angles.cos(), radius * angles.sin(), torch.full((k,), height)], dim=1)


# [corner, 3]
SOLIDS = {
    "tetrahedron": torch.cat([UP, ring(3, -1 / 3, math.sqrt(8) / 3)]),
    "triangular bipyramid": torch.cat([UP, -UP, ring(3)]),
    "octahedron": torch.cat([UP, -UP, ring(4)]),
    "pentagonal bipyramid": torch.cat([UP, -UP, ring(5)]),
    "square antiprism": torch.cat([ring(4, 0.52, 0.854), ring(4, -0.52, 0.854, math.pi / 4)]),
    "cube": torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]) / math.sqrt(3),
    "icosahedron": torch.cat([UP, -UP, ring(5, 0.447, 0.894), ring(5, -0.447, 0.894, math.pi / 5)]),
}
COUNTS = {  # faces, edges
    "tetrahedron": (4, 6),
    "triangular bipyramid": (6, 9),
    "octahedron": (8, 12),
    "pentagonal bipyramid": (10, 15),
    "square antiprism": (10, 16),
    "cube": (6, 12),
    "icosahedron": (20, 30),
}


def rotation(seed: int) -> Tensor:
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)))
    return q


def trained(name: str, seed: int = 0, noise: float = 0.01) -> Tensor:
    """[corner, 3]: turned at random, and not quite exact."""
    corners = SOLIDS[name]
    scatter = torch.randn(corners.shape, generator=torch.Generator().manual_seed(seed))
    return (corners + noise * scatter) @ rotation(seed)
