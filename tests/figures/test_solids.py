"""What is drawn of three hidden dimensions: read back from the artists."""

import itertools
import math

import numpy as np
import pytest
import torch
from matplotlib.collections import CircleCollection, LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure
from torch import Tensor

from src.figures.elements import png
from src.figures.gallery import gallery_figure
from src.figures.labels import clear_places
from src.figures.polygons import polygon_figure
from src.figures.solids import EDGES, EDGES_BEHIND, SPOKES, draw_solid
from src.figures.views import TILT, clearest_view, project, turned
from src.geometry.polygons import find_polygons
from tests.figures.solids import COUNTS, SOLIDS, UP, ring, trained


def drawn(points: Tensor, turn: float | None = None) -> Figure:
    """A figure with one solid about (1, 1) in inches."""
    figure, W = Figure(figsize=(2, 2)), points.T
    view = None if turn is None else turned(turn)
    draw_solid(figure, W, find_polygons(W.unsqueeze(0)), 0, figure.dpi_scale_trans, (1.0, 1.0), view=view)
    return figure


def lines(figure: Figure, zorder: float) -> np.ndarray:
    found = [own for own in figure.artists if isinstance(own, LineCollection) and own.get_zorder() == zorder]
    return np.array([segment for own in found for segment in own.get_segments()]).reshape(-1, 2, 2)


def test_what_is_nearer_is_larger_on_the_page() -> None:
    points = np.array([[1.0, 0, -1], [1, 0, 0], [1, 0, 1]])
    flat, near = project(points, np.eye(3), 6.0)
    assert (np.diff(flat[:, 0]) > 0).all()
    assert near.tolist() == [-1, 0, 1]


@pytest.mark.parametrize("degrees", [0.0, 12.0, 90.0, 200.0])
def test_the_camera_turns_about_the_third_coordinate_which_stays_upright(degrees: float) -> None:
    view = turned(degrees)
    assert view @ view.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(view) == pytest.approx(1)
    assert view @ [0, 0, 1] == pytest.approx([0, math.cos(TILT), math.sin(TILT)])
    first, second = (turned(k) @ [1, 0, 0] for k in (degrees, degrees + 12))
    assert math.degrees(math.acos(first @ second)) == pytest.approx(12, abs=0.8)  # an equator turns by all of it


def test_nearer_spokes_and_tips_are_drawn_later_larger_and_darker() -> None:
    points = SOLIDS["icosahedron"]
    figure = drawn(points, turn=20.0)
    depth = points.double().numpy() @ turned(20.0)[2]
    flat = project(points.double().numpy(), turned(20.0), 6.0)[0] + 1
    order = [int(np.linalg.norm(flat - tip, axis=1).argmin()) for tip in lines(figure, SPOKES)[:, 1]]
    assert (np.diff(depth[order]) >= 0).all()
    circles = [own for own in figure.artists if isinstance(own, CircleCollection)]
    sizes = np.concatenate([own.get_sizes() for own in circles])
    alphas = np.concatenate([own.get_facecolors()[:, 3] for own in circles])
    near = [int(np.linalg.norm(flat - tip, axis=1).argmin()) for own in circles for tip in own.get_offsets()]
    assert (np.diff(sizes[np.argsort(depth[near])]) >= -1e-9).all()
    assert (np.diff(alphas[np.argsort(depth[near])]) >= -1e-9).all()


@pytest.mark.parametrize("name", COUNTS)
def test_all_edges_are_drawn_those_behind_faces_dashed(name: str) -> None:
    figure = drawn(trained(name))
    assert len(lines(figure, EDGES)) + len(lines(figure, EDGES_BEHIND)) == COUNTS[name][1]
    (behind,) = [own for own in figure.artists if own.get_zorder() == EDGES_BEHIND]
    (before,) = [own for own in figure.artists if own.get_zorder() == EDGES]
    assert isinstance(behind, LineCollection)
    assert isinstance(before, LineCollection)
    assert behind.get_linestyles()[0][1] is not None
    assert before.get_linestyles()[0][1] is None
    (faces,) = [own for own in figure.artists if isinstance(own, PolyCollection)]
    assert 0 < len(faces.get_paths()) < COUNTS[name][0]


def test_a_cube_shows_nine_edges_and_hides_three() -> None:
    figure = drawn(trained("cube"))
    assert (len(lines(figure, EDGES)), len(lines(figure, EDGES_BEHIND))) == (9, 3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SOLIDS)
def test_in_the_clearest_view_no_corner_is_behind_another(name: str, seed: int) -> None:
    points = trained(name, seed).double().numpy()
    view = clearest_view(points)
    assert view @ view.T == pytest.approx(np.eye(3), abs=1e-9)
    flat, _ = project(points, view, 6.0)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(flat, 2)) > 0.2


@pytest.mark.parametrize("name", ["tetrahedron", "octahedron", "pentagonal bipyramid", "icosahedron"])
def test_in_the_clearest_view_a_corner_on_the_axis_of_symmetry_is_on_top(name: str) -> None:
    points = trained(name, noise=0).double().numpy()
    assert (points @ clearest_view(points).T)[:, 1].max() == pytest.approx(math.cos(TILT))


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(6, 3),
        torch.cat([UP, torch.zeros(5, 3)]),
        torch.cat([UP, -UP, torch.zeros(4, 3)]),
        torch.cat([ring(3), torch.zeros(3, 3)]),
        ring(6),
        torch.tensor([[math.nan, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]),
        torch.tensor([[1e30, 0, 0], [0, -1e30, 0], [0, 0, 1], [1, 0, 0], [1, 1, 1]]),
        torch.tensor([[math.inf, 0, 0], [0, 1, 0], [0, 0, 1], [1, -math.inf, 0]]),
        torch.randn(200, 3, generator=torch.Generator().manual_seed(0)),
    ],
    ids=["nothing", "one", "two", "three", "flat", "nan", "huge", "infinite", "many"],
)
def test_any_columns_are_drawn(points: Tensor) -> None:
    for turn in (None, 30.0):
        figure = polygon_figure(points.T.unsqueeze(0), ["seed 0"], 5, turn=turn)
        assert png(figure, sharper=1).startswith(b"\x89PNG")


def test_a_flat_polygon_has_its_outline_and_one_face() -> None:
    figure = drawn(ring(5))
    (faces,) = [own for own in figure.artists if isinstance(own, PolyCollection)]
    assert len(faces.get_paths()) == 1
    assert (len(lines(figure, EDGES)), len(lines(figure, EDGES_BEHIND))) == (5, 0)


@pytest.mark.parametrize("turn", [None, 0.0, 45.0])
def test_no_number_covers_another(turn: float | None) -> None:
    stubs = 0.15 * torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    figure = drawn(torch.cat([trained("pentagonal bipyramid"), stubs]), turn)
    (numbers,) = [own for own in figure.artists if isinstance(own, PathCollection)]
    places = np.asarray(numbers.get_offsets())
    assert len(places) == 12
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2)) > 0.09  # inches: a digit's height


def test_a_number_moves_aside_from_a_point_and_from_a_line() -> None:
    none = np.zeros((0, 2, 2))
    one, right = np.array([[0.0, 0.0]]), np.zeros(1)
    assert clear_places(one, right, 1.0, none)[0] == pytest.approx([1, 0])
    both = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert np.linalg.norm(clear_places(both, np.zeros(2), 1.0, none)[0] - [1, 0]) > 0.7
    line = np.array([[[0.0, 0.0], [3.0, 0.0]]])
    assert abs(clear_places(one, right, 1.0, line)[0][1]) > 0.5


def test_a_gallery_of_solids_shows_their_edges() -> None:
    names = ["octahedron", "cube"]
    W = torch.stack([torch.cat([trained("octahedron"), torch.zeros(2, 3)]).T, trained("cube").T])
    figure = gallery_figure(W, names)
    (edges,) = [own for own in figure.axes[0].collections if isinstance(own, LineCollection)]
    assert len(edges.get_segments()) == 12 + 12
