"""The curves of a run, and the animation of its polygons: read back from the axes and from the file."""

import math
from xml.etree import ElementTree

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.curves import curves_figure
from src.figures.elements import label_ends
from src.figures.formation import formation_svg
from src.figures.palette import feature_color

STEPS = torch.tensor([0, 50, 100, 1000])
NAMES = ["seed 0", "seed <1>"]
SVG = "{http://www.w3.org/2000/svg}"


def trajectory(n_features: int = 5) -> dict[str, torch.Tensor]:
    """Two instances: a regular polygon that grows, and the same with its last column short."""
    angles = torch.arange(n_features) * 2 * math.pi / n_features
    W = torch.stack([angles.cos(), angles.sin()]) * torch.tensor([0.4, 0.6, 0.9, 1.1]).reshape(4, 1, 1, 1)
    W = W.repeat(1, 2, 1, 1)
    W[:, 1, :, -1] *= 0.2
    losses = torch.rand(4, 2, n_features, generator=torch.Generator().manual_seed(0))
    return {"steps": STEPS, "W": W, "gradient_norms": losses + 0.1, "feature_losses": losses}


def panels(figure: Figure) -> list[list[Axes]]:
    axes = figure.axes
    return [axes[row * 2 : row * 2 + 2] for row in range(4)]


def test_curves_have_a_column_an_instance_and_a_line_a_feature() -> None:
    recorded = trajectory()
    norms, gradients, losses, learned = panels(curves_figure(recorded, NAMES))
    for k in (0, 1):
        lines = norms[k].get_lines()
        assert [line.get_color() for line in lines[:5]] == [feature_color(i) for i in range(5)]
        assert len({line.get_linestyle() for line in lines[:2]}) == 2  # told apart without their colours
        assert list(lines[3].get_ydata()) == pytest.approx(recorded["W"][:, k, :, 3].norm(dim=1).tolist())
        assert list(lines[5].get_ydata()) == pytest.approx(recorded["W"][:, k].flatten(1).norm(dim=1).tolist())
        assert lines[6].get_ydata()[0] == pytest.approx(math.sqrt(5))  # type: ignore[index]
        assert list(losses[k].get_lines()[5].get_ydata()) == pytest.approx(
            recorded["feature_losses"][:, k].mean(dim=1).tolist()
        )
        assert gradients[k].get_yscale() == "log"
    assert [panel.get_lines()[0].get_ydata()[-1] for panel in learned] == [5, 4]  # type: ignore[index]
    assert norms[0].get_ylim() == norms[1].get_ylim()


def test_a_wide_model_has_quantiles_in_place_of_lines() -> None:
    (norms, *_), *_ = panels(curves_figure(trajectory(n_features=40), NAMES))
    median, whole, _ = norms.get_lines()
    assert list(median.get_ydata()) == pytest.approx([0.4, 0.6, 0.9, 1.1])
    assert whole.get_ydata()[-1] == pytest.approx(1.1 * math.sqrt(40), rel=1e-5)  # type: ignore[index]
    assert len(norms.collections) == 2


def test_labels_stand_at_the_ends_of_their_lines_and_share_a_row_where_these_meet() -> None:
    axes = Figure().subplots()
    axes.set_ylim(0, 10)
    label_ends(axes, [(5.0, "mean", "red"), (5.01, "1", "blue"), (9.0, "2", "green"), (5.0, "0", "black")])
    placed = {text.get_text(): (text.xy[1], text.xyann[0]) for text in axes.texts}  # type: ignore[attr-defined]
    assert placed["2"][0] == pytest.approx(0.9)
    assert [placed[name][0] for name in ("0", "1", "mean")] == pytest.approx([0.5] * 3)
    assert placed["0"][1] < placed["1"][1] < placed["mean"][1]


def test_the_animation_moves_every_column_through_every_record() -> None:
    recorded = trajectory()
    root = ElementTree.fromstring(formation_svg(recorded["W"], STEPS.tolist(), NAMES))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[:2] == ["seed 0", "pentagon"]
    assert "seed <1>" in texts
    assert [text for text in texts if text in ("0", "50", "100", "1,000")][-4:] == ["0", "50", "100", "1,000"]
    lines = [line for line in root.iter(f"{SVG}line") if line.find(f"{SVG}animate") is not None]
    assert len(lines) == 2 * 5
    x2, y2 = (animation.attrib for animation in lines[3].findall(f"{SVG}animate"))
    x, y = ([float(value) for value in own["values"].split(";")] for own in (x2, y2))
    center = float(lines[3].attrib["x1"]), float(lines[3].attrib["y1"])
    lengths = [math.hypot(u - center[0], v - center[1]) for u, v in zip(x, y, strict=True)]
    assert [length / lengths[0] for length in lengths] == pytest.approx([1, 1.5, 2.25, 2.75, 2.75], rel=0.02)
    assert [float(time) for time in x2["keyTimes"].split(";")] == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-4)
    corners = [len(outline.attrib["points"].split()) for outline in root.iter(f"{SVG}polygon")]
    assert corners == [5, 4]  # a stub is no corner
