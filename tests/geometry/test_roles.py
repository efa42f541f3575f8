"""Which columns are learned, which overlap a longer one, and which are stubs."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from src.geometry.polygons import IRREGULAR, NAMES, OVERLAP_ANGLE, STUB_NORM, find_polygons
from tests.geometry.columns import POLYGONS, columns, directions, name, noise, regular, roles


@pytest.mark.parametrize("k", POLYGONS)
def test_stubs_do_not_change_a_polygon(k: int) -> None:
    stubs = columns((0.0, 0), (0.1, 11), (0.3, 95), (0.49, 200))
    W = torch.cat([stubs[:, :2], regular(k), stubs[:, 2:]], dim=1)
    assert (name(W), roles(W)) == (NAMES[k], "ss" + "l" * k + "ss")


@pytest.mark.parametrize(("length", "role"), [(STUB_NORM, "l"), (math.nextafter(STUB_NORM, 0), "s")])
def test_a_column_is_a_stub_below_the_stub_norm(length: float, role: str) -> None:
    assert roles(torch.tensor([[length], [0.0]], dtype=torch.float64)) == role


@pytest.mark.parametrize("k", POLYGONS)
def test_shorter_columns_of_the_same_directions_do_not_change_a_polygon(k: int) -> None:
    shorter = torch.cat([0.9 * regular(k, turn=14.0), 0.7 * regular(k, turn=5.0)], dim=1)
    W = torch.cat([shorter, regular(k)], dim=1)
    assert (name(W), roles(W)) == (NAMES[k], "o" * 2 * k + "l" * k)


@pytest.mark.parametrize("lengths", list(itertools.permutations([0.9, 1.0, 1.1])))
def test_the_longest_column_of_a_direction_is_learned(lengths: tuple[float, float, float]) -> None:
    expected = "".join("l" if length == 1.1 else "o" for length in lengths)
    assert roles(columns(*zip(lengths, (40, 45, 50), strict=True))) == expected


@pytest.mark.parametrize("n", [2, 3, 6])
def test_of_equal_columns_exactly_one_is_learned(n: int) -> None:
    assert sorted(roles(columns((1, 40)).expand(2, n))) == ["l"] + ["o"] * (n - 1)


def test_of_equally_long_columns_of_one_direction_exactly_one_is_learned() -> None:
    W = torch.tensor([[1.0, 1.0, -1.0], [0.1, -0.1, 0.0]], dtype=torch.float64)  # mirror images and a third
    assert (sorted(roles(W)[:2]), roles(W)[2]) == (["l", "o"], "l")


def test_a_stub_in_a_learned_direction_is_a_stub() -> None:
    assert roles(columns((1, 40), (0.4, 40))) == "ls"


@pytest.mark.parametrize(("share", "n"), [(0.99, 1), (1.01, 2)])
def test_columns_closer_than_the_overlap_angle_are_one_direction(share: float, n: int) -> None:
    assert directions(columns((1, 40), (1, 40 + share * math.degrees(OVERLAP_ANGLE)))) == n


def test_a_chain_of_close_columns_is_one_direction() -> None:
    W = columns((1, 0), (0.9, 12), (0.8, 24), (0.7, 36), (1, 180))
    assert (roles(W), directions(W)) == ("loool", 2)


def test_a_ring_of_close_columns_is_one_direction() -> None:
    W = torch.cat([regular(36), columns((2, 77))], dim=1)
    assert (roles(W), directions(W), name(W)) == ("o" * 36 + "l", 1, IRREGULAR)


@pytest.mark.parametrize("angles", [(177, -177), (-177, 177), (179, 184, 175), (-170, 180, 170)])
def test_a_direction_across_the_cut_of_the_angle_counts_once(angles: tuple[float, ...]) -> None:
    W = columns(*[(1 + 0.1 * i, angle) for i, angle in enumerate(angles)])
    assert (directions(W), roles(W)) == (1, "o" * (len(angles) - 1) + "l")


def test_both_zeros_of_the_second_coordinate_are_one_direction() -> None:
    W = torch.tensor([[-1.0, -1.0, 1.0], [0.0, -0.0, 0.0]], dtype=torch.float64)
    assert (directions(W), name(W)) == (2, "digon")


@pytest.mark.parametrize("turn", [0.0, 7.0, 175.0, 179.0, 181.0, 185.0])
def test_a_polygon_with_overlaps_across_the_cut_keeps_its_name(turn: float) -> None:
    W = torch.cat([regular(5, turn=turn), 0.9 * regular(5, turn=turn + 8)], dim=1)
    assert (name(W), roles(W)) == ("pentagon", "lllllooooo")


def slow_roles(W: Tensor) -> tuple[list[str], int]:
    """The roles as the module describes them, one pair of columns at a time, and the number of directions."""
    columns = W.T.numpy()
    length = np.linalg.norm(columns, axis=1)
    cosine = columns @ columns.T / np.outer(length, length)
    role = ["s" if own < STUB_NORM else "o" for own in length]
    unseen = {i for i in range(len(columns)) if role[i] == "o"}
    n_directions = 0
    while unseen:
        group, reached = set(), {unseen.pop()}
        while reached:
            i = reached.pop()
            group.add(i)
            near = {j for j in unseen if math.acos(np.clip(cosine[i, j], -1, 1)) <= OVERLAP_ANGLE}
            unseen -= near
            reached |= near
        role[max(group, key=lambda i: length[i])] = "l"
        n_directions += 1
    return role, n_directions


@pytest.mark.parametrize("n_hidden", [1, 2, 3, 4])
@pytest.mark.parametrize(("n_features", "scale"), [(1, 1.0), (2, 1.0), (6, 0.7), (7, 1.0), (16, 0.8), (40, 1.0)])
def test_roles_are_those_that_the_slow_search_finds(n_features: int, scale: float, n_hidden: int) -> None:
    """On random columns, from a lone one to a crowd that rings the origin."""
    W = noise((100 if n_hidden == 2 else 20, n_hidden, n_features), scale, n_features)
    polygons = find_polygons(W)
    expected = [slow_roles(W_i) for W_i in W]
    assert polygons.n_directions.tolist() == [n for _, n in expected]
    for role, letter in ((polygons.learned, "l"), (polygons.overlap, "o"), (polygons.stub, "s")):
        assert role.tolist() == [[found == letter for found in role_i] for role_i, _ in expected]


@pytest.mark.parametrize("n_hidden", [1, 2, 3])
@pytest.mark.parametrize("n_features", [1, 2, 6, 16])
def test_every_column_has_exactly_one_role(n_features: int, n_hidden: int) -> None:
    polygons = find_polygons(noise((200, n_hidden, n_features), 0.7, 0))
    n_roles = polygons.learned.long() + polygons.overlap.long() + polygons.stub.long()
    assert torch.equal(n_roles, torch.ones(200, n_features, dtype=torch.int64))


@pytest.mark.parametrize("n_hidden", [1, 2, 3])
@pytest.mark.parametrize("n_features", [1, 2, 6, 16])
def test_there_are_as_many_directions_as_learned_columns(n_features: int, n_hidden: int) -> None:
    polygons = find_polygons(noise((200, n_hidden, n_features), 0.7, 0))
    assert torch.equal(polygons.n_directions, polygons.learned.sum(dim=1))
