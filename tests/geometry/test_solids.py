"""From columns to names outside the plane: solids, products of shapes, and what is neither."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from src.geometry.polygons import IRREGULAR, REGULAR_WITHIN, angles_to_learned, find_polygons
from src.geometry.shapes import shapes_of
from tests.geometry.columns import name, noise, regular, residual, roles
from tests.geometry.configurations import ALL, CUBE, DIGON, ONE, PRODUCTS, SOLIDS, beside, in_more_dimensions, moved
from tests.running import slow

# Turns and fits add roundings of 1e-16, the angles that `tests.geometry.configurations` gives in degrees none.
EXACT = {"rtol": 0, "atol": 1e-12}


def random_columns(n_features: int, n_instances: int = 2000, n_hidden: int = 3) -> Tensor:
    return noise((n_instances, n_hidden, n_features), 1.0, n_features)


# Names


@pytest.mark.parametrize("shape", ALL)
def test_a_shape_has_its_name_however_it_lies(shape: str) -> None:
    """Rotated, mirrored and with its columns in any order."""
    stack = torch.stack([moved(ALL[shape], seed) for seed in range(8)])
    assert find_polygons(stack).names == [shape] * 8


@pytest.mark.parametrize("shape", ALL)
def test_a_shape_with_a_little_noise_keeps_its_name(shape: str) -> None:
    W = 1.1 * ALL[shape]
    scale = 0.02 if shape == "capped square antiprism" else 0.04  # 0.04 may make it a tricapped triangular prism
    stack = torch.stack([moved(W + noise(tuple(W.shape), scale, seed), seed) for seed in range(8)])
    assert find_polygons(stack).names == [shape] * 8


@pytest.mark.parametrize("shape", ALL)
@pytest.mark.parametrize("length", [0.75, 1.0, 100.0])
def test_the_size_of_a_shape_does_not_matter(shape: str, length: float) -> None:
    assert name(moved(length * ALL[shape], 1)) == shape


@pytest.mark.parametrize("shape", ALL)
def test_stubs_overlaps_and_dead_columns_do_not_change_a_shape(shape: str) -> None:
    W = moved(ALL[shape], 3) + noise(tuple(ALL[shape].shape), 0.02, 3)
    dead, stub, overlap = torch.zeros(len(W), 1), 0.3 * noise((len(W), 1), 1.0, 1) / len(W), 0.9 * W[:, :2]
    overlap = overlap[:, : W.shape[1]] + (noise(tuple(overlap.shape), 0.02, 4) if len(W) > 1 else 0)
    more = torch.cat([dead, W, stub, overlap], dim=1)
    assert name(more) == shape
    assert roles(more) == "s" + "l" * W.shape[1] + "s" + "o" * overlap.shape[1]
    torch.testing.assert_close(residual(more), residual(W), **EXACT)


@pytest.mark.parametrize("shape", [*SOLIDS, "octahedron", "pentagonal bipyramid", "triangle x single"])
def test_a_shape_in_more_dimensions_than_it_needs_keeps_its_name(shape: str) -> None:
    assert name(moved(in_more_dimensions(ALL[shape], 6), 2)) == shape


@pytest.mark.parametrize(
    ("k", "shape"), [(3, "triangle"), (5, "pentagon"), (6, "hexagon"), (8, "octagon"), (9, "9-gon")]
)
@pytest.mark.parametrize("n_hidden", [3, 5])
def test_a_polygon_in_a_plane_of_a_larger_space_keeps_its_name(k: int, shape: str, n_hidden: int) -> None:
    W = in_more_dimensions(regular(k), n_hidden)
    stack = torch.stack([moved(W + noise(tuple(W.shape), 0.03, seed), seed) for seed in range(8)])
    assert find_polygons(stack).names == [shape] * 8


@pytest.mark.parametrize(
    ("W", "shape"),
    [(ONE, "single"), (DIGON, "digon"), (beside(DIGON, 1.3 * DIGON), "square"), (beside(*[ONE] * 3), "3 orthogonal")],
)
def test_few_columns_in_four_dimensions_have_their_names(W: Tensor, shape: str) -> None:
    assert name(moved(in_more_dimensions(W, 4), 5)) == shape


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ([1.0], "single"),
        ([0.8, -0.9, 0.1], "antipodal pair"),
        ([1.0, 0.9, -1.0], "antipodal pair"),
        ([1.0, -0.6], IRREGULAR),
        ([0.6, 1.0, 0.9], "single"),
    ],
)
def test_on_a_line_there_are_single_columns_and_pairs(row: list[float], shape: str) -> None:
    assert name(torch.tensor([row])) == shape


@pytest.mark.parametrize("from_pole", [45, 50, 55, 60, 65, 70])
def test_the_height_of_an_antiprism_is_free(from_pole: float) -> None:
    radius, height = math.sin(math.radians(from_pole)), math.cos(math.radians(from_pole))
    scale = torch.tensor([radius, radius, height], dtype=torch.float64) / torch.tensor(math.sqrt(0.5))
    upper, lower = regular(4, 1.0, 0.0), regular(4, 1.0, 45.0)
    flat = torch.ones(1, 4, dtype=torch.float64)
    W = scale.unsqueeze(1) * torch.cat([torch.cat([upper, flat]), torch.cat([lower, -flat])], dim=1)
    torch.testing.assert_close(residual(moved(W, 1)), 0.0, **EXACT)
    assert name(moved(W, 1)) == "square antiprism"


# What is irregular


def changed(W: Tensor, column: int, by: float) -> Tensor:
    """One column moved, in the direction of the second one after it."""
    W = W.clone()
    W[:, column] += by * W[:, (column + 2) % W.shape[1]]
    return W


@pytest.mark.parametrize(
    "W",
    [
        torch.tensor([[1.0], [1.0], [1.8]], dtype=torch.float64) * CUBE,
        CUBE[:, :7],
        changed(CUBE, 0, 0.6),
        changed(SOLIDS["icosahedron"], 0, 0.7),
        changed(SOLIDS["square antiprism"], 0, 0.6),
        changed(SOLIDS["triangular prism"], 0, 0.6),
        changed(SOLIDS["capped octahedron"], 1, 0.6),
        changed(SOLIDS["tetrahedron"], 1, 0.5),
        torch.tensor([[1.0], [1.0], [1.6]], dtype=torch.float64) * SOLIDS["tetrahedron"],
        changed(PRODUCTS["octahedron"], 0, 0.9),
        changed(PRODUCTS["triangular bipyramid"], 0, 0.7),
        changed(PRODUCTS["5-simplex"], 0, 0.7),
    ],
)
def test_near_misses_are_irregular(W: Tensor) -> None:
    found = find_polygons(moved(W, 1).unsqueeze(0))
    assert found.names == [IRREGULAR]
    assert REGULAR_WITHIN < float(found.residual) < 1


@pytest.mark.parametrize("n_features", [4, 5, 6, 7, 8, *map(slow, (9, 10, 11, 12))])
def test_random_columns_are_hardly_ever_named(n_features: int) -> None:
    """Not one of 2,000 with five features or more; of four, a few that have two or three learned at right angles."""
    names = find_polygons(random_columns(n_features)).names
    n_named = sum(found != IRREGULAR for found in names)
    assert n_named <= (20 if n_features == 4 else 2)


# Residuals


@pytest.mark.parametrize("shape", [*SOLIDS, *PRODUCTS])
def test_noise_moves_a_shape_no_further_than_its_own_size(shape: str) -> None:
    added = noise(tuple(ALL[shape].shape), 0.03, 2)
    W = ALL[shape] + added
    exact, noisy = residual(moved(ALL[shape], 2)), residual(moved(W, 2))
    assert exact < 0.02
    assert exact != noisy
    assert noisy <= exact + (added.norm() / W.norm()).item()


@pytest.mark.parametrize("degrees", [1.0, 5.0, 11.0])
def test_blocks_that_are_not_quite_orthogonal_leave_half_the_angle_that_they_lack(degrees: float) -> None:
    """Each of two digons turns by half of it."""
    W = beside(DIGON, DIGON, torch.zeros(1, 0, dtype=torch.float64))
    lean = math.radians(degrees)
    W[:2, 2:] = torch.tensor([[math.sin(lean)], [math.cos(lean)]], dtype=torch.float64) * DIGON
    torch.testing.assert_close(residual(moved(W, 3)), math.sin(lean / 2), **EXACT)
    assert name(moved(W, 3)) == "square"


@pytest.mark.parametrize(("share", "expected"), [(0.99, "digon"), (1.01, IRREGULAR)])
def test_a_name_is_given_up_to_the_residual_that_is_allowed(share: float, expected: str) -> None:
    half = math.pi / 2 - math.asin(share * REGULAR_WITHIN)
    W = torch.tensor([[math.sin(half), -math.sin(half)], [math.cos(half), math.cos(half)], [0, 0]])
    assert name(W.double()) == expected


@settings(max_examples=60, deadline=None)
@given(shape=st.sampled_from(list(ALL)), seed=st.integers(0, 10**6), scale=st.floats(0.0, 0.06))
def test_turns_mirrors_and_orders_do_not_change_what_is_found(shape: str, seed: int, scale: float) -> None:
    W = ALL[shape] + noise(tuple(ALL[shape].shape), scale, seed)
    here, there = (find_polygons(own.unsqueeze(0)) for own in (W, moved(W, seed + 1)))
    if abs(float(here.residual) - REGULAR_WITHIN) > 1e-3:
        assert here.names == there.names
    torch.testing.assert_close(here.residual, there.residual, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_corners", range(1, 13))
def test_the_patterns_of_a_family_are_orthogonal(n_corners: int) -> None:
    """So that the best coefficients are projections."""
    for shape in shapes_of(n_corners):
        flat = torch.tensor(shape.patterns).flatten(1)
        gram = flat @ flat.mT
        torch.testing.assert_close(gram, gram.diag().diag(), **EXACT)


# Stacks and oddities


@pytest.mark.parametrize("n_features", [1, 4, 7, 12])
@pytest.mark.parametrize("n_hidden", [1, 3, 4])
def test_an_instance_in_a_stack_is_what_it_is_alone(n_features: int, n_hidden: int) -> None:
    W = noise((30, n_hidden, n_features), 0.8, 1)
    W[7], W[11], W[12, :, 0] = 0, torch.nan, math.inf
    stack = find_polygons(W)
    for i in range(30):
        alone = find_polygons(W[i : i + 1])
        assert (alone.names[0], int(alone.n_directions)) == (stack.names[i], int(stack.n_directions[i]))
        for role in ("learned", "overlap", "stub"):
            assert torch.equal(getattr(alone, role)[0], getattr(stack, role)[i])
        torch.testing.assert_close(alone.residual[0], stack.residual[i], equal_nan=True, **EXACT)


@pytest.mark.parametrize("value", [math.inf, 1e200])
def test_columns_beyond_all_numbers_are_no_shape(value: float) -> None:
    W = torch.full((1, 3, 4), 1.0, dtype=torch.float64)
    W[0, 0, 0] = value
    found = find_polygons(W)
    assert found.names == [IRREGULAR]
    assert bool(found.learned[0, 0])


def test_a_column_that_is_not_a_number_is_a_stub_among_the_others() -> None:
    W = torch.cat([SOLIDS["tetrahedron"], torch.full((3, 1), math.nan, dtype=torch.float64)], dim=1)
    assert (roles(W), name(W)) == ("lllls", "tetrahedron")


def test_of_very_many_columns_every_long_one_counts_as_learned() -> None:
    W = torch.ones(1, 3, 600)
    W[0, :, 0] = 0.1
    found = find_polygons(W)
    assert (found.names, int(found.n_directions), int(found.overlap.sum())) == ([IRREGULAR], 599, 0)


def test_no_instances_are_no_shapes() -> None:
    assert find_polygons(torch.zeros(0, 3, 6)).names == []


def test_angles_to_the_nearest_learned_column_are_taken_in_any_space() -> None:
    W = torch.tensor([[1.0, 0, 0, 0.2, 0], [0, 1.0, 0, 0.2, 0], [0, 0, 1.0, 0, 0]]).unsqueeze(0)
    found = angles_to_learned(W, find_polygons(W)).rad2deg()[0]
    expected = torch.tensor([0.0, 0, 0, 45, math.nan], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4, equal_nan=True)
