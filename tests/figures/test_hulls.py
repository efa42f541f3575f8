"""The faces and edges of hulls, degenerate ones included."""

import numpy as np
import pytest
import torch

from src.figures.hulls import hull_of
from tests.figures.solids import COUNTS, SOLIDS, ring, trained

EYE = np.array([0.0, 0.0, 6.0])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", COUNTS)
def test_a_solid_has_whole_faces_though_training_is_not_exact(name: str, seed: int) -> None:
    points = trained(name, seed).double().numpy()
    hull = hull_of(points)
    assert (len(hull.faces), len(hull.edges)) == COUNTS[name]
    assert {i for face in hull.faces for i in face} == set(range(len(points)))
    for face, normal in zip(hull.faces, hull.normals, strict=True):
        middle = points[face].mean(axis=0)
        assert normal @ middle > 0.3  # outwards
        corners = points[face] - middle
        turned = np.cross(corners, np.roll(corners, -1, axis=0)) @ normal
        assert (turned > 0).all()  # corners follow each other counter-clockwise


def test_each_edge_lies_between_the_two_faces_that_share_it() -> None:
    hull = hull_of(SOLIDS["cube"].double().numpy())
    assert all(len(face) == 4 for face in hull.faces)
    for edge, sides in zip(hull.edges, hull.sides, strict=True):
        assert sides is not None
        assert sides[0] != sides[1]
        assert all(set(edge) <= set(hull.faces[side]) for side in sides)


def test_three_edges_and_a_corner_of_a_cube_are_hidden() -> None:
    points = (SOLIDS["cube"] @ torch.linalg.qr(torch.tensor([[3.0, 1, 1], [1, 3, 2], [2, -1, 4]]))[0]).double().numpy()
    hull = hull_of(points)
    faces_seen = hull.faces_seen(points, EYE)
    assert sum(faces_seen) == 3
    assert hull.edges_seen(faces_seen).count(False) == 3
    assert hull.corners_hidden(faces_seen) == {int(points[:, 2].argmin())}


def test_points_in_a_plane_are_one_polygon_that_hides_nothing() -> None:
    points = trained_ring().numpy()
    hull = hull_of(points)
    assert not hull.is_solid
    assert [sorted(face) for face in hull.faces] == [[0, 1, 2, 3, 4]]
    seen = hull.faces_seen(points, EYE)
    assert hull.edges_seen(seen) == [True] * 5


def trained_ring() -> torch.Tensor:
    scatter = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    return (ring(5) + 0.01 * scatter).double()


def test_points_on_a_line_are_joined_end_to_end() -> None:
    points = np.array([[0.0, 0, 1], [0, 0.01, 0.2], [0, 0, -1]])
    hull = hull_of(points)
    assert (hull.faces, [set(edge) for edge in hull.edges]) == ([], [{0, 2}])


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.ones((1, 3)), np.zeros((6, 3)), np.ones((5, 3))], ids=len)
def test_points_in_one_place_have_no_hull(points: np.ndarray) -> None:
    hull = hull_of(points)
    assert (hull.faces, hull.edges) == ([], [])
