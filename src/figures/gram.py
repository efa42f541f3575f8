"""Which features share directions, whatever the number of hidden dimensions: W^T W, and each feature's superposition.

The picture is that of Elhage et al. 2022, "Toy Models of Superposition", in "Demonstrating Superposition".
"""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox, Transform, TransformedBbox
from torch import Tensor

from src.figures.columns import USUAL_LENGTH, drawable
from src.figures.elements import FAINT, INK
from src.geometry.dimensionality import dimensionality
from src.geometry.polygons import longest

MOST = 1000  # features drawn
N_LABELLED, N_TICKS = 12, 6  # every feature is numbered up to here, and of more so many at most
GAP, BARS, BEYOND = 0.08, 0.30, 0.12  # between map and bars, the bars, and room for a number: shares of the side
CLOSED = 0.0025  # inches by which narrow bars overlap, so that no page shines through between them
LEAST_ROW = 0.085  # inches of a feature's row in which its number can be read
RED, BLUE = "#c1272d", "#1f6fb4"
PRODUCTS = LinearSegmentedColormap.from_list(  # 0 is transparent: the page, light or dark, shows through
    "products", [(0, RED), (0.5, f"{RED}00"), (0.5, f"{BLUE}00"), (1, BLUE)], N=513
)
SUPERPOSITION: Colormap = colormaps["cividis"]


def superposition(W: Float[Tensor, "hidden feature"]) -> Float[Tensor, " feature"]:
    """How much the other features lie along each one: sum over j != i of (W_i/|W_i| . W_j)^2; 0 for a zero column.

    The sum over all j is |W_i|^2 / D_i, where D_i is the feature's dimensionality.
    """
    squares = W.double().square().sum(dim=0)
    shares = dimensionality(W.unsqueeze(0))[0]
    return torch.where(shares > 0, squares * (1 / shares.clamp(min=1e-300) - 1), 0).clamp(min=0)


def gram_limit(W: Float[Tensor, "instance hidden feature"]) -> float:
    """The largest entry of any W^T W, which is a column's squared length, and at least 1."""
    return max(1.0, float(W.square().sum(dim=1).max()) if W.numel() else 1.0)


def has_shares(side: float, n_features: int) -> bool:
    """Whether a map of this side, in inches, has room for each feature's dimensionality."""
    return side >= LEAST_ROW * n_features


def draw_gram(
    on: Figure,
    W: Float[Tensor, "hidden feature"],
    transform: Transform,
    corner: tuple[float, float],
    side: float,
    limit: float,
    reach: float = USUAL_LENGTH,
) -> None:
    """Draw one instance's W^T W as a map, and beside it a bar for each feature: its length, superposition and share.

    A bar is as long as the column, its colour tells the superposition, and the number at its end the feature's
    dimensionality, where there is room. Of more than 1,000 features the longest are drawn.

    Args:
        transform: from inches to pixels.
        corner, side: the map's left upper corner, and its side, in inches.
        limit: the value of W^T W whose colour is full, negative or positive.
        reach: the length whose bar is as long as there is room for.
    """
    W = drawable(W)
    shown = longest(W, MOST)
    gram = (W[:, shown].T @ W[:, shown]).numpy()
    (left, top), n = corner, len(shown)
    draw_colors(on, gram / limit, PRODUCTS, transform, (left, top - side), (side, side))
    row = side / max(1, n)
    middles = top - row * (np.arange(n) + 0.5)
    start = left + side * (1 + GAP)
    ends = start + side * BARS / reach * W[:, shown].norm(dim=0).double().numpy()
    half = row * 0.36 if row > LEAST_ROW / 2 else row / 2 + CLOSED
    bars = [
        [(start, y - half), (end, y - half), (end, y + half), (start, y + half)]
        for y, end in zip(middles, ends, strict=True)
    ]
    fills = SUPERPOSITION(superposition(W)[shown].clamp(max=1).numpy())
    outline = 0.5 if row > LEAST_ROW else 0.0
    on.add_artist(PolyCollection(bars, facecolors=fills, edgecolors=INK, linewidths=outline, transform=transform))
    one = start + side * BARS / reach
    lines = [[(x, top - side), (x, top)] for x in (start, one)]
    on.add_artist(LineCollection(lines, colors=[INK, FAINT], linewidths=[1, 1], transform=transform, zorder=3))
    _number_features(on, n, W.shape[1] > n, transform, corner, row)
    if has_shares(side, n):
        size = min(9.0, 72 * row * 0.62)
        for end, y, share in zip(ends, middles, dimensionality(W.unsqueeze(0))[0, shown].tolist(), strict=True):
            on.text(end + 0.04, y, f"{share:.2f}", fontsize=size, va="center_baseline", transform=transform)


def draw_colors(
    on: Figure,
    values: Float[np.ndarray, "row column"],
    colors: Colormap,
    transform: Transform,
    corner: tuple[float, float],
    size: tuple[float, float],
    span: tuple[float, float] = (-1.0, 1.0),
) -> None:
    """Draw a table of values as colours in a frame, its first row on top, its left lower corner and its size given."""
    box = TransformedBbox(Bbox.from_bounds(*corner, *size), transform)
    image = BboxImage(box, interpolation="nearest", origin="upper", interpolation_stage="rgba")
    image.set_data(colors((values.clip(*span) - span[0]) / (span[1] - span[0]), bytes=True))
    on.add_artist(image)
    frame = Rectangle(corner, *size, fill=False, edgecolor=to_rgba(INK, 0.7), linewidth=0.8, transform=transform)
    on.add_artist(frame)


def _number_features(
    on: Figure, n: int, is_part: bool, transform: Transform, corner: tuple[float, float], row: float
) -> None:
    """Numbers of features on top and to the left; none where only the longest of them are drawn."""
    if is_part:
        return
    every = 1 if n <= N_LABELLED else next(k for k in _round_numbers() if k * N_TICKS >= n)
    size = 8.0 if n <= N_LABELLED else 7.0
    for i in range(0, n, every):
        x, y = corner[0] + row * (i + 0.5), corner[1] - row * (i + 0.5)
        on.text(x, corner[1] + 0.04, str(i), fontsize=size, ha="center", va="bottom", transform=transform)
        on.text(corner[0] - 0.05, y, str(i), fontsize=size, ha="right", va="center_baseline", transform=transform)


def _round_numbers() -> list[int]:
    return [first * 10**power for power in range(4) for first in (1, 2, 5)]
