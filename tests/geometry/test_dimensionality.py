"""How much of the hidden space a vector has to itself, of all vectors at once and in parts."""

import itertools

import pytest
import torch

from src.geometry.dimensionality import Dimensionality, dimensionality
from tests.geometry.columns import columns, seeded


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


# In parts


@pytest.mark.parametrize("sizes", [(40,), (1, 39), (10, 10, 20)])
@pytest.mark.parametrize("n_instances", [1, 3])
def test_vectors_that_arrive_in_parts_have_the_dimensionality_of_the_whole(
    n_instances: int, sizes: tuple[int, ...]
) -> None:
    vectors = torch.randn(n_instances, 2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    metric = Dimensionality()
    for part in vectors.split(sizes, dim=2):
        metric.update(part)
    assert torch.equal(metric.value(), dimensionality(vectors))
    assert torch.equal(metric.compute().reshape(n_instances, 40), metric.value())


def test_a_reset_forgets_the_vectors() -> None:
    metric = Dimensionality()
    metric.update(torch.ones(1, 2, 3))
    metric.reset()
    metric.update(torch.ones(1, 2, 1))
    assert metric.value().tolist() == [[1.0]]
