"""Columns of W that form polygons, noise to add to them, and what is found in them."""

import math

import torch
from torch import Tensor

from src.geometry.polygons import NAMES, find_polygons

# The residual is a share of the columns' norm; a few float64 roundings of 1e-16 are all that may come on top.
RESIDUAL = {"rtol": 0, "atol": 1e-14}
POLYGONS = sorted(NAMES)  # 2 to 8


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def columns(*polar: tuple[float, float]) -> Tensor:
    """W [hidden, feature] from the length and the angle in degrees of each column."""
    length = torch.tensor([polar_length for polar_length, _ in polar], dtype=torch.float64)
    angle = torch.tensor([degrees for _, degrees in polar], dtype=torch.float64).deg2rad()
    return torch.stack([length * angle.cos(), length * angle.sin()])


def regular(k: int, length: float = 1.1, turn: float = 10.0) -> Tensor:
    """A regular k-gon: W [hidden, feature], counter-clockwise."""
    return columns(*[(length, turn + 360 * j / k) for j in range(k)])


def rotation(seed: int) -> Tensor:
    angle = 2 * math.pi * torch.rand((), generator=seeded(seed), dtype=torch.float64)
    return torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])


def noise(shape: tuple[int, ...], scale: float, seed: int) -> Tensor:
    return scale * torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def name(W: Tensor) -> str:
    return find_polygons(W.unsqueeze(0)).names[0]


def residual(W: Tensor) -> float:
    return find_polygons(W.unsqueeze(0)).residual.item()


def roles(W: Tensor) -> str:
    """One letter a column: learned, overlap or stub."""
    polygons = find_polygons(W.unsqueeze(0))
    letters = zip(*(role[0].tolist() for role in (polygons.learned, polygons.overlap, polygons.stub)), strict=True)
    return "".join("los"[flags.index(True)] for flags in letters)


def directions(W: Tensor) -> int:
    return int(find_polygons(W.unsqueeze(0)).n_directions)
