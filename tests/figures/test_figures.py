"""What is drawn: read back from the axes, not from pixels."""

import math

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from src.figures.basin import draw_basin, outcome_color
from src.figures.columns import MAX_SPOKES
from src.figures.elements import png
from src.figures.gallery import draw_gallery, gallery_figure
from src.figures.palette import FEATURE_COLORS, GEOMETRY_COLORS, feature_color, geometry_color, tint
from src.figures.polygons import draw_polygon, polygon_figure
from src.figures.rates import draw_rates, draw_shares, rate_grid_figure, rates_figure
from src.geometry.polygons import find_polygons
from src.results.patching import ANOTHER, SAME
from src.results.rates import rate, rates

ANGLES = torch.arange(5) * 2 * math.pi / 5 + 0.3
PENTAGON = torch.stack([ANGLES.cos(), ANGLES.sin()])
HEXAGON = torch.stack([(torch.arange(6) * math.pi / 3).cos(), (torch.arange(6) * math.pi / 3).sin()])
WITH_STUB = torch.cat([PENTAGON, 0.3 * PENTAGON[:, 2:3]], dim=1)


def spokes(axes: object) -> list[list[list[float]]]:
    (lines,) = [artist for artist in axes.get_children() if isinstance(artist, LineCollection)]  # type: ignore[attr-defined]
    return [segment.tolist() for segment in lines.get_segments()]


def outlines(axes: object) -> list[Polygon]:
    return [patch for patch in axes.patches if isinstance(patch, Polygon)]  # type: ignore[attr-defined]


def test_a_polygon_has_a_spoke_for_each_column_and_its_learned_corners_in_order() -> None:
    axes = Figure().subplots()
    draw_polygon(axes, WITH_STUB, find_polygons(WITH_STUB.unsqueeze(0)), 0, axes.transData)
    assert torch.allclose(torch.tensor(spokes(axes))[:, 1], WITH_STUB.T)
    assert torch.equal(torch.tensor(spokes(axes))[:, 0], torch.zeros(6, 2))
    (outline,) = outlines(axes)
    corners = torch.tensor(outline.get_xy()[:-1])
    turned = torch.atan2(corners[:, 1], corners[:, 0])
    assert len(corners) == 5
    assert torch.equal(turned, turned.sort().values)


def test_a_polygon_in_the_plane_does_not_turn() -> None:
    W = torch.stack([WITH_STUB, WITH_STUB])
    usual, turned = (png(polygon_figure(W, ["one", "two"], 3, turn=turn)) for turn in (None, 30.0))
    assert usual == turned


def test_panels_say_how_many_features_are_learned() -> None:
    figure = polygon_figure(torch.stack([WITH_STUB, WITH_STUB]), ["one", "two"], 1234)
    caption = f"5 of 6 learned, norm {WITH_STUB.norm():.2f}"
    texts = [text.get_text() for text in figure.texts]
    each = ["length 1", "{}\npentagon", caption]
    assert texts == [*(text.format(name) for name in ("one", "two") for text in each), "step 1,234"]
    assert figure.get_suptitle() == "step 1,234"


def test_a_gallery_turns_every_polygon_so_that_its_longest_column_points_up() -> None:
    axes = Figure().subplots()
    longer = WITH_STUB.clone()
    longer[:, 3] *= 1.2
    draw_gallery(axes, torch.stack([WITH_STUB, longer]), ["pentagon", "hexagon"])
    second = torch.tensor(spokes(axes))[6:]
    tips = second[:, 1] - second[:, 0]
    longest = tips[tips.norm(dim=1).argmax()]
    assert longest[0].item() == pytest.approx(0, abs=1e-6)
    assert longest[1].item() > 0
    assert torch.allclose(tips.norm(dim=1), 0.36 * longer.norm(dim=0), atol=1e-6)
    assert [outline.get_facecolor()[:3] for outline in outlines(axes)] == [
        to_rgb(geometry_color(name)) for name in ("pentagon", "hexagon")
    ]


def test_a_gallery_shows_240_and_counts_all() -> None:
    names = ["hexagon"] * 50 + ["pentagon"] * 250
    W = torch.cat([HEXAGON.expand(50, 2, 6), WITH_STUB.expand(250, 2, 6)])
    figure = gallery_figure(W, names)
    assert figure.get_suptitle() == "the first 240 of 300 instances"
    assert len(spokes(figure.axes[0])) == 240 * 6
    drawn = [(len(outline.get_xy()) - 1, outline.get_facecolor()[:3]) for outline in outlines(figure.axes[0])]
    assert drawn == [(5, to_rgb(geometry_color("pentagon")))] * 190 + [(6, to_rgb(geometry_color("hexagon")))] * 50
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [f"{name} {rate(count, 300)}" for name, count in (("pentagon", 250), ("hexagon", 50))]


def test_shares_are_drawn_with_their_intervals() -> None:
    axes = Figure().subplots()
    draw_shares(axes, [0, 10], {"pentagon": [2, 8], "hexagon": [0, 2]}, 10)
    for line, counts in zip(axes.get_lines(), ([2, 8], [0, 2]), strict=True):
        assert list(line.get_ydata()) == [count / 10 for count in counts]  # type: ignore[arg-type]
    lows = {round(float(y), 6) for band in axes.collections for y in band.get_paths()[0].vertices[:, 1]}
    assert {round(rate(8, 10).low, 6), round(rate(8, 10).high, 6), round(rate(0, 10).high, 6)} <= lows
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [f"pentagon  {rate(8, 10)}", f"hexagon  {rate(2, 10)}"]


def test_rates_are_points_on_their_intervals() -> None:
    axes = Figure().subplots()
    outcomes = {"a": rates(["pentagon"] * 7 + ["hexagon"] * 3), "b": rates(["square"] * 4)}
    draw_rates(axes, outcomes)
    shares = [share for cell in outcomes.values() for share in cell.values()]
    lines = axes.get_lines()
    assert [tuple(line.get_xdata()) for line in lines[::2]] == [(share.low, share.high) for share in shares]  # type: ignore[arg-type]
    assert [line.get_xdata()[0] for line in lines[1::2]] == [share.share for share in shares]  # type: ignore[index]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_a_grid_of_rates_has_a_panel_for_each_geometry_and_leaves_missing_cells_empty() -> None:
    outcomes = {
        ("0.1", "0"): rates(["pentagon"] * 7 + ["hexagon"] * 3),
        ("1", "0"): rates(["pentagon"] * 4),
        ("0.1", "0.9"): rates(["square"] * 4 + ["pentagon"] * 6),
    }
    figure = rate_grid_figure(outcomes, ("lr", "momentum"))
    assert [axes.get_title(loc="left").removeprefix("share that ends in: ") for axes in figure.axes] == [
        "pentagon",
        "square",
        "hexagon",
    ]
    values = figure.axes[0].get_images()[0].get_array()
    assert isinstance(values, np.ma.MaskedArray)
    assert values.mask.tolist() == [[False, False], [False, True]]
    assert values.filled(-1).tolist() == [[0.7, 1.0], [0.6, -1]]
    written = [text.get_text() for text in figure.axes[2].texts]
    assert written[:4] == ["30.0%", "10.8 to 60.3", "0.0%", "0.0 to 49.0"]  # of ten, of four
    assert (figure.axes[2].get_xlabel(), figure.axes[2].get_ylabel()) == ("lr", "momentum")


def test_a_basin_has_its_bottom_row_first_and_the_other_columns_over_it() -> None:
    axes = Figure().subplots()
    names = [["hexagon", "hexagon"], ["pentagon without 3", "square"]]
    draw_basin(axes, names, 2.0, 1, WITH_STUB)
    (image,) = axes.get_images()
    assert image.origin == "lower"
    assert list(image.get_extent()) == [-2, 2, -2, 2]
    pixels = image.get_array()
    assert pixels is not None
    for row in (0, 1):
        for column in (0, 1):
            assert tuple(pixels[row, column]) == pytest.approx(to_rgb(outcome_color(names[row][column])))
    without, *numbers = axes.texts
    assert without.get_text() == "without 3"
    assert without.get_position() == pytest.approx((-1, 1))  # the middle of its one point
    assert sorted(text.get_text() for text in numbers) == ["0", "2", "3", "4", "5"]
    for text in numbers:
        assert text.get_position() == pytest.approx(WITH_STUB[:, int(text.get_text())].tolist())
    (star,) = [line for line in axes.get_lines() if line.get_marker() == "*"]
    assert [star.get_xdata()[0], star.get_ydata()[0]] == pytest.approx(WITH_STUB[:, 1].tolist())  # type: ignore[index]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][:3] == [
        "hexagon  50.0%",
        "square  25.0%",
        "pentagon without 3  25.0%",
    ]


def test_colours_tell_apart_what_is_shown_together() -> None:
    assert len({geometry_color(name) for name in GEOMETRY_COLORS if "same" not in name}) == len(GEOMETRY_COLORS) - 1
    assert len({tint(color) for color in FEATURE_COLORS}) == len(FEATURE_COLORS)
    assert same_color(outcome_color("pentagon without 2"), tint(feature_color(2)))
    assert outcome_color("hexagon") == geometry_color("hexagon")
    assert tint("#000000") == "#808080"
    assert geometry_color("11-gon") not in GEOMETRY_COLORS.values()


def test_the_outcomes_of_patching_have_colours_of_their_own() -> None:
    colors = {geometry_color(name) for name in (SAME, ANOTHER, "hexagon", "square", "irregular", "no geometry")}
    assert len(colors) == 6


def test_a_figure_becomes_a_png() -> None:
    assert png(Figure(figsize=(1, 1))).startswith(b"\x89PNG")


def test_more_cells_than_a_picture_holds_are_counted() -> None:
    figure = rates_figure({f"cell {k}": rates(["pentagon"]) for k in range(70)}, "what they did")
    assert len(figure.axes[0].get_yticks()) == 60
    assert figure.axes[0].get_title(loc="left") == "what they did\nthe first 60 of 70 cells"


def test_a_model_of_very_many_features_is_drawn_by_its_longest() -> None:
    axes = Figure().subplots()
    W = torch.randn(2, MAX_SPOKES + 1, generator=torch.Generator().manual_seed(0))
    draw_polygon(axes, W, find_polygons(W.unsqueeze(0)), 0, axes.transData)
    (spokes,) = [artist for artist in axes.collections if isinstance(artist, LineCollection)]
    assert len(spokes.get_segments()) == MAX_SPOKES
