"""How a column of W is drawn, whatever the number of hidden dimensions: its tip, its number, and what is left out."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Transform
from torch import Tensor

N_NUMBERED = 12  # columns are numbered up to here
MAX_SPOKES = 1000  # in one picture of an instance
LABEL_DISTANCE, LABEL_INCHES = 0.14, 0.16  # of a number beyond its column's tip, where a unit vector is 1, and here
FARTHEST = 1e6  # a column's entry beyond this is drawn here
LEARNED_WIDTH, UNLEARNED_WIDTH = 2.2, 1.2
MARGIN = 1.2  # a panel reaches so many times as far as its longest column, and no less far than for
USUAL_LENGTH = 1.2  # a column of a trained hexagon


def drawable(W: Float[Tensor, "*rest feature"]) -> Float[Tensor, "*rest feature"]:
    """The same columns, finite: a diverging model is still drawn."""
    return W.detach().float().cpu().nan_to_num(0).clamp(-FARTHEST, FARTHEST)


def widths_of(learned: Bool[Tensor, " feature"]) -> list[float]:
    """Of each column's spoke, in points: a column that is not learned is thin."""
    return [LEARNED_WIDTH if is_learned else UNLEARNED_WIDTH for is_learned in learned.tolist()]


def stub_sides(learned: Bool[Tensor, " feature"]) -> Int[Tensor, " feature"]:
    """On which side of its column, 1 or -1, the number of one that is not learned stands: one after the other."""
    return 1 - 2 * ((~learned).cumsum(0) % 2)


def draw_numbers(
    on: Axes | Figure,
    numbers: list[int],
    places: Float[np.ndarray, "number 2"],
    colors: Sequence[str] | Sequence[tuple[float, ...]],
    transform: Transform,
    zorder: float = 1,
) -> None:
    """Write each number centred on its place, in its colour.

    Args:
        transform: from the coordinates of the places to pixels.
    """
    figure = on.get_figure(root=True)
    assert figure is not None
    on.add_artist(
        PathCollection(
            [number_path(i) for i in numbers],
            offsets=places,
            offset_transform=transform,
            transform=Affine2D().scale(1 / 72) + figure.dpi_scale_trans,  # from points
            facecolors=colors,
            linewidths=0,
            zorder=zorder,
        )
    )


@cache
def number_path(i: int) -> Path:
    """A number as a shape centred on the origin, which is drawn many times faster than text."""
    path = TextPath((0, 0), str(i), size=9)
    box = path.get_extents()
    return path.transformed(Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2))
