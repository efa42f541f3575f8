"""The Gram matrix and what stands beside it: read back from the artists."""

import math

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import BboxImage

from src.figures.elements import png
from src.figures.gram import BARS, MOST, PRODUCTS, SUPERPOSITION, draw_gram, superposition
from src.figures.gram_figure import gram_figure
from src.figures.polygons import polygon_figure

ANGLES = torch.arange(5) * 2 * math.pi / 5 + 0.3
PENTAGON = torch.stack([ANGLES.cos(), ANGLES.sin()])
RANDOM = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))


def image_of(figure: Figure) -> np.ndarray:
    return np.asarray(next(own for own in figure.artists if isinstance(own, BboxImage)).get_array())


def bars_of(figure: Figure) -> PolyCollection:
    (bars,) = [own for own in figure.artists if isinstance(own, PolyCollection)]
    return bars


def drawn(W: torch.Tensor, limit: float = 1.0) -> Figure:
    figure = Figure(figsize=(5, 4))
    draw_gram(figure, W, figure.dpi_scale_trans, (0.5, 3.5), 2.5, limit)
    return figure


def test_a_corner_of_a_pentagon_has_one_and_a_half_of_superposition() -> None:
    """Over the other corners of a regular k-gon cos^2 sums up to k / 2 - 1."""
    assert superposition(PENTAGON).tolist() == pytest.approx([1.5] * 5)
    assert superposition(2 * PENTAGON).tolist() == pytest.approx([6.0] * 5)


def test_superposition_is_the_sum_over_the_other_features() -> None:
    W = torch.cat([RANDOM, torch.zeros(3, 1)], dim=1).double()
    for i in range(7):
        others = [j for j in range(8) if j != i]
        expected = sum(float((W[:, i] / W[:, i].norm()) @ W[:, j]) ** 2 for j in others)
        assert superposition(W)[i].item() == pytest.approx(expected)
    assert superposition(W)[7] == 0
    assert superposition(torch.eye(4)).tolist() == [0] * 4


def test_the_map_has_the_colours_of_the_products_of_columns() -> None:
    limit = float((RANDOM.T @ RANDOM).abs().max())
    expected = PRODUCTS(((RANDOM.T @ RANDOM).numpy() / limit + 1) / 2, bytes=True)
    assert np.abs(image_of(drawn(RANDOM, limit)).astype(int) - expected).max() <= 2  # of 255: a step of the colours
    diagonal = image_of(drawn(torch.eye(3)))
    assert (diagonal[..., 3] == 255 * np.eye(3)).all()  # 0 is transparent


def test_a_bar_is_as_long_as_its_column_in_the_colour_of_its_superposition() -> None:
    W = torch.tensor([[1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.2, 0.0]])
    bars = bars_of(drawn(W))
    lengths = [float(np.ptp(path.vertices[:, 0])) for path in bars.get_paths()]
    assert lengths == pytest.approx([2.5 * BARS * length / 1.2 for length in (1, 0.5, 1.2, 0)])
    assert bars.get_facecolor()[:, :3] == pytest.approx(SUPERPOSITION([0.25, 1.0, 0.0, 0.0])[:, :3])


def test_each_feature_has_its_number_and_its_dimensionality() -> None:
    texts = [text.get_text() for text in drawn(PENTAGON).texts]
    assert texts == [str(i) for i in range(5) for _ in range(2)] + ["0.40"] * 5


def test_of_many_features_few_are_numbered() -> None:
    texts = [text.get_text() for text in drawn(torch.randn(4, 100)).texts]
    assert texts == [str(i) for i in range(0, 100, 20) for _ in range(2)]


def test_of_very_many_features_the_longest_are_drawn_and_said_to_be() -> None:
    W = torch.randn(1, 4, MOST + 200, generator=torch.Generator().manual_seed(0))
    figure = gram_figure(W, ["seed 0"], 7)
    assert image_of(figure).shape[:2] == (MOST, MOST)
    assert any("the 1,000 longest" in text.get_text() for text in figure.texts)


def test_more_than_three_hidden_dimensions_are_drawn_as_gram_matrices_and_say_so() -> None:
    W = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    figure = polygon_figure(W, ["a", "b"], 3)
    captions = [text.get_text() for text in figure.texts if "Gram" in text.get_text()]
    assert [caption.splitlines()[1] for caption in captions] == ["m = 5: Gram matrix"] * 2
    assert len([own for own in figure.artists if isinstance(own, BboxImage)]) == 2


@pytest.mark.parametrize("n_hidden", [1, 2, 4])
@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, 1e30])
def test_any_columns_are_drawn(value: float, n_hidden: int) -> None:
    W = torch.randn(2, n_hidden, 4, generator=torch.Generator().manual_seed(0))
    W[0, :, 1] = value
    for figure in (gram_figure(W, ["a", "b"], 1), polygon_figure(W, ["a", "b"], 1)):
        assert png(figure, sharper=1).startswith(b"\x89PNG")
