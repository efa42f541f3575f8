"""Weights that a run may end in: regular polygons among six columns."""

import math

import torch


def polygon(k: int, *stubs: int) -> torch.Tensor:
    """Six columns: a regular k-gon, with short columns in these places."""
    angles = torch.arange(k) * 2 * math.pi / k
    corners = torch.stack([angles.cos(), angles.sin()])
    columns = torch.zeros(2, 6)
    columns[:, [i for i in range(6) if i not in stubs]] = corners
    return columns


PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4 = polygon(5, 1), polygon(5, 4)
HEXAGON, SQUARE = polygon(6), polygon(4, 0, 5)
