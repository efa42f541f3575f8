"""How far columns are from a regular polygon, and what leaves that distance as it is."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.geometry.columns import POLYGONS, RESIDUAL, columns, directions, noise, regular, residual, rotation, seeded


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [*POLYGONS, 9, 12])
def test_a_regular_polygon_has_no_residual(k: int, seed: int) -> None:
    torch.testing.assert_close(residual(rotation(seed) @ regular(k)), 0.0, **RESIDUAL)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", POLYGONS)
def test_noise_moves_a_polygon_no_further_than_its_own_size(k: int, seed: int) -> None:
    """The polygon before the noise is one candidate for the nearest."""
    added = noise((2, k), 0.04, seed)
    W = regular(k) + added
    assert 0 < residual(W) <= (added.norm() / W.norm()).item()


def test_two_orthogonal_columns_are_as_far_from_a_digon_as_half_their_power() -> None:
    torch.testing.assert_close(residual(columns((1, 20), (1, 110))), math.sqrt(0.5), **RESIDUAL)


@pytest.mark.parametrize("seed", range(3))
def test_stubs_do_not_change_the_residual(seed: int) -> None:
    W = regular(5) + noise((2, 5), 0.05, seed)
    with_stubs = torch.cat([columns((0.4, 33), (0.2, 250)), W], dim=1)
    torch.testing.assert_close(residual(with_stubs), residual(W), **RESIDUAL)


def test_shorter_columns_of_the_same_directions_do_not_change_the_residual() -> None:
    W = regular(5) + noise((2, 5), 0.05, 0)
    both = torch.cat([W, 0.8 * regular(5, turn=16.0)], dim=1)
    torch.testing.assert_close(residual(both), residual(W), **RESIDUAL)


def nearest_by_search(W: Tensor) -> float:
    """Relative distance from the nearest regular polygon: least squares over turn and size, for every order."""
    points = W.numpy()
    k = points.shape[1]
    corner = 2 * np.pi * np.arange(k) / k
    c, s = np.cos(corner), np.sin(corner)
    design = np.concatenate([np.stack([c, -s], axis=1), np.stack([s, c], axis=1)])  # times (a cos, a sin) of the turn
    orders = np.array([(0, *rest) for rest in itertools.permutations(range(1, k))])  # the rest are turns of these
    targets = np.concatenate([points[0][orders], points[1][orders]], axis=1).T  # [coordinate, order]
    solution = np.linalg.lstsq(design, targets, rcond=None)[0]
    return float(np.linalg.norm(targets - design @ solution, axis=0).min() / np.linalg.norm(points))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", range(2, 8))
def test_the_residual_is_what_a_search_for_the_nearest_polygon_leaves(k: int, seed: int) -> None:
    W = (regular(k) + noise((2, k), 0.1, seed))[:, torch.randperm(k, generator=seeded(seed))]
    assert directions(W) == k
    torch.testing.assert_close(residual(W), nearest_by_search(W), **RESIDUAL)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", POLYGONS)
def test_turns_mirrors_and_orders_do_not_change_the_residual(k: int, seed: int) -> None:
    W = regular(k) + noise((2, k), 0.05, seed)
    moved = (rotation(seed) @ W.flip(0))[:, torch.randperm(k, generator=seeded(seed))]
    torch.testing.assert_close(residual(moved), residual(W), **RESIDUAL)


def test_the_size_does_not_change_the_residual() -> None:
    W = regular(6) + noise((2, 6), 0.05, 0)
    torch.testing.assert_close(residual(7 * W), residual(W), **RESIDUAL)
