"""From columns to polygons: their names, whole stacks of them, and columns that are none."""

import math

import pytest
import torch
from torch import Tensor

from src.geometry.polygons import (
    IRREGULAR,
    NAMES,
    REGULAR_WITHIN,
    angles_to_learned,
    count_directions,
    find_polygons,
    longest,
)
from tests.geometry.columns import (
    POLYGONS,
    RESIDUAL,
    columns,
    directions,
    name,
    noise,
    regular,
    roles,
    rotation,
    seeded,
)

# Names


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", POLYGONS)
def test_a_regular_polygon_has_its_name_however_it_lies(k: int, seed: int) -> None:
    """Rotated, mirrored and with its columns in any order."""
    mirror = torch.tensor([1.0, -1.0 if seed % 2 else 1.0], dtype=torch.float64).diag()
    W = (rotation(seed) @ mirror @ regular(k))[:, torch.randperm(k, generator=seeded(seed))]
    assert name(W) == NAMES[k]


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


def test_two_antipodal_pairs_at_a_right_angle_are_a_square() -> None:
    assert name(columns((1, 20), (1, 200), (1, 110), (1, 290))) == "square"


def test_two_orthogonal_columns_are_irregular() -> None:
    assert name(columns((1, 20), (1, 110))) == IRREGULAR


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
def test_outside_the_plane_columns_of_one_direction_are_one_too(n_hidden: int) -> None:
    W = torch.zeros(n_hidden, 5, dtype=torch.float64)
    W[0] = torch.tensor([1.0, 1.0, 0.3, 0.9, -1.0])
    assert (roles(W), directions(W)) == ("losol", 2)


@pytest.mark.parametrize(("n_hidden", "expected"), [(1, "antipodal pair"), (2, "digon"), (3, "digon"), (5, "digon")])
def test_two_opposite_columns_have_a_name_in_any_space(n_hidden: int, expected: str) -> None:
    W = torch.zeros(n_hidden, 2, dtype=torch.float64)
    W[0] = torch.tensor([1.0, -1.0])
    assert name(W) == expected


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


# The longest columns


def test_the_longest_columns_are_given_in_their_order() -> None:
    W = torch.tensor([[3.0, 0.0, 1.0, 2.0], [0.0, 0.5, 0.0, 0.0]])
    assert longest(W, 2).tolist() == [0, 3]
    assert longest(W, 9).tolist() == [0, 1, 2, 3]
