"""From columns to polygons: names, roles, and what leaves them unchanged."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from src.geometry.dimensionality import dimensionality
from src.geometry.polygons import (
    IRREGULAR,
    NAMES,
    OVERLAP_ANGLE,
    REGULAR_WITHIN,
    STUB_NORM,
    angles_to_learned,
    count_directions,
    find_polygons,
    longest,
)

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


# Names


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", POLYGONS)
def test_a_regular_polygon_has_its_name_however_it_lies(k: int, seed: int) -> None:
    """Rotated, mirrored and with its columns in any order."""
    mirror = torch.tensor([1.0, -1.0 if seed % 2 else 1.0], dtype=torch.float64).diag()
    W = (rotation(seed) @ mirror @ regular(k))[:, torch.randperm(k, generator=seeded(seed))]
    assert name(W) == NAMES[k]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [*POLYGONS, 9, 12])
def test_a_regular_polygon_has_no_residual(k: int, seed: int) -> None:
    torch.testing.assert_close(residual(rotation(seed) @ regular(k)), 0.0, **RESIDUAL)


@pytest.mark.parametrize("k", [9, 12, 23])
def test_a_polygon_of_more_than_eight_corners_is_named_by_their_number(k: int) -> None:
    assert name(regular(k)) == f"{k}-gon"


@pytest.mark.parametrize("length", [0.51, 1.0, 100.0])
def test_the_size_of_a_polygon_does_not_matter(length: float) -> None:
    assert name(regular(5, length=length)) == "pentagon"


@pytest.mark.parametrize("k", POLYGONS)
def test_a_polygon_in_single_precision_has_its_name(k: int) -> None:
    assert name(regular(k).float()) == NAMES[k]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", POLYGONS)
def test_a_polygon_with_a_little_noise_keeps_its_name(k: int, seed: int) -> None:
    assert name(regular(k) + noise((2, k), 0.04, seed)) == NAMES[k]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", POLYGONS)
def test_noise_moves_a_polygon_no_further_than_its_own_size(k: int, seed: int) -> None:
    """The polygon before the noise is one candidate for the nearest."""
    added = noise((2, k), 0.04, seed)
    W = regular(k) + added
    assert 0 < residual(W) <= (added.norm() / W.norm()).item()


def test_two_antipodal_pairs_at_a_right_angle_are_a_square() -> None:
    assert name(columns((1, 20), (1, 200), (1, 110), (1, 290))) == "square"


def test_two_orthogonal_columns_are_irregular() -> None:
    assert name(columns((1, 20), (1, 110))) == IRREGULAR


def test_two_orthogonal_columns_are_as_far_from_a_digon_as_half_their_power() -> None:
    torch.testing.assert_close(residual(columns((1, 20), (1, 110))), math.sqrt(0.5), **RESIDUAL)


@pytest.mark.parametrize(
    "W",
    [
        columns((1, 0), (1, 72), (1, 144), (1, 216), (2, 288)),
        columns((1, 0), (1, 72), (1, 144), (1, 216), (1, 330)),
        columns((1, 0), (1, 20), (1, 40), (1, 60), (1, 80)),
        regular(5) + torch.tensor([[0.3], [0.0]], dtype=torch.float64),
    ],
    ids=["one long column", "one turned column", "a fan", "off the centre"],
)
def test_five_columns_that_form_no_regular_pentagon_are_irregular(W: Tensor) -> None:
    assert (directions(W), name(W)) == (5, IRREGULAR)


@pytest.mark.parametrize(("share", "expected"), [(0.99, "digon"), (1.01, IRREGULAR)])
def test_a_name_is_given_up_to_the_residual_that_is_allowed(share: float, expected: str) -> None:
    # Two equal columns that lack an angle d to being opposite have the residual sin(d / 2).
    gap = 2 * math.degrees(math.asin(share * REGULAR_WITHIN))
    assert name(columns((1, 10), (1, 190 - gap))) == expected


def test_a_single_column_is_a_learned_direction_and_no_polygon() -> None:
    W = columns((1, 30))
    assert (roles(W), directions(W), name(W)) == ("l", 1, IRREGULAR)


# Roles


@pytest.mark.parametrize("k", POLYGONS)
def test_stubs_do_not_change_a_polygon(k: int) -> None:
    stubs = columns((0.0, 0), (0.1, 11), (0.3, 95), (0.49, 200))
    W = torch.cat([stubs[:, :2], regular(k), stubs[:, 2:]], dim=1)
    assert (name(W), roles(W)) == (NAMES[k], "ss" + "l" * k + "ss")


@pytest.mark.parametrize("seed", range(3))
def test_stubs_do_not_change_the_residual(seed: int) -> None:
    W = regular(5) + noise((2, 5), 0.05, seed)
    with_stubs = torch.cat([columns((0.4, 33), (0.2, 250)), W], dim=1)
    torch.testing.assert_close(residual(with_stubs), residual(W), **RESIDUAL)


@pytest.mark.parametrize(("length", "role"), [(STUB_NORM, "l"), (math.nextafter(STUB_NORM, 0), "s")])
def test_a_column_is_a_stub_below_the_stub_norm(length: float, role: str) -> None:
    assert roles(torch.tensor([[length], [0.0]], dtype=torch.float64)) == role


@pytest.mark.parametrize("k", POLYGONS)
def test_shorter_columns_of_the_same_directions_do_not_change_a_polygon(k: int) -> None:
    shorter = torch.cat([0.9 * regular(k, turn=14.0), 0.7 * regular(k, turn=5.0)], dim=1)
    W = torch.cat([shorter, regular(k)], dim=1)
    assert (name(W), roles(W)) == (NAMES[k], "o" * 2 * k + "l" * k)


def test_shorter_columns_of_the_same_directions_do_not_change_the_residual() -> None:
    W = regular(5) + noise((2, 5), 0.05, 0)
    both = torch.cat([W, 0.8 * regular(5, turn=16.0)], dim=1)
    torch.testing.assert_close(residual(both), residual(W), **RESIDUAL)


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
    z = [complex(*column) for column in W.T.tolist()]
    role = ["s" if abs(column) < STUB_NORM else "o" for column in z]
    unseen = {i for i in range(len(z)) if role[i] == "o"}
    n_directions = 0
    while unseen:
        group, reached = set(), {unseen.pop()}
        while reached:
            i = reached.pop()
            group.add(i)
            near = {j for j in unseen if abs(np.angle(z[j] / z[i])) <= OVERLAP_ANGLE}
            unseen -= near
            reached |= near
        role[max(group, key=lambda i: abs(z[i]))] = "l"
        n_directions += 1
    return role, n_directions


@pytest.mark.parametrize(("n_features", "scale"), [(1, 1.0), (2, 1.0), (6, 0.7), (7, 1.0), (16, 0.8), (40, 1.0)])
def test_roles_are_those_that_the_slow_search_finds(n_features: int, scale: float) -> None:
    """On random columns, from a lone one to a crowd that rings the origin."""
    W = noise((100, 2, n_features), scale, n_features)
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


# The residual


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


# Stacks and oddities


@pytest.mark.parametrize("n_features", [1, 5, 6, 16])
def test_an_instance_in_a_stack_is_what_it_is_alone(n_features: int) -> None:
    W = noise((50, 2, n_features), 0.8, 1)
    W[7], W[11] = 0, torch.nan
    stack = find_polygons(W)
    for i in range(50):
        alone = find_polygons(W[i : i + 1])
        assert (alone.names[0], int(alone.n_directions)) == (stack.names[i], int(stack.n_directions[i]))
        for role in ("learned", "overlap", "stub"):
            assert torch.equal(getattr(alone, role)[0], getattr(stack, role)[i])
        torch.testing.assert_close(alone.residual[0], stack.residual[i], equal_nan=True, **RESIDUAL)


@pytest.mark.parametrize("value", [0.0, math.nan])
@pytest.mark.parametrize("n_hidden", [1, 2, 3])
def test_columns_of_nothing_are_stubs_and_no_polygon(value: float, n_hidden: int) -> None:
    polygons = find_polygons(torch.full((2, n_hidden, 6), value))
    assert polygons.names == [IRREGULAR] * 2
    assert polygons.n_directions.tolist() == [0, 0]
    assert polygons.stub.all()
    assert polygons.residual.isnan().all()


def test_infinite_columns_are_no_polygon() -> None:
    assert name(torch.full((2, 6), math.inf)) == IRREGULAR


def test_a_column_that_is_not_a_number_is_a_stub_among_the_others() -> None:
    W = torch.cat([regular(4), torch.full((2, 1), math.nan, dtype=torch.float64)], dim=1)
    assert roles(W) == "lllls"


@pytest.mark.parametrize("n_hidden", [1, 3, 5])
def test_outside_the_plane_every_long_column_is_learned(n_hidden: int) -> None:
    W = torch.zeros(n_hidden, 5, dtype=torch.float64)
    W[0] = torch.tensor([1.0, 1.0, 0.3, 0.9, -1.0])  # two of them the same
    assert (roles(W), directions(W)) == ("llsll", 4)


@pytest.mark.parametrize("n_hidden", [1, 3, 5])
def test_outside_the_plane_there_are_no_polygons(n_hidden: int) -> None:
    W = torch.zeros(n_hidden, 2, dtype=torch.float64)
    W[0] = torch.tensor([1.0, -1.0])  # a digon, were it in a plane
    assert name(W) == IRREGULAR


def test_weights_that_are_being_trained_are_read_and_left_as_they_are() -> None:
    W = torch.nn.Parameter(regular(5).float().unsqueeze(0))
    before = W.detach().clone()
    polygons = find_polygons(W)
    assert not polygons.residual.requires_grad
    assert torch.equal(W, before)


def test_an_angle_to_the_nearest_learned_column_is_the_short_way_round() -> None:
    angles = torch.tensor([170.0, 50, -70, -175, 110, 60]).deg2rad()
    lengths = torch.tensor([1.0, 1, 1, 0.2, 0.2, 0.2])
    W = (lengths * torch.stack([angles.cos(), angles.sin()])).unsqueeze(0)
    found = angles_to_learned(W, find_polygons(W)).rad2deg()[0]
    torch.testing.assert_close(found, torch.tensor([0.0, 0, 0, 15, 60, 10]).double(), rtol=0, atol=1e-4)


def test_without_a_learned_column_there_is_no_angle() -> None:
    W = torch.full((1, 2, 6), 0.1)
    assert angles_to_learned(W, find_polygons(W)).isnan().all()


def test_what_is_left_out_is_all_that_is_not_learned() -> None:
    W = torch.zeros(2, 2, 3)
    W[0, 0] = torch.tensor([1.0, 0.1, 2.0])  # a learned column overlaps a longer one
    assert find_polygons(W).unlearned == [[0, 1], [0, 1, 2]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_hidden", [1, 2, 3])
def test_directions_alone_are_counted_as_with_all_else(n_hidden: int, dtype: torch.dtype) -> None:
    W = noise((500, n_hidden, 7), 0.7, 0).to(dtype)
    W[0] = math.nan
    assert torch.equal(count_directions(W), find_polygons(W).n_directions)


# Dimensionality


@pytest.mark.parametrize("k", range(3, 12))
def test_each_corner_of_a_regular_polygon_has_its_share_of_two_dimensions(k: int) -> None:
    corners = columns(*((1.3, 360 * j / k + 7) for j in range(k)))
    values = dimensionality(corners.unsqueeze(0))
    torch.testing.assert_close(values, torch.full_like(values, 2 / k), rtol=1e-13, atol=0)  # float64 sums


def test_vectors_at_right_angles_have_a_dimension_each_and_opposite_ones_half_of_one() -> None:
    right = dimensionality(columns((2, 0), (0.5, 90)).unsqueeze(0))
    opposite = dimensionality(columns((2, 0), (2, 180)).unsqueeze(0))
    torch.testing.assert_close(right, torch.ones_like(right))
    torch.testing.assert_close(opposite, torch.full_like(opposite, 0.5))


@pytest.mark.parametrize("n_hidden", [1, 2, 5])
def test_dimensionality_is_its_formula_vector_by_vector(n_hidden: int) -> None:
    v = torch.randn(3, n_hidden, 7, generator=seeded(0), dtype=torch.float64)
    values = dimensionality(v)
    for instance, i in itertools.product(range(3), range(7)):
        own = v[instance, :, i]
        along = sum(float(own / own.norm() @ v[instance, :, j]) ** 2 for j in range(7))
        assert float(values[instance, i]) == pytest.approx(float(own @ own) / along, rel=1e-12)


def test_a_vector_of_length_zero_has_no_dimension() -> None:
    assert dimensionality(columns((0, 0), (1, 0)).unsqueeze(0)).tolist() == [[0, 1]]
    assert dimensionality(torch.zeros(1, 2, 3)).tolist() == [[0, 0, 0]]


def test_dimensionality_does_not_change_with_the_scale_of_all_vectors() -> None:
    v = torch.randn(2, 2, 9, generator=seeded(1), dtype=torch.float64)
    torch.testing.assert_close(dimensionality(1e-6 * v), dimensionality(v), rtol=1e-12, atol=0)


# The longest columns


def test_the_longest_columns_are_given_in_their_order() -> None:
    W = torch.tensor([[3.0, 0.0, 1.0, 2.0], [0.0, 0.5, 0.0, 0.0]])
    assert longest(W, 2).tolist() == [0, 3]
    assert longest(W, 9).tolist() == [0, 1, 2, 3]
