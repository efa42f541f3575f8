"""What is drawn of one hidden dimension."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.collections import CircleCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D

from src.figures.elements import png
from src.figures.number_line import draw_number_line, stacked
from src.figures.polygons import polygon_figure
from src.geometry.polygons import find_polygons

UNIT, MIDDLE = 1.1, 1.6  # inches
PILES = {
    "a pair and stubs": [1.0, -0.98, 0.01, -0.02, 0.03, 0.0],
    "piles on both sides": [0.6, 0.58, 0.62, -0.6, -0.6, 1.0, 0.6],
    "zeros": [0.0] * 6,
    "two": [1.0, -1.0],
    "close": [0.01 * k for k in range(12)],
}


def drawn(values: list[float]) -> tuple[PathCollection, CircleCollection]:
    """The numbers and the marks."""
    figure, W = Figure(figsize=(3.2, 3.2)), torch.tensor([values])
    polygons = find_polygons(W.unsqueeze(0))
    draw_number_line(figure, W, polygons, 0, figure.dpi_scale_trans, (MIDDLE, MIDDLE), UNIT, 1.3)
    (numbers,) = [own for own in figure.artists if isinstance(own, PathCollection)]
    (marks,) = [own for own in figure.artists if isinstance(own, CircleCollection)]
    return numbers, marks


@pytest.mark.parametrize("values", PILES.values(), ids=PILES)
def test_no_number_covers_another_or_a_mark(values: list[float]) -> None:
    numbers, marks = drawn(values)
    boxes = [
        path.get_extents(Affine2D().scale(1 / 72).translate(*place))  # a number's shape is in points
        for path, place in zip(numbers.get_paths(), np.asarray(numbers.get_offsets()), strict=True)
    ]
    assert len(boxes) == len(values)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    radius = np.sqrt(marks.get_sizes().max() / np.pi) / 72
    for (x, y), box in itertools.product(np.asarray(marks.get_offsets()), boxes):
        gap = np.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1))
        assert gap > 0.9 * radius


@pytest.mark.parametrize("values", PILES.values(), ids=PILES)
def test_each_mark_is_at_its_place_on_the_line_and_apart_from_others(values: list[float]) -> None:
    offsets = np.asarray(drawn(values)[1].get_offsets())
    assert offsets[:, 0] == pytest.approx(MIDDLE + UNIT * np.array(values), abs=1e-6)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(offsets, 2)) > 0.09
    assert offsets[:, 1].max() < 2 * MIDDLE


def test_marks_that_are_close_are_stacked_the_longest_lowest() -> None:
    assert stacked(np.array([0.5, 0.52, -0.5, 0.51]), 0.1) == [2, 0, 0, 1]


def test_the_line_has_its_ticks_and_any_columns_are_drawn() -> None:
    W = torch.tensor([[[1.0, -1.0, float("nan"), 1e30]], [[0.5, 0, 0, 0]]])
    assert png(polygon_figure(W, ["a", "b"], 0), sharper=1).startswith(b"\x89PNG")
    assert png(polygon_figure(torch.randn(1, 1, 100), ["a"], 0), sharper=1).startswith(b"\x89PNG")
    texts = [text.get_text() for text in polygon_figure(torch.tensor([[[1.0, -1.0]]]), ["a"], 0).texts]
    assert texts[:3] == ["\N{MINUS SIGN}1", "0", "1"]
