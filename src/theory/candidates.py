"""Configurations near which stationary points are looked for, and what a configuration is called."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from src.geometry.polygons import IRREGULAR, NAMES, find_polygons
from src.theory.critical_points import MAX_VERTICES, best_norm_and_bias
from src.theory.stationary import flatten

STUB, OVERLAP = 0.33, 0.8  # norms of columns that are not learned, or share a direction, to start from
DEAD = 1e-4  # a column shorter than this is dead, not a stub


def candidates(n_features: int) -> Float[Tensor, "candidate parameter"]:
    """Configurations near which stationary points are looked for: polygons, and in different ways what is left over.

    The n - k features that are no vertex of a k-gon are dead; or stubs, all on one direction or one on each; or the
    first of them shares a direction evenly.
    """
    found = []
    for k in range(2, min(n_features, MAX_VERTICES) + 1):
        norm, bias = best_norm_and_bias(k)
        angle = torch.arange(k, dtype=torch.float64) * (2 * math.pi / k)
        directions = torch.stack([angle.cos(), angle.sin()])
        n_left = n_features - k
        ways: list[tuple[list[int], float]] = [([0] * n_left, 0.0)]
        if n_left:
            ways += [([0] * n_left, STUB), ([0] * n_left, OVERLAP)]
        if n_left > 1:
            ways += [([j % k for j in range(n_left)], STUB), ([2 * j % k for j in range(n_left)], STUB)]
            ways += [([j % k for j in range(n_left)], OVERLAP)]
        for places, length in ways:
            W = torch.cat([norm * directions, length * directions[:, places]], dim=1)
            b = torch.tensor([bias] * k + [0.01] * n_left, dtype=torch.float64)
            if length == OVERLAP:
                W[:, places] = OVERLAP * directions[:, places]
                b[k:] = bias / 2
            found.append(flatten(W.unsqueeze(0), b.unsqueeze(0)))
    return torch.cat(found)


def describe(W: Float[Tensor, "1 2 feature"]) -> str:
    """The geometry in words: `pentagon + stub`, `square + 2 stubs on one direction`."""
    polygons, norm = find_polygons(W), W[0].norm(dim=0)
    name = polygons.names[0]
    if name == IRREGULAR:
        n_directions = int(polygons.n_directions)
        name = f"{IRREGULAR} {NAMES.get(n_directions, f'{n_directions}-gon')}"
    parts = [name]
    is_stub = polygons.stub[0] & (norm > DEAD)
    n_stubs, n_dead, n_shared = int(is_stub.sum()), int((norm <= DEAD).sum()), int(polygons.overlap.sum())
    if n_shared:
        parts.append("overlap" if n_shared == 1 else f"{n_shared} overlaps")
    if n_stubs:
        unit = W[0][:, is_stub] / norm[is_stub]
        together = n_stubs > 1 and bool((unit.T @ unit > 0.99).all())
        parts.append("stub" if n_stubs == 1 else f"{n_stubs} stubs{' on one direction' if together else ''}")
    if n_dead:
        parts.append("dead" if n_dead == 1 else f"{n_dead} dead")
    return " + ".join(parts)
